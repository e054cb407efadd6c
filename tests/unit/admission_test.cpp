#include "agent/relay/admission.h"

#include "tests/support/scripted_origin.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

namespace {

// One request at the relay's end.
class Request final : public ResponseListener {
 public:
  RequestHead head;
  std::unique_ptr<OriginCall> call;
  int status = 0;
  FieldList fields;
  std::string body;
  bool ended = false;
  std::string refusal;  // The error's text; it was retryable and kOverload.
  size_t taken = 0;

  void on_interim_response(const ResponseHead& /*response*/) override {}

  void on_response_head(const ResponseHead& response) override {
    status = response.status;
    fields = response.fields;
  }

  void on_response_body(Bytes bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  void on_response_end(const FieldList& /*trailers*/) override { ended = true; }

  void on_response_failed(const Error& error) override {
    CHECK(error.kind == ErrorKind::kOverload);
    CHECK(error.retryable);
    CHECK(refusal.empty());
    refusal = error.detail;
  }

  void on_request_body_taken(size_t count) override { taken += count; }
};

AdmissionOptions capacity(uint32_t limit) {
  AdmissionOptions options;
  options.capacity.limit = limit;
  return options;
}

// Requests are numbered in the order in which they come, and so are the origin's calls.
class Stage {
 public:
  explicit Stage(const AdmissionOptions& options)
      : admission(make_admission({loop, metrics, origin, work, shares}, options,
                                 [this] { return loop.now_ms() * 1000; })) {}

  Request& send(const std::string& path, const std::string& priority = "",
                std::string_view gateway = "gw", const std::vector<Field>& more = {}) {
    auto request = std::make_unique<Request>();
    request->head.method = "GET";
    request->head.path = path;
    request->head.gateway = gateway;
    if (!priority.empty()) request->head.fields.add("priority", priority);
    for (const Field& field : more)
      request->head.fields.add(field.name, field.value);
    return start(std::move(request));
  }

  Request& start(std::unique_ptr<Request> request) {
    requests.push_back(std::move(request));
    Request& started = *requests.back();
    started.call = admission->start(started.head, started, WorkSlot());
    return started;
  }

  // The paths that the origin has seen, in their order.
  [[nodiscard]] std::string seen() const {
    std::string paths;
    for (const auto& call : origin.calls)
      paths += call->head.path;
    return paths;
  }

  // The origin is done with its call of that number.
  void finish(size_t index) {
    ScriptedOrigin::Seen& call = *origin.calls.at(index);
    call.answer_head(200, BodyKind::kNone);
    call.answer_end();
    loop.turn();
  }

  double metric(const std::string& series) {
    const std::string all = metrics.expose();
    const size_t at = all.find("\n" + series + " ");
    return at == std::string::npos ? -1 : std::stod(all.substr(at + series.size() + 2));
  }

  Loop loop{ClockMode::kManual};
  Metrics metrics;
  CapacityShares shares{metrics, 0};
  OriginWork work;
  ScriptedOrigin origin;
  std::unique_ptr<Admission> admission;
  std::vector<std::unique_ptr<Request>> requests;
};

}  // namespace

TEST_CASE("what the origin has room for starts at once, the rest waits its turn") {
  Stage stage(capacity(2));
  for (const char* path : {"/a", "/b", "/c", "/d"})
    stage.send(path);
  CHECK(stage.seen() == "/a/b");
  CHECK(stage.admission->in_flight() == 2);
  CHECK(stage.admission->queued() == 2);
  stage.finish(0);
  CHECK(stage.seen() == "/a/b/c");
  stage.finish(1);
  stage.finish(2);
  CHECK(stage.seen() == "/a/b/c/d");
  CHECK(stage.requests[2]->status == 200);
  CHECK(stage.requests[2]->ended);
}

TEST_CASE("a request that comes while a place is given away waits behind those that waited") {
  Stage stage(capacity(1));
  stage.send("/a");
  stage.send("/b");
  stage.origin.calls[0]->answer_end();
  stage.send("/c");
  stage.loop.turn();
  CHECK(stage.seen() == "/a/b");
}

TEST_CASE("the urgent go first, and gateways take turns") {
  Stage stage(capacity(1));
  stage.send("/first");
  stage.send("/bulk", "u=7", "one");
  stage.send("/a1", "", "one");
  stage.send("/a2", "", "one");
  stage.send("/b1", "", "two");
  stage.send("/now", "u=0", "one");
  for (size_t index = 0; index < 5; ++index)
    stage.finish(index);
  CHECK(stage.seen() == "/first/now/a1/b1/a2/bulk");
}

TEST_CASE("a priority that is junk counts as none") {
  Stage stage(capacity(1));
  stage.send("/first");
  stage.send("/a", "u=0,,");
  stage.send("/b", "\x01\xff");
  stage.send("/c", std::string(10'000, 'u'));
  stage.send("/urgent", "u=2");
  for (size_t index = 0; index < 4; ++index)
    stage.finish(index);
  CHECK(stage.seen() == "/first/urgent/a/b/c");
}

TEST_CASE("a gateway may change its mind about a request that waits") {
  Stage stage(capacity(1));
  stage.send("/first");
  stage.send("/a");
  stage.send("/b").call->reprioritize({0, false});
  stage.finish(0);
  CHECK(stage.seen() == "/first/b");
}

TEST_CASE("a queued request that is given up never reaches the origin") {
  Stage stage(capacity(1));
  stage.send("/a");
  Request& given_up = stage.send("/b");
  stage.send("/c");
  stage.loop.retire(std::move(given_up.call));
  stage.loop.turn();
  stage.finish(0);
  stage.finish(1);
  CHECK(stage.seen() == "/a/c");
  CHECK(stage.admission->queued() == 0);
  CHECK(stage.metric(R"(ptth_queue_drops_total{class="none",reason="abandoned"})") == 1);
}

TEST_CASE("a cancelled call keeps its place until the origin is done with it") {
  Stage stage(capacity(1));
  Request& cancelled = stage.send("/a");
  stage.send("/b");
  cancelled.call.reset();
  stage.loop.turn();
  CHECK(stage.seen() == "/a");
  stage.origin.calls[0]->slot.release();
  stage.loop.turn();
  CHECK(stage.seen() == "/a/b");
}

TEST_CASE("bodies wait with their requests, and follow them to the origin") {
  Stage stage(capacity(1));
  stage.send("/a");
  auto upload = std::make_unique<Request>();
  upload->head.method = "POST";
  upload->head.path = "/upload";
  upload->head.body = BodyKind::kUnknown;
  Request& waiting = stage.start(std::move(upload));
  const std::string text = "some bytes";
  const Bytes bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  waiting.call->write_body(bytes);
  FieldList trailers;
  trailers.add("digest", "abc");
  waiting.call->end_body(trailers);
  CHECK(waiting.taken == 0);
  CHECK(stage.metric(R"(ptth_queue_bytes{class="none"})") == 10);
  stage.finish(0);
  CHECK(stage.origin.calls.at(1)->body == text);
  CHECK(stage.origin.calls.at(1)->body_ended);
  CHECK(stage.origin.calls.at(1)->trailers.find("digest") == "abc");
  CHECK(stage.metric(R"(ptth_queue_bytes{class="none"})") == 0);
}

TEST_CASE("a body that is too much for the queue ends its request's wait") {
  AdmissionOptions options = capacity(1);
  options.queue.bytes_max = 15;
  Stage stage(options);
  stage.send("/a");
  Request& small = stage.send("/b");
  Request& large = stage.send("/c");
  const std::string text = "some bytes";
  const Bytes bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  small.call->write_body(bytes);
  large.call->write_body(bytes);
  CHECK(large.refusal.empty());
  large.call->write_body(bytes);
  stage.loop.turn();
  CHECK(large.refusal == "the bodies in the queue are over their limit");
  CHECK(small.refusal.empty());
  stage.finish(0);
  CHECK(stage.seen() == "/a/b");
}

TEST_CASE("nobody waits for longer than the queue allows, or than the gateway does") {
  AdmissionOptions options = capacity(1);
  options.queue.age_max = Milliseconds(1000);
  Stage stage(options);
  stage.send("/a");
  Request& patient = stage.send("/b");
  Request& hurried = stage.send("/c", "", "gw", {{"request-timeout", "0.25"}});
  Request& late = stage.send("/d", "", "gw", {{"request-timeout", "0"}});
  Request& odd = stage.send("/e", "", "gw", {{"request-timeout", "soon"}});
  Request& generous = stage.send("/f", "", "gw", {{"request-timeout", "3600"}});
  stage.loop.turn();
  CHECK(late.refusal == "the gateway's deadline passed in the queue");
  stage.loop.advance(Milliseconds(249));
  CHECK(hurried.refusal.empty());
  stage.loop.advance(Milliseconds(1));
  CHECK(hurried.refusal == "the gateway's deadline passed in the queue");
  stage.loop.advance(Milliseconds(749));
  CHECK(patient.refusal.empty());
  stage.loop.advance(Milliseconds(1));
  for (const Request* request : {&patient, &odd, &generous})
    CHECK(request->refusal == "it waited for too long in the queue");
  stage.finish(0);
  CHECK(stage.seen() == "/a");
  CHECK(stage.metric(R"(ptth_queue_drops_total{class="none",reason="age"})") == 3);
  CHECK(stage.metric(R"(ptth_queue_drops_total{class="none",reason="deadline"})") == 2);
}

TEST_CASE("a request that can start at once is not asked for its deadline") {
  Stage stage(capacity(1));
  stage.send("/a", "", "gw", {{"request-timeout", "0"}});
  CHECK(stage.seen() == "/a");
}

TEST_CASE("in a full queue the less urgent give way, and nobody else") {
  AdmissionOptions options = capacity(1);
  options.queue.length_max = 2;
  Stage stage(options);
  stage.send("/a");
  stage.send("/b");
  Request& bulk = stage.send("/c", "u=6");
  Request& urgent = stage.send("/d", "u=1");
  CHECK(bulk.refusal.empty());  // Not from inside the start of another.
  Request& usual = stage.send("/e");
  stage.loop.turn();
  CHECK(bulk.refusal == "another request took its place in the queue");
  CHECK(usual.refusal == "the origin has its fill, and the queue is full");
  CHECK(urgent.refusal.empty());
  CHECK(stage.admission->queued() == 2);
  stage.finish(0);
  stage.finish(1);
  CHECK(stage.seen() == "/a/d/b");
}

TEST_CASE("a request whose place was taken may go away before it is told") {
  AdmissionOptions options = capacity(1);
  options.queue.length_max = 1;
  Stage stage(options);
  stage.send("/a");
  Request& bulk = stage.send("/b", "u=6");
  stage.send("/c", "u=1");
  bulk.call.reset();
  stage.loop.turn();
  CHECK(bulk.refusal.empty());
  CHECK(stage.admission->queued() == 1);
}

TEST_CASE("without a queue all beyond the capacity are refused") {
  AdmissionOptions options = capacity(1);
  options.queue.length_max = 0;
  Stage stage(options);
  stage.send("/a");
  Request& refused = stage.send("/b");
  CHECK(refused.refusal.empty());
  stage.loop.turn();
  CHECK(refused.refusal == "the origin has its fill, and the queue is full");
  CHECK(stage.metric("ptth_admission_refusals_total") == 1);
}

TEST_CASE("a queue that stands is shortened from its front") {
  AdmissionOptions options = capacity(1);
  options.queue.codel = {Milliseconds(50), Milliseconds(500)};
  options.queue.age_max = Milliseconds(60'000);
  Stage stage(options);
  stage.send("/0");
  for (int number = 1; number < 40; ++number)
    stage.send("/x");
  size_t served = 0;
  while (served < stage.origin.calls.size()) {
    stage.loop.advance(Milliseconds(100));
    stage.finish(served++);
  }
  size_t dropped = 0;
  for (const auto& request : stage.requests)
    dropped += request->refusal == "the queue stands, and is being shortened" ? 1 : 0;
  CHECK(served + dropped == 40);
  CHECK(dropped > 5);
  CHECK(stage.requests.back()->refusal.empty());
}

TEST_CASE("the capacity can be changed from outside, and those that wait profit at once") {
  Stage stage(capacity(1));
  for (const char* path : {"/a", "/b", "/c"})
    stage.send(path);
  stage.admission->set_capacity_by_admin(3);
  stage.loop.turn();
  CHECK(stage.seen() == "/a/b/c");
  CHECK(stage.metric("ptth_capacity") == 3);
  CHECK(stage.metric(R"(ptth_capacity_source{source="admin"})") == 1);
  CHECK(stage.metric("ptth_saturation") == 1);
  stage.admission->set_capacity_by_admin(std::nullopt);
  CHECK(stage.admission->capacity() == 1);
  stage.send("/d");
  stage.finish(0);
  stage.finish(1);
  CHECK(stage.seen() == "/a/b/c");
  stage.finish(2);
  CHECK(stage.seen() == "/a/b/c/d");
}

TEST_CASE("the application says its capacity in a field that goes no further") {
  AdmissionOptions options = capacity(1);
  options.capacity.header = "x-capacity";
  Stage stage(options);
  Request& first = stage.send("/a");
  stage.send("/b");
  stage.send("/c");
  FieldList fields;
  fields.add("content-type", "text/plain");
  fields.add("x-capacity", "2");
  stage.origin.calls[0]->answer_head(200, BodyKind::kNone, fields);
  stage.origin.calls[0]->answer_end();
  stage.loop.turn();
  CHECK(first.fields.find("content-type") == "text/plain");
  CHECK_FALSE(first.fields.find("x-capacity"));
  // The floor holds for it, too.
  CHECK(stage.admission->capacity() == options.capacity.gradient.floor);
  CHECK(stage.admission->capacity_source() == Capacity::Source::kApplication);
  CHECK(stage.seen() == "/a/b/c");
}

TEST_CASE("a capacity of the application's that makes no sense changes nothing") {
  AdmissionOptions options = capacity(7);
  options.capacity.header = "x-capacity";
  Stage stage(options);
  for (const char* value : {"", "-1", "many", "1.5", "5, 6", "99999999999999999999"}) {
    CAPTURE(value);
    stage.send("/a");
    FieldList fields;
    fields.add("x-capacity", value);
    stage.origin.calls.back()->answer_head(200, BodyKind::kNone, fields);
    CHECK(stage.admission->capacity() == 7);
    CHECK_FALSE(stage.requests.back()->fields.find("x-capacity"));
  }
  CHECK(stage.metric("ptth_capacity_values_ignored_total") == 6);
}

TEST_CASE("the administrator outranks the application") {
  AdmissionOptions options = capacity(7);
  options.capacity.header = "x-capacity";
  Stage stage(options);
  stage.admission->set_capacity_by_admin(5);
  stage.send("/a");
  FieldList fields;
  fields.add("x-capacity", "50");
  stage.origin.calls.back()->answer_head(200, BodyKind::kNone, fields);
  CHECK(stage.admission->capacity() == 5);
  stage.admission->set_capacity_by_admin(std::nullopt);
  CHECK(stage.admission->capacity() == 50);
}

TEST_CASE("ten heavy requests do not keep the others waiting") {
  AdmissionOptions options = capacity(5);
  RequestClass heavy;
  heavy.name = "export";
  heavy.match.paths = {"/export/*"};
  heavy.concurrency = 2;
  options.classes = {heavy};
  Stage stage(options);
  for (int number = 0; number < 10; ++number)
    stage.send("/export/all?page=1");
  CHECK(stage.origin.calls.size() == 2);
  for (const char* path : {"/a", "/b", "/c"})
    stage.send(path);
  CHECK(stage.origin.calls.size() == 5);
  CHECK(stage.metric(R"(ptth_queue_length{class="export"})") == 8);
  CHECK(stage.metric(R"(ptth_in_flight{class="export"})") == 2);
  CHECK(stage.metric(R"(ptth_in_flight{class="none"})") == 3);
  // Below the capacity, and yet no third one.
  stage.finish(2);
  CHECK(stage.origin.calls.size() == 5);
  stage.finish(0);
  CHECK(stage.origin.calls.back()->head.path == "/export/all?page=1");
  CHECK(stage.origin.calls.size() == 6);
}

TEST_CASE("classes have queues of their own") {
  AdmissionOptions options = capacity(1);
  RequestClass heavy;
  heavy.name = "export";
  heavy.match.methods = {"EXPORT"};
  heavy.queue.length_max = 0;
  options.classes = {heavy};
  Stage stage(options);
  stage.send("/a");
  auto request = std::make_unique<Request>();
  request->head.method = "EXPORT";
  Request& refused = stage.start(std::move(request));
  stage.send("/b");
  stage.loop.turn();
  CHECK_FALSE(refused.refusal.empty());
  CHECK(stage.admission->queued() == 1);
}

TEST_CASE("a route becomes heavy by what it costs, and light again") {
  AdmissionOptions options = capacity(100);
  RequestClass heavy;
  heavy.name = "slow";
  heavy.match.latency_min = Milliseconds(500);
  heavy.concurrency = 1;
  options.classes = {heavy};
  Stage stage(options);
  const auto serve = [&](const char* path, Milliseconds latency) {
    stage.send(path);
    stage.loop.advance(latency);
    stage.finish(stage.origin.calls.size() - 1);
  };
  for (int number = 0; number < 5; ++number) {
    serve("/report/7?full", Milliseconds(800));
    serve("/page/1", Milliseconds(20));
  }
  stage.send("/report/7");
  stage.send("/report/7/of/many");
  stage.send("/page/1");
  stage.send("/page/1");
  CHECK(stage.admission->queued() == 1);
  CHECK(stage.metric(R"(ptth_in_flight{class="slow"})") == 1);
  CHECK(stage.metric(R"(ptth_in_flight{class="none"})") == 2);
}

TEST_CASE("the origin's work is counted through whoever wraps the admission") {
  Stage stage(capacity(1));
  WorkCount of_gateway;
  auto request = std::make_unique<Request>();
  Request& started = *request;
  stage.requests.push_back(std::move(request));
  started.call = stage.admission->start(started.head, started, WorkSlot(of_gateway));
  CHECK(of_gateway.in_hand() == 1);
  CHECK(stage.work.total.in_hand() == 1);
  stage.finish(0);
  CHECK(of_gateway.in_hand() == 0);
  CHECK(stage.work.total.in_hand() == 0);
}

TEST_CASE("who has its gateway's share waits, while another gateway's requests go by") {
  AdmissionOptions options = capacity(10);
  Stage stage(options);
  stage.shares.set_reserve(2);
  stage.shares.of("b").is_attached = true;
  for (int number = 0; number < 10; ++number)
    stage.send("/a", "", "a");
  CHECK(stage.origin.calls.size() == 8);
  stage.send("/b", "", "b");
  CHECK(stage.origin.calls.size() == 9);
  CHECK(stage.origin.calls.back()->head.path == "/b");
  CHECK(stage.admission->queued() == 2);
  stage.origin.calls[0]->slot.release();
  stage.loop.turn();
  CHECK(stage.origin.calls.size() == 10);
  CHECK(stage.origin.calls.back()->head.path == "/a");
}

}  // namespace ptth
