#include "agent/relay/reporting_origin.h"

#include "agent/origin/forwarded_call.h"
#include "agent/relay/load_report.h"

#include <utility>

namespace ptth {

namespace {

// Two reports in one answer, also in two forms, make receivers refuse both.
bool has_report(const FieldList& fields) {
  return fields.find(kLoadReportField) || fields.find(kBinaryLoadReportField);
}

class ReportingCall final : public ForwardedCall, private ResponseListener {
 public:
  ReportingCall(ResponseListener& listener, const std::string& text)
      : listener_(listener), text_(text) {}

  void start(Origin& inner, const RequestHead& head, WorkSlot slot) {
    forward_to(inner.start(head, *this, std::move(slot)));
  }

 private:
  void on_interim_response(const ResponseHead& head) override {
    listener_.on_interim_response(head);
  }

  void on_response_head(const ResponseHead& head) override {
    if (text_.empty() || has_report(head.fields)) {
      listener_.on_response_head(head);
      return;
    }
    ResponseHead with_report = head;
    with_report.fields.add(kLoadReportField, text_);
    listener_.on_response_head(with_report);
  }

  void on_response_body(Bytes bytes) override { listener_.on_response_body(bytes); }

  void on_response_end(const FieldList& trailers) override { listener_.on_response_end(trailers); }

  void on_response_failed(const Error& error) override { listener_.on_response_failed(error); }

  void on_request_body_taken(size_t count) override { listener_.on_request_body_taken(count); }

  ResponseListener& listener_;
  const std::string& text_;
};

class ReportingOrigin final : public Origin {
 public:
  ReportingOrigin(Origin& inner, const std::string& text) : inner_(inner), text_(text) {}

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override {
    auto call = std::make_unique<ReportingCall>(listener, text_);
    call->start(inner_, head, std::move(slot));
    return call;
  }

 private:
  Origin& inner_;
  const std::string& text_;
};

}  // namespace

std::unique_ptr<Origin> make_reporting_origin(Origin& inner, const std::string& text) {
  return std::make_unique<ReportingOrigin>(inner, text);
}

}  // namespace ptth
