#include "agent/link/hello_answer.h"

#include <string>
#include <utility>

namespace ptth {

HelloAnswerReader::HelloAnswerReader(const HelloSpec& spec)
    : judge_(spec), parser_(kLimits, Side::kGateway), interim_bucket_(spec.interim_answers) {}

void HelloAnswerReader::start(std::vector<Secret> secrets) {
  parser_.start(Http1ResponseParser::Request::kUpgrade);
  judge_.start(std::move(secrets));
  interim_answers_ = 0;
}

HelloOutcome HelloAnswerReader::read(Bytes& bytes, uint64_t now_ms) {
  while (true) {
    switch (parser_.next(bytes)) {
      case Http1Event::kNeedMore:
        return Outcome::kNeedMore;
      case Http1Event::kInterimHead:
        ++interim_answers_;
        interim_bucket_.take(now_ms);
        if (interim_bucket_.exhausted()) {
          return judge_.refuse(ErrorKind::kProtocol,
                               "the gateway sends interim answers without end");
        }
        break;
      case Http1Event::kHead: {
        const Outcome outcome =
            judge_.judge({parser_.head(), HelloForm::kMessage, std::string(parser_.upgrade()),
                          parser_.keep_alive_possible()});
        if (outcome != Outcome::kNeedMore) return outcome;
        break;
      }
      case Http1Event::kBody: {
        const Outcome outcome = judge_.add_body(parser_.body());
        if (outcome != Outcome::kNeedMore) return outcome;
        break;
      }
      case Http1Event::kEnd:
        return judge_.finish_refusal();
      case Http1Event::kFailed:
        if (judge_.awaits_body()) return judge_.finish_refusal();
        return judge_.refuse(ErrorKind::kProtocol,
                             "the gateway's answer to the hello is no HTTP/1.1: " +
                                 std::string(to_string(parser_.fault())));
    }
  }
}

HelloOutcome HelloAnswerReader::finish() {
  if (judge_.awaits_body()) return judge_.finish_refusal();
  return judge_.refuse_closed(parser_.started() ? HelloJudge::Began::kYes : HelloJudge::Began::kNo);
}

}  // namespace ptth
