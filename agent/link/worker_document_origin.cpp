#include "agent/link/worker_document_origin.h"

#include "agent/link/own_request.h"
#include "agent/origin/fixed_call.h"
#include "common/http_rules.h"
#include "common/message_signature.h"
#include "common/token_bucket.h"

#include <string_view>
#include <utility>

namespace ptth {

namespace {

// If-None-Match, RFC 9110 section 13.1.2. No tag can hold a quotation mark, so a tag of ours is
// found as it stands, also behind the W/ that somebody on the way has put before it.
bool has_tag(const FieldList& fields, std::string_view tag) {
  for (const Field field : fields) {
    if (field.name != "if-none-match") continue;
    if (field.value == "*" || field.value.find(tag) != std::string_view::npos) return true;
  }
  return false;
}

class WorkerDocumentOrigin final : public Origin {
 public:
  WorkerDocumentOrigin(const WorkerDocumentSurroundings& around,
                       const WorkerDocumentOptions& options, WorkerDocumentParameters parameters)
      : loop_(around.loop),
        inner_(around.inner),
        metrics_(around.metrics),
        path_(options.path),
        parameters_(std::move(parameters)),
        name_(parameters_.host, parameters_.port),
        rate_(options.rate) {}

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override {
    if (without_query(head.path) != path_) return inner_.start(head, listener, std::move(slot));
    return answer(head, listener);
  }

 private:
  std::unique_ptr<OriginCall> answer(const RequestHead& head, ResponseListener& listener) {
    if (!name_.is_authority(head.authority) || was_forwarded(head.fields)) {
      return refuse(head, listener, {404, "This is for the gateway's own requests.\n"});
    }
    if (head.method != "GET" && head.method != "HEAD") {
      return refuse(head, listener, {405, "The worker document can be read.\n", "GET, HEAD"});
    }
    rate_.take(loop_.now_ms());
    if (rate_.exhausted()) {
      count("limited");
      return make_refusal_call(loop_, listener, head, {429, "Too many of these requests.\n"});
    }
    std::string body = to_json(parameters_.facts());
    const std::string tag = '"' + content_digest(body) + '"';
    ResponseHead found;
    found.fields.add("etag", tag);
    // A gateway is a cache for everybody, and this is for the gateway.
    found.fields.add("cache-control", "private, no-cache");
    if (has_tag(head.fields, tag)) {
      count("not_modified");
      found.status = 304;
      return make_fixed_call(loop_, listener, std::move(found), {});
    }
    count("answered");
    found.status = 200;
    found.fields.add("content-type", "application/json");
    found.fields.add("content-length", std::to_string(body.size()));
    if (head.method == "GET") {
      found.body = BodyKind::kLength;
      found.content_length = body.size();
    }
    return make_fixed_call(loop_, listener, std::move(found), Secret(std::move(body)));
  }

  std::unique_ptr<OriginCall> refuse(const RequestHead& asked, ResponseListener& listener,
                                     const Refusal& refusal) {
    count("refused");
    return make_refusal_call(loop_, listener, asked, refusal);
  }

  void count(const char* outcome) {
    metrics_
        .counter("ptth_worker_documents", "Requests for the worker document.",
                 {{"gateway", parameters_.gateway}, {"outcome", outcome}})
        .add();
  }

  Loop& loop_;
  Origin& inner_;
  Metrics& metrics_;
  const std::string path_;
  const WorkerDocumentParameters parameters_;
  const GatewayName name_;
  TokenBucket rate_;
};

}  // namespace

std::unique_ptr<Origin> make_worker_document_origin(const WorkerDocumentSurroundings& around,
                                                    const WorkerDocumentOptions& options,
                                                    WorkerDocumentParameters parameters) {
  return std::make_unique<WorkerDocumentOrigin>(around, options, std::move(parameters));
}

}  // namespace ptth
