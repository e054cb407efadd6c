#include "agent/link/connect_stream.h"

#include "agent/link/hello_judge.h"
#include "agent/link/hello_stream.h"
#include "common/http_rules.h"

#include <string>
#include <utility>
#include <vector>

namespace ptth {

namespace {

// What a gateway gets to tell the reason of its no, once it has said no.
constexpr Milliseconds kReasonTimeout{1'000};

// Steps:
//
//   kSettings -- the gateway takes extended CONNECT --> kAsked -- 2xx, h2 --> kMagic --> (reversed)
//                                                         |  |
//                                                         |  +-- 2xx, http/1.1 --> (reversed)
//                                                         +-- no --> kReason --> (over)
enum class Step { kSettings, kAsked, kReason, kMagic };

class ConnectStream final : private TunnelStream::Owner, public HelloStream {
 public:
  ConnectStream(Loop& loop, std::unique_ptr<TunnelStream> tunnel, const ConnectHello& hello,
                Profile::Listener& listener)
      : HelloStream(loop, std::move(tunnel), listener),
        loop_(loop),
        spec_(hello.spec),
        credentials_(hello.credentials),
        judge_(hello.spec),
        interim_bucket_(hello.spec.interim_answers),
        reason_timeout_(loop, [this] { not_reversed(explain_end({})); }) {
    this->tunnel().set_owner(*this);
  }

 private:
  // TunnelStream::Owner
  void on_tunnel_carried(const Carrier& carrier) override { carried(carrier); }

  void on_tunnel_leaving() override { replacement_wanted(); }

  void on_tunnel_ready(TunnelStream::ExtendedConnect extended_connect) override;
  void on_tunnel_interim() override;
  void on_tunnel_answer(const ResponseHead& head) override;

  void on_hello_bytes(Bytes bytes) override;
  Error explain_end(const Error& error) override;

  void ask(const std::vector<SecretField>& credentials);
  void conclude(HelloOutcome outcome);
  void on_yes();

  void refuse(ErrorKind kind, Side side, std::string detail) {
    not_reversed({kind, side, std::move(detail), false});
  }

  [[nodiscard]] TunnelStream& tunnel() { return static_cast<TunnelStream&>(beneath()); }

  Loop& loop_;
  const HelloSpec& spec_;
  const HelloCredentials& credentials_;
  Step step_ = Step::kSettings;
  HelloJudge judge_;
  TokenBucket interim_bucket_;
  Timer reason_timeout_;
};

void ConnectStream::on_tunnel_ready(TunnelStream::ExtendedConnect extended_connect) {
  if (!in_hello()) return;
  if (extended_connect == TunnelStream::ExtendedConnect::kRefused) {
    refuse(ErrorKind::kConfiguration, Side::kGateway,
           "the gateway takes no extended CONNECT (RFC 8441): try the profile without -connect");
    return;
  }
  std::vector<SecretField> credentials;
  if (credentials_) {
    auto fields = credentials_();
    if (!fields) {
      not_reversed(fields.error());
      return;
    }
    credentials = std::move(fields).value();
  }
  ask(credentials);
  std::vector<Secret> secrets;
  secrets.reserve(credentials.size());
  for (SecretField& field : credentials)
    secrets.push_back(std::move(field.value));
  judge_.start(std::move(secrets));
}

void ConnectStream::ask(const std::vector<SecretField>& credentials) {
  const std::string authority = to_string(spec_.uri.authority);
  const std::string offer = encode_channels(spec_.channels);
  std::vector<Nghttp2Client::FieldView> fields{{":method", spec_.method},
                                               {":protocol", spec_.token},
                                               {":scheme", to_string(spec_.uri.scheme)},
                                               {":authority", authority},
                                               {":path", spec_.uri.target}};
  if (!spec_.offer_field.empty()) fields.push_back({spec_.offer_field, offer});
  for (const Field field : spec_.fields)
    fields.push_back({field.name, field.value});
  for (const SecretField& field : credentials) {
    if (!is_field_value(field.value.reveal())) {
      refuse(ErrorKind::kConfiguration, Side::kLocal,
             "a credential for the field " + field.name + " has a byte that no field can carry");
      return;
    }
    fields.push_back({field.name, field.value.reveal()});
  }
  step_ = Step::kAsked;
  if (!tunnel().ask(fields)) {
    refuse(ErrorKind::kProtocol, Side::kGateway, "the gateway allows no stream for the hello");
  }
}

void ConnectStream::on_tunnel_interim() {
  interim_bucket_.take(loop_.now_ms());
  if (interim_bucket_.exhausted()) {
    refuse(ErrorKind::kProtocol, Side::kGateway, "the gateway sends interim answers without end");
    return;
  }
  if (in_hello()) hello_progress();
}

void ConnectStream::on_tunnel_answer(const ResponseHead& head) {
  HelloAnswer answer;
  answer.head = head;
  answer.form = HelloForm::kTunnel;
  conclude(judge_.judge(std::move(answer)));
}

void ConnectStream::conclude(HelloOutcome outcome) {
  if (!in_hello()) return;
  switch (outcome) {
    case HelloOutcome::kNeedMore:
      if (step_ != Step::kReason) reason_timeout_.start(kReasonTimeout);
      step_ = Step::kReason;
      return;
    case HelloOutcome::kReversed:
      on_yes();
      return;
    case HelloOutcome::kMoved: {
      const Redirect redirect = redirect_to(judge_.location(), spec_.uri);
      redirected(&redirect);
      return;
    }
    case HelloOutcome::kAskAgain:
    case HelloOutcome::kDialAgain:
      redirected(nullptr);
      return;
    case HelloOutcome::kRefused:
      not_reversed(judge_.error());
      return;
  }
}

void ConnectStream::on_yes() {
  if (judge_.channel() == "http/1.1") {
    reversed(ChannelProtocol::kHttp11, {});
  } else if (judge_.channel() == "h2") {
    step_ = Step::kMagic;
    hello_progress();
  } else {
    refuse(ErrorKind::kConfiguration, Side::kLocal,
           "the gateway chose a channel that we offered and do not speak");
  }
}

void ConnectStream::on_hello_bytes(Bytes bytes) {
  if (step_ == Step::kReason) conclude(judge_.add_body(bytes));
  if (step_ == Step::kMagic) read_magic(bytes);
}

Error ConnectStream::explain_end(const Error& error) {
  if (step_ != Step::kReason) return error;
  // A no has been said; the rest is about how it was said.
  static_cast<void>(judge_.finish_refusal());
  return judge_.error();
}

}  // namespace

std::unique_ptr<ByteStream> make_connect_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                                const ConnectHello& hello,
                                                Profile::Listener& listener) {
  auto connection =
      std::make_unique<TunnelConnection>(loop, std::move(connected), hello.options, nullptr);
  return make_connect_stream(loop, std::make_unique<TunnelStream>(std::move(connection)), hello,
                             listener);
}

std::unique_ptr<ByteStream> make_connect_stream(Loop& loop, std::unique_ptr<TunnelStream> tunnel,
                                                const ConnectHello& hello,
                                                Profile::Listener& listener) {
  return std::make_unique<ConnectStream>(loop, std::move(tunnel), hello, listener);
}

}  // namespace ptth
