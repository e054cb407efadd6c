#include "agent/link/hello_exchange.h"

#include "common/byte_queue.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace ptth {

namespace {

// What a gateway gets to tell the reason of its no, once it has said no.
constexpr Milliseconds kReasonTimeout{1'000};
// A gateway that gives up waiting is asked again, but not more often than this.
constexpr Milliseconds kAskInterval{1'000};

}  // namespace

HelloExchange::HelloExchange(Loop& loop, const HelloSpec& spec, const HelloCredentials& credentials,
                             Listener& listener)
    : loop_(loop),
      spec_(spec),
      credentials_(credentials),
      listener_(listener),
      answer_(spec),
      ask_(loop, [this] { ask(); }),
      ask_later_(loop, [this] { ask(); }),
      reason_timeout_(loop, [this] { listener_.on_hello_refused(explain_end({})); }) {
  ask_.schedule();
}

void HelloExchange::ask() {
  if (!listener_.wants_hello()) return;
  std::vector<SecretField> credentials;
  if (credentials_) {
    auto fields = credentials_();
    if (!fields) {
      listener_.on_hello_refused(fields.error());
      return;
    }
    credentials = std::move(fields).value();
  }
  ByteQueue request;
  if (const auto written = write_hello_request(spec_, spec_.uri, credentials, request); !written) {
    listener_.on_hello_refused(written.error());
    return;
  }
  std::vector<Secret> secrets;
  secrets.reserve(credentials.size());
  for (SecretField& field : credentials)
    secrets.push_back(std::move(field.value));
  answer_.start(std::move(secrets));
  has_asked_ = true;
  asked_ms_ = loop_.now_ms();
  listener_.send_hello(request.front());
}

void HelloExchange::read(Bytes bytes) {
  if (!has_asked_) {
    listener_.on_hello_refused({ErrorKind::kProtocol, Side::kGateway,
                                "the gateway sent something before it was asked", false});
    return;
  }
  const uint32_t interim_before = answer_.interim_answers();
  const auto outcome = answer_.read(bytes, loop_.now_ms());
  switch (outcome) {
    case HelloAnswerReader::Outcome::kNeedMore:
      if (answer_.awaits_body() && !reason_timeout_.running()) {
        reason_timeout_.start(kReasonTimeout);
      }
      if (answer_.interim_answers() != interim_before) listener_.on_hello_patience();
      return;
    case HelloAnswerReader::Outcome::kReversed:
      listener_.on_hello_accepted(answer_.channel(), bytes);
      return;
    case HelloAnswerReader::Outcome::kAskAgain:
      on_given_up(bytes);
      return;
    case HelloAnswerReader::Outcome::kDialAgain:
      listener_.on_hello_redirected(nullptr);
      return;
    case HelloAnswerReader::Outcome::kMoved:
      on_moved();
      return;
    case HelloAnswerReader::Outcome::kRefused:
      listener_.on_hello_refused(answer_.error());
      return;
  }
}

Error HelloExchange::explain_end(const Error& error) {
  if (!has_asked_) return error;
  // A no has been said; the rest is about how it was said.
  if (!answer_.awaits_body() && error.kind != ErrorKind::kClosed) return error;
  static_cast<void>(answer_.finish());
  return answer_.error();
}

void HelloExchange::on_moved() {
  const Redirect redirect = redirect_to(answer_.location(), spec_.uri);
  listener_.on_hello_redirected(&redirect);
}

void HelloExchange::on_given_up(Bytes rest) {
  if (!rest.empty()) {
    listener_.on_hello_refused({ErrorKind::kProtocol, Side::kGateway,
                                "the gateway sent something behind its answer to the hello",
                                false});
    return;
  }
  has_asked_ = false;
  const Milliseconds waited(loop_.now_ms() - asked_ms_);
  ask_later_.start(std::max(kAskInterval - waited, Milliseconds(0)));
  listener_.on_hello_patience();
}

}  // namespace ptth
