#include "agent/link/worker_document.h"

#include "agent/link/worker_document_origin.h"
#include "tests/support/scripted_origin.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>

using ptth::BodyKind;
using ptth::Bytes;
using ptth::FieldList;
using ptth::RequestHead;
using ptth::ResponseHead;
using ptth::WorkerDocumentOptions;
using ptth::WorkerFacts;

namespace {

struct Answer final : public ptth::ResponseListener {
  void on_interim_response(const ResponseHead& /*head*/) override {}

  void on_response_head(const ResponseHead& of) override { head = of; }

  void on_response_body(Bytes bytes) override { body.append(bytes.begin(), bytes.end()); }

  void on_response_end(const FieldList& /*trailers*/) override { ended = true; }

  void on_response_failed(const ptth::Error& /*error*/) override {}

  void on_request_body_taken(size_t count) override { taken += count; }

  [[nodiscard]] std::string field(std::string_view name) const {
    return std::string(head.fields.find(name).value_or("none"));
  }

  ResponseHead head;
  std::string body;
  bool ended = false;
  size_t taken = 0;
};

RequestHead request(const std::string& method = "GET") {
  RequestHead head;
  head.method = method;
  head.scheme = "https";
  head.authority = "gw.test";
  head.path = "/.well-known/ptth-worker";
  head.fields.add("via", "2.0 ptth-agent-00000000");
  return head;
}

RequestHead with(RequestHead head, const char* name, const std::string& value) {
  head.fields.add(name, value);
  return head;
}

// One connection to a gateway.
struct DocumentStage {
  explicit DocumentStage(const WorkerDocumentOptions& options = {}) {
    facts.instance = "ptth-agent-00000000";
    facts.version = "1.2.3";
    facts.all.capacity = 10;
    facts.share.capacity = 5;
    origin = ptth::make_worker_document_origin({loop, inner, metrics}, options,
                                               {"gw", "gw.test", 8443, [this] { return facts; }});
  }

  ~DocumentStage() { loop.turn(); }

  DocumentStage(const DocumentStage&) = delete;
  DocumentStage& operator=(const DocumentStage&) = delete;
  DocumentStage(DocumentStage&&) = delete;
  DocumentStage& operator=(DocumentStage&&) = delete;

  Answer ask(const RequestHead& head, ptth::WorkSlot slot = {}) {
    Answer answer;
    {
      const auto call = origin->start(head, answer, std::move(slot));
      loop.turn();
    }
    return answer;
  }

  [[nodiscard]] uint64_t count(const std::string& outcome) {
    return metrics.counter("ptth_worker_documents", "", {{"gateway", "gw"}, {"outcome", outcome}})
        .value();
  }

  ptth::Loop loop{ptth::ClockMode::kManual};
  ptth::Metrics metrics;
  ptth::ScriptedOrigin inner;
  WorkerFacts facts;
  std::unique_ptr<ptth::Origin> origin;
};

}  // namespace

TEST_CASE("the worker document says who serves what, and how busy that is") {
  WorkerFacts facts;
  facts.identity = "shop-7";
  facts.instance = "ptth-agent-00000000";
  facts.version = "1.2.3";
  facts.origins = {"https://app.example", "https://*.app.example"};
  facts.prefixes = {"/shop", "/cart/"};
  facts.all = {100, 30};
  facts.share = {90, 20};
  facts.queued = 4;
  facts.draining = true;
  CHECK(to_json(facts) ==
        R"({"identity":"shop-7","instance":"ptth-agent-00000000","version":"1.2.3",)"
        R"("origins":["https://app.example","https://*.app.example"],)"
        R"("path_prefixes":["/shop","/cart/"],"capacity":100,"in_flight":30,)"
        R"("share":{"capacity":90,"in_flight":20},"queue":{"length":4},"draining":true})");
  facts = {};
  CHECK(to_json(facts).find(R"("origins":["*"],"path_prefixes":["/"])") != std::string::npos);
  CHECK(to_json(facts).find("identity") == std::string::npos);
}

TEST_CASE("the gateway reads the document, and the application never sees that") {
  DocumentStage stage;
  const Answer answer = stage.ask(request());
  CHECK(answer.head.status == 200);
  CHECK(answer.ended);
  CHECK(answer.body == to_json(stage.facts));
  CHECK(answer.field("content-type") == "application/json");
  CHECK(answer.field("content-length") == std::to_string(answer.body.size()));
  CHECK(answer.field("cache-control") == "private, no-cache");
  const Answer head = stage.ask(request("HEAD"));
  CHECK(head.head.status == 200);
  CHECK(head.head.body == BodyKind::kNone);
  CHECK(head.body.empty());
  CHECK(head.ended);
  for (const char* name : {"content-type", "content-length", "etag", "cache-control"})
    CHECK(head.field(name) == answer.field(name));
  RequestHead with_query = request();
  with_query.path += "?now";
  CHECK(stage.ask(with_query).head.status == 200);
  CHECK(stage.inner.calls.empty());
  CHECK(stage.count("answered") == 3);
}

TEST_CASE("what has another path is passed on with its slot") {
  DocumentStage stage;
  ptth::WorkCount work;
  for (const char* path : {"/", "/.well-known/ptth-workers", "/.well-known/ptth-worker/a",
                           "/a?/.well-known/ptth-worker", "*"}) {
    CAPTURE(path);
    RequestHead head = request();
    head.path = path;
    stage.ask(head, ptth::WorkSlot(work));
    CHECK(stage.inner.calls.back()->head.path == path);
  }
  CHECK(stage.inner.calls.size() == 5);
  CHECK(work.in_hand() == 5);
  // A request for the document keeps none.
  stage.ask(request(), ptth::WorkSlot(work));
  CHECK(work.in_hand() == 5);
  stage.inner.calls.clear();
}

TEST_CASE("only the gateway's own requests are answered; nobody's reaches the application") {
  DocumentStage stage;
  for (const char* authority : {"gw.test", "GW.test.", "gw.test:443", "gw.test:8443"}) {
    CAPTURE(authority);
    RequestHead head = request();
    head.authority = authority;
    CHECK(stage.ask(head).head.status == 200);
  }
  for (const char* authority : {"app.example", "", "gw.test:80", "gw.test, gw.test"}) {
    CAPTURE(authority);
    RequestHead head = request();
    head.authority = authority;
    const Answer answer = stage.ask(head);
    CHECK(answer.head.status == 404);
    CHECK(answer.field("etag") == "none");
    CHECK(answer.body.find("capacity") == std::string::npos);
  }
  CHECK(stage.ask(with(request(), "x-forwarded-for", "192.0.2.1")).head.status == 404);
  CHECK(stage.ask(with(request(), "forwarded", "for=192.0.2.1")).head.status == 404);
  CHECK(stage.ask(with(request(), "via", "1.1 cdn, 2.0 ptth-agent-00000000")).head.status == 404);
  CHECK(stage.inner.calls.empty());
  CHECK(stage.count("refused") == 7);
}

TEST_CASE("a tag is that of the whole document, so any change of it is seen") {
  DocumentStage stage;
  const std::string tag = stage.ask(request()).field("etag");
  CHECK(tag.starts_with("\""));
  for (const std::string& known : {tag, "W/" + tag, "\"other\", " + tag, std::string("*")}) {
    CAPTURE(known);
    const Answer answer = stage.ask(with(request(), "if-none-match", known));
    CHECK(answer.head.status == 304);
    CHECK(answer.head.body == BodyKind::kNone);
    CHECK(answer.body.empty());
    CHECK(answer.ended);
    CHECK(answer.field("etag") == tag);
    CHECK(answer.field("cache-control") == "private, no-cache");
  }
  CHECK(stage.ask(with(with(request(), "if-none-match", "\"a\""), "if-none-match", tag))
            .head.status == 304);
  CHECK(stage.ask(with(request("HEAD"), "if-none-match", tag)).head.status == 304);
  CHECK(stage.count("not_modified") == 6);
  for (const std::string& unknown : {std::string("\"other\""), tag.substr(1), std::string()})
    CHECK(stage.ask(with(request(), "if-none-match", unknown)).head.status == 200);
  ++stage.facts.all.in_flight;
  const Answer changed = stage.ask(with(request(), "if-none-match", tag));
  CHECK(changed.head.status == 200);
  CHECK(changed.field("etag") != tag);
}

TEST_CASE("the document can only be read") {
  DocumentStage stage;
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PURGE"}) {
    CAPTURE(method);
    const Answer answer = stage.ask(request(method));
    CHECK(answer.head.status == 405);
    CHECK(answer.field("allow") == "GET, HEAD");
  }
  // An upload gets its credit back.
  Answer answer;
  RequestHead head = request("POST");
  head.body = BodyKind::kUnknown;
  const auto call = stage.origin->start(head, answer, {});
  call->write_body(Bytes(reinterpret_cast<const uint8_t*>("ab"), 2));
  call->end_body({});
  stage.loop.turn();
  CHECK(answer.taken == 2);
  CHECK(answer.ended);
  CHECK(stage.inner.calls.empty());
}

TEST_CASE("a gateway that reads it without end is told to wait") {
  WorkerDocumentOptions options;
  options.rate = {2, 1};
  DocumentStage stage(options);
  CHECK(stage.ask(request()).head.status == 200);
  CHECK(stage.ask(request()).head.status == 200);
  const Answer answer = stage.ask(request());
  CHECK(answer.head.status == 429);
  CHECK(answer.field("retry-after") == "1");
  CHECK(stage.count("limited") == 1);
  stage.loop.advance(ptth::Milliseconds(2'000));
  CHECK(stage.ask(request()).head.status == 200);
}
