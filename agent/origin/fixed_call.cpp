#include "agent/origin/fixed_call.h"

#include <string>
#include <utility>

namespace ptth {

namespace {

class FixedCall final : public OriginCall {
 public:
  FixedCall(Loop& loop, ResponseListener& listener, ResponseHead head, Secret body)
      : listener_(listener),
        head_(std::move(head)),
        body_(std::move(body)),
        report_(loop, [this] { report(); }) {
    report_.schedule();
  }

  void write_body(Bytes bytes) override { untaken_ += bytes.size(); }

  void end_body(const FieldList& /*trailers*/) override {}

  // The body comes in one piece with its head.
  void pause_response() override {}

  void resume_response() override {}

 private:
  void report() {
    if (untaken_ > 0) listener_.on_request_body_taken(std::exchange(untaken_, 0));
    listener_.on_response_head(head_);
    const std::string_view body = body_.reveal();
    if (head_.body != BodyKind::kNone) {
      listener_.on_response_body({reinterpret_cast<const uint8_t*>(body.data()), body.size()});
    }
    listener_.on_response_end({});
  }

  ResponseListener& listener_;
  ResponseHead head_;
  Secret body_;
  size_t untaken_ = 0;
  EndOfTurn report_;
};

}  // namespace

std::unique_ptr<OriginCall> make_fixed_call(Loop& loop, ResponseListener& listener,
                                            ResponseHead head, Secret body) {
  return std::make_unique<FixedCall>(loop, listener, std::move(head), std::move(body));
}

std::unique_ptr<OriginCall> make_refusal_call(Loop& loop, ResponseListener& listener,
                                              const RequestHead& asked, const Refusal& refusal) {
  ResponseHead head;
  head.status = refusal.status;
  head.body = asked.method == "HEAD" ? BodyKind::kNone : BodyKind::kLength;
  head.content_length = head.body == BodyKind::kNone ? 0 : refusal.text.size();
  head.fields.add("content-type", "text/plain; charset=utf-8");
  head.fields.add("content-length", std::to_string(refusal.text.size()));
  head.fields.add("cache-control", "no-store");
  head.fields.add("proxy-status", "ptth-agent; error=proxy_internal_response");
  if (!refusal.allow.empty()) head.fields.add("allow", refusal.allow);
  if (refusal.status == 429 || refusal.status == 503) head.fields.add("retry-after", "1");
  return make_fixed_call(loop, listener, std::move(head), Secret(std::string(refusal.text)));
}

}  // namespace ptth
