#include "agent/link/upgrade_stream.h"

#include "agent/link/hello_answer.h"
#include "agent/link/hello_stream.h"
#include "agent/link/magic_check.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

// What a gateway gets to tell the reason of its no, once it has said no.
constexpr Milliseconds kReasonTimeout{1'000};
// A gateway that gives up waiting is asked again, but not more often than this.
constexpr Milliseconds kAskInterval{1'000};

constexpr std::string_view kHttp2Id = "h2";
constexpr std::string_view kHttp11Id = "http/1.1";

// Steps:
//
//      kToAsk -- the request is written --> kAsked -- yes, h2 --> kMagic -- verified --> (reversed)
//        ^                                    | |
//        |                                    | +---- yes, http/1.1 --> (reversed)
//        +-- a while later -- 204, keeps open +---- no, elsewhere, broken --> (over)
enum class Step { kToAsk, kAsked, kMagic };

class UpgradeStream final : public HelloStream {
 public:
  UpgradeStream(Loop& loop, std::unique_ptr<ByteStream> connected, const HelloSpec& spec,
                const HelloCredentials& credentials, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        loop_(loop),
        spec_(spec),
        credentials_(credentials),
        answer_(spec),
        ask_(loop, [this] { ask(); }),
        ask_later_(loop, [this] { ask(); }),
        reason_timeout_(loop, [this] { not_reversed(explain_end({})); }) {
    ask_.schedule();
  }

 private:
  void on_hello_bytes(Bytes bytes) override {
    switch (step_) {
      case Step::kToAsk:
        not_reversed({ErrorKind::kProtocol, Side::kGateway,
                      "the gateway sent something before it was asked", false});
        return;
      case Step::kAsked:
        on_answer(bytes);
        return;
      case Step::kMagic:
        on_magic(bytes);
        return;
    }
  }

  Error explain_end(const Error& error) override {
    if (step_ != Step::kAsked) return error;
    // A no has been said; the rest is about how it was said.
    if (!answer_.awaits_body() && error.kind != ErrorKind::kClosed) return error;
    static_cast<void>(answer_.finish());
    return answer_.error();
  }

  void ask() {
    if (!in_hello()) return;
    std::vector<SecretField> credentials;
    if (credentials_) {
      auto fields = credentials_();
      if (!fields) {
        not_reversed(fields.error());
        return;
      }
      credentials = std::move(fields).value();
    }
    ByteQueue request;
    if (const auto written = write_hello_request(spec_, spec_.uri, credentials, request);
        !written) {
      not_reversed(written.error());
      return;
    }
    std::vector<Secret> secrets;
    secrets.reserve(credentials.size());
    for (SecretField& field : credentials)
      secrets.push_back(std::move(field.value));
    answer_.start(std::move(secrets));
    step_ = Step::kAsked;
    asked_ms_ = loop_.now_ms();
    write(request.front());
  }

  void on_answer(Bytes bytes) {
    const uint32_t interim_before = answer_.interim_answers();
    const auto outcome = answer_.read(bytes, loop_.now_ms());
    switch (outcome) {
      case HelloAnswerReader::Outcome::kNeedMore:
        if (answer_.interim_answers() != interim_before) hello_progress();
        if (answer_.awaits_body() && !reason_timeout_.running()) {
          reason_timeout_.start(kReasonTimeout);
        }
        return;
      case HelloAnswerReader::Outcome::kReversed:
        on_yes(bytes);
        return;
      case HelloAnswerReader::Outcome::kAskAgain:
        on_given_up(bytes);
        return;
      case HelloAnswerReader::Outcome::kDialAgain:
        redirected(nullptr);
        return;
      case HelloAnswerReader::Outcome::kMoved:
        on_moved();
        return;
      case HelloAnswerReader::Outcome::kRefused:
        not_reversed(answer_.error());
        return;
    }
  }

  void on_yes(Bytes rest) {
    if (answer_.channel() == kHttp11Id) {
      reversed(ChannelProtocol::kHttp11, rest);
      return;
    }
    if (answer_.channel() != kHttp2Id) {
      not_reversed({ErrorKind::kConfiguration, Side::kLocal,
                    "the gateway chose a channel that we offered and do not speak", false});
      return;
    }
    step_ = Step::kMagic;
    hello_progress();
    if (!rest.empty()) on_magic(rest);
  }

  void on_magic(Bytes bytes) {
    switch (magic_.take(bytes)) {
      case MagicCheck::Status::kNeedMore:
        return;
      case MagicCheck::Status::kWrong:
        not_reversed(magic_.error(bytes));
        return;
      case MagicCheck::Status::kDone:
        reversed(ChannelProtocol::kHttp2, bytes);
        return;
    }
  }

  void on_moved() {
    const HttpUri& to = answer_.location();
    const Redirect redirect{to, to.scheme == spec_.uri.scheme &&
                                    to.authority.host == spec_.uri.authority.host &&
                                    to.port() == spec_.uri.port()};
    redirected(&redirect);
  }

  void on_given_up(Bytes rest) {
    if (!rest.empty()) {
      not_reversed({ErrorKind::kProtocol, Side::kGateway,
                    "the gateway sent something behind its answer to the hello", false});
      return;
    }
    step_ = Step::kToAsk;
    hello_progress();
    const Milliseconds waited(loop_.now_ms() - asked_ms_);
    ask_later_.start(std::max(kAskInterval - waited, Milliseconds(0)));
  }

  Loop& loop_;
  const HelloSpec& spec_;
  const HelloCredentials& credentials_;
  Step step_ = Step::kToAsk;
  HelloAnswerReader answer_;
  MagicCheck magic_;
  uint64_t asked_ms_ = 0;
  EndOfTurn ask_;
  Timer ask_later_;
  Timer reason_timeout_;
};

class UpgradeProfile final : public Profile {
 public:
  UpgradeProfile(std::string_view name, HelloSpec spec, HelloCredentials credentials)
      : name_(name), spec_(std::move(spec)), credentials_(std::move(credentials)) {}

  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override {
    return {std::string(kHttp11Id)};
  }

  // Without ALPN, TLS carries HTTP/1.1.
  [[nodiscard]] bool requires_alpn() const override { return false; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_upgrade_stream(loop, std::move(connected), spec_, credentials_, listener);
  }

  [[nodiscard]] std::unique_ptr<Profile> at(const HttpUri& place) const override {
    HelloSpec spec = spec_;
    spec.uri = place;
    return std::make_unique<UpgradeProfile>(name_, std::move(spec), credentials_);
  }

 private:
  std::string_view name_;
  HelloSpec spec_;
  HelloCredentials credentials_;
};

}  // namespace

std::unique_ptr<ByteStream> make_upgrade_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                                const HelloSpec& spec,
                                                const HelloCredentials& credentials,
                                                Profile::Listener& listener) {
  return std::make_unique<UpgradeStream>(loop, std::move(connected), spec, credentials, listener);
}

std::unique_ptr<Profile> make_upgrade_profile(std::string_view name, HelloSpec spec,
                                              HelloCredentials credentials) {
  return std::make_unique<UpgradeProfile>(name, std::move(spec), std::move(credentials));
}

}  // namespace ptth
