#include "tests/gateway/toy_origin.h"

#include "common/byte_queue.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

namespace ptth::dev {

namespace {

// path?a=1&b=2, without percent-decoding: the values here are numbers and plain ids.
std::string_view path_of(std::string_view target) {
  return target.substr(0, target.find('?'));
}

std::string_view query_value(std::string_view target, std::string_view name) {
  const size_t mark = target.find('?');
  std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
      return pair.substr(name.size() + 1);
    }
  }
  return {};
}

uint64_t query_number(std::string_view target, std::string_view name, uint64_t otherwise) {
  const std::string_view text = query_value(target, name);
  uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = failed == std::errc() && end == text.data() + text.size();
  return whole && !text.empty() ? number : otherwise;
}

Bytes as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// What to answer; decided from the head of the request.
struct Plan {
  enum class Body { kText, kEcho, kGenerated };
  enum class When { kRequestRead, kAtOnce };

  int status = 200;
  Body body = Body::kText;
  When when = When::kRequestRead;
  std::string text;
  uint64_t generated_bytes = 0;
  Milliseconds delay{0};
  bool early_hints = false;
  bool trailers = false;
  std::string content_type = "text/plain";

  [[nodiscard]] bool wants_request() const {
    return when == When::kRequestRead || body == Body::kEcho;
  }
};

// A connection that has just broken takes everything and says so only when its turn comes.
constexpr uint64_t kGivenPerTurnMax = uint64_t{4} * 1024 * 1024;

class ToyCall final : public OriginCall {
 public:
  ToyCall(Loop& loop, const RequestHead& head, Plan plan, ResponseListener& listener)
      : listener_(listener),
        plan_(std::move(plan)),
        head_request_(head.method == "HEAD"),
        request_read_(head.body == BodyKind::kNone),
        request_length_(head.body == BodyKind::kLength ? std::optional(head.content_length)
                                                       : std::nullopt),
        continue_due_(
            !request_read_ && plan_.wants_request() &&
            equals_ignoring_case(head.fields.find("expect").value_or(""), "100-continue")),
        left_(head.method == "HEAD" ? 0 : plan_.generated_bytes),
        work_(loop, [this] { work(); }),
        delay_(loop,
               [this] {
                 delayed_ = false;
                 work_.schedule();
               }),
        next_turn_(loop, [this] { work_.schedule(); }) {
    // An answer to HEAD has no body, so there is nothing to stream back.
    if (head_request_) plan_.body = Plan::Body::kText;
    if (delayed_ = plan_.delay > Milliseconds(0); delayed_) delay_.start(plan_.delay);
    work_.schedule();
  }

  void write_body(Bytes bytes) override {
    if (plan_.body == Plan::Body::kEcho) {
      echo_.append(bytes);
    } else {
      untaken_ += bytes.size();
    }
    work_.schedule();
  }

  void end_body(const FieldList& trailers) override {
    request_read_ = true;
    if (plan_.body == Plan::Body::kEcho) trailers_ = trailers;
    work_.schedule();
  }

  void pause_response() override { paused_ = true; }

  void resume_response() override {
    paused_ = false;
    work_.schedule();
  }

 private:
  void work() {
    if (ended_) return;
    if (std::exchange(continue_due_, false)) give_interim(100);
    if (untaken_ > 0) listener_.on_request_body_taken(std::exchange(untaken_, 0));
    const bool at_once = plan_.when == Plan::When::kAtOnce;
    if (delayed_ || (!request_read_ && !at_once)) return;
    if (!head_given_) give_head();
    if (!paused_) give_body();
    const bool all_given = left_ == 0 && text_given_ && echo_.empty();
    if (!all_given || (plan_.body == Plan::Body::kEcho && !request_read_)) return;
    ended_ = true;
    listener_.on_response_end(trailers_);
  }

  void give_interim(int status, std::string_view name = {}, std::string_view value = {}) {
    ResponseHead interim;
    interim.status = status;
    if (!name.empty()) interim.fields.add(name, value);
    listener_.on_interim_response(interim);
  }

  void give_head() {
    head_given_ = true;
    if (plan_.early_hints) give_interim(103, "link", "</style.css>; rel=preload; as=style");
    ResponseHead head;
    head.status = plan_.status;
    head.fields.add("content-type", plan_.content_type);
    if (plan_.trailers) trailers_.add("x-toy-trailer", "the end");
    if (plan_.status == 204 || plan_.status == 304) {
      plan_.text.clear();
    } else {
      give_length(head);
    }
    if (head_request_) {
      head.body = BodyKind::kNone;
      plan_.text.clear();
    }
    text_given_ = plan_.text.empty();
    listener_.on_response_head(head);
  }

  // With trailers the length stays open, because HTTP/1.1 has trailers only behind chunks.
  void give_length(ResponseHead& head) const {
    head.body = BodyKind::kLength;
    switch (plan_.body) {
      case Plan::Body::kText:
        head.content_length = plan_.text.size();
        break;
      case Plan::Body::kGenerated:
        head.content_length = plan_.generated_bytes;
        break;
      case Plan::Body::kEcho:
        if (!request_length_) head.body = BodyKind::kUnknown;
        head.content_length = request_length_.value_or(0);
        if (request_read_) head.content_length = echo_.size();
        break;
    }
    if (plan_.trailers) head.body = BodyKind::kUnknown;
    if (head.body == BodyKind::kLength) {
      head.fields.add("content-length", std::to_string(head.content_length));
    }
  }

  void give_body() {
    if (!text_given_) {
      text_given_ = true;
      listener_.on_response_body(as_bytes(plan_.text));
    }
    if (!echo_.empty()) {
      ByteQueue whole;
      std::swap(whole, echo_);
      listener_.on_response_body(whole.front());
      listener_.on_request_body_taken(whole.size());
    }
    const uint64_t last = left_ - std::min(left_, kGivenPerTurnMax);
    while (left_ > last && !paused_)
      give_generated();
    if (left_ > 0 && !paused_) next_turn_.start(Milliseconds(0));
  }

  // Lines of 64 bytes, each with the position of its first byte, so that a wrong place shows.
  void give_generated() {
    constexpr size_t kLine = 64;
    std::array<uint8_t, kLine * 256> block;
    block.fill('.');
    const uint64_t from = plan_.generated_bytes - left_;
    const uint64_t line_start = from / kLine * kLine;
    for (size_t line = 0; line < block.size(); line += kLine) {
      auto* text = reinterpret_cast<char*>(block.data() + line);
      std::to_chars(text, text + kLine, line_start + line);
      block[line + kLine - 1] = '\n';
    }
    const Bytes content = Bytes(block).subspan(static_cast<size_t>(from - line_start));
    const size_t count = std::min<uint64_t>(content.size(), left_);
    left_ -= count;
    listener_.on_response_body(content.first(count));
  }

  ResponseListener& listener_;
  Plan plan_;
  bool head_request_;
  bool request_read_;
  std::optional<uint64_t> request_length_;
  bool continue_due_;  // RFC 9110 section 10.1.1.
  uint64_t left_;
  bool delayed_ = false;
  bool head_given_ = false;
  bool text_given_ = false;
  bool paused_ = false;
  bool ended_ = false;
  size_t untaken_ = 0;
  ByteQueue echo_;
  FieldList trailers_;
  EndOfTurn work_;
  Timer delay_;
  Timer next_turn_;
};

std::string describe(const RequestHead& head) {
  std::string text = head.method + " " + head.scheme + " " + head.authority + " " + head.path;
  for (const Field field : head.fields)
    text.append("\n").append(field.name).append(": ").append(field.value);
  return text + "\n";
}

Plan plan_for(const RequestHead& head, uint64_t times_seen) {
  Plan plan;
  const std::string_view path = path_of(head.path);
  if (path == "/" || path == "*") {
    plan.text = toy_origin_help();
  } else if (path == "/hello") {
    plan.text = "hello from ptth-dev-origin\n";
  } else if (path == "/echo") {
    plan.body = Plan::Body::kEcho;
    plan.when = Plan::When::kAtOnce;
    plan.content_type = head.fields.find("content-type").value_or("application/octet-stream");
  } else if (path == "/bytes") {
    plan.body = Plan::Body::kGenerated;
    plan.generated_bytes = query_number(head.path, "n", 1024);
  } else if (path == "/slow") {
    plan.delay = Milliseconds(std::min<uint64_t>(query_number(head.path, "ms", 1000), 3'600'000));
    plan.text = "that took a while\n";
  } else if (path == "/status") {
    plan.status = static_cast<int>(query_number(head.path, "code", 200));
    if (plan.status < 200 || plan.status > 599) plan.status = 400;
    plan.text = "status " + std::to_string(plan.status) + "\n";
  } else if (path == "/request") {
    plan.text = describe(head);
  } else if (path == "/early") {
    plan.when = Plan::When::kAtOnce;
    plan.text = "answered before the request was read\n";
  } else if (path == "/hints") {
    plan.early_hints = true;
    plan.text = "103 came first\n";
  } else if (path == "/trailers") {
    plan.trailers = true;
    plan.text = "a trailer follows\n";
  } else if (path == "/count") {
    plan.text = std::to_string(times_seen) + "\n";
  } else {
    plan.status = 404;
    plan.text = "nothing is at " + std::string(path) + "; GET / says what there is\n";
  }
  return plan;
}

}  // namespace

std::string_view toy_origin_help() {
  return "ptth-dev-origin answers to any method, as HTTP/1.1 and HTTP/2 (prior knowledge):\n"
         "  /hello            a greeting\n"
         "  /echo             the request's body, streamed back, with its trailers\n"
         "  /bytes?n=N        N bytes of lines that count\n"
         "  /slow?ms=N        an answer after N milliseconds\n"
         "  /status?code=N    an answer with that status\n"
         "  /request          the request line and fields as they came here\n"
         "  /early            an answer before the request's body was read\n"
         "  /hints            103 (Early Hints), then the answer\n"
         "  /trailers         an answer with a trailer\n"
         "  /count?of=ID      how many requests carried ?id=ID or the field x-request-id: ID\n";
}

ToyOrigin::ToyOrigin(Loop& loop, Log& log) : loop_(loop), log_(log) {}

std::unique_ptr<OriginCall> ToyOrigin::start(const RequestHead& head, ResponseListener& listener,
                                             WorkSlot /*slot*/) {
  ++requests_;
  std::string id(query_value(head.path, "id"));
  if (id.empty()) id = head.fields.find("x-request-id").value_or("");
  if (!id.empty() && (seen_.contains(id) || seen_.size() < kIdsMax)) ++seen_[id];
  const auto asked = seen_.find(std::string(query_value(head.path, "of")));
  log_.info("request", {{"request", requests_},
                        {"method", head.method},
                        {"authority", head.authority},
                        {"path", head.path},
                        {"id", id}});
  Plan plan = plan_for(head, asked == seen_.end() ? 0 : asked->second);
  return std::make_unique<ToyCall>(loop_, head, std::move(plan), listener);
}

}  // namespace ptth::dev
