#include "agent/origin/origin.h"

#include <utility>

namespace ptth {

namespace {

class FailedCall final : public OriginCall {
 public:
  FailedCall(Loop& loop, ResponseListener& listener, Error error)
      : listener_(listener), error_(std::move(error)), report_(loop, [this] { report(); }) {
    report_.schedule();
  }

  void write_body(Bytes bytes) override { untaken_ += bytes.size(); }

  void end_body(const FieldList& /*trailers*/) override {}

  void pause_response() override {}

  void resume_response() override {}

 private:
  void report() {
    if (untaken_ > 0) listener_.on_request_body_taken(std::exchange(untaken_, 0));
    listener_.on_response_failed(error_);
  }

  ResponseListener& listener_;
  Error error_;
  size_t untaken_ = 0;
  EndOfTurn report_;
};

}  // namespace

std::unique_ptr<OriginCall> make_failed_call(Loop& loop, ResponseListener& listener, Error error) {
  return std::make_unique<FailedCall>(loop, listener, std::move(error));
}

}  // namespace ptth
