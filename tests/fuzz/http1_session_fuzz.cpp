// A hostile gateway's bytes into the HTTP/1.1 session. The first byte chooses how the rest is split
// and how the origin behaves. Whatever comes, nothing crashes, every call and every buffered byte
// is accounted for at the end, and what the origin has seen is what one parser reads from the
// whole.

#include "common/check.h"
#include "common/http1_request_parser.h"
#include "tests/support/scripted_http1_gateway.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

using ptth::Http1Event;
using ptth::ScriptedHttp1Gateway;
using ptth::ScriptedOrigin;

enum Behaviour : uint8_t {
  kStep = 0x0f,  // Bytes in a delivery; 0: all.
  kFails = 0x10,
  kNeverEnds = 0x20,
  kAnswersEarly = 0x40,
  kDrains = 0x80,
};

struct Request {
  std::string path;
  std::string body;

  bool operator==(const Request&) const = default;
};

// Without the one that did not come to its end.
std::vector<Request> read_whole(ptth::Bytes input) {
  ptth::Http1RequestParser parser(ptth::Scheme::kHttps);
  std::vector<Request> requests;
  parser.start();
  Request request;
  while (true) {
    switch (parser.next(input)) {
      case Http1Event::kHead:
        request = {parser.head().path, ""};
        break;
      case Http1Event::kBody:
        request.body.append(parser.body().begin(), parser.body().end());
        break;
      case Http1Event::kEnd:
        requests.push_back(request);
        if (!parser.keep_alive_possible()) return requests;
        parser.start();
        break;
      case Http1Event::kNeedMore:
      case Http1Event::kInterimHead:
      case Http1Event::kFailed:
        return requests;
    }
  }
}

void let_origin_act(ScriptedHttp1Gateway& gateway, uint8_t behaviour, size_t& answered) {
  for (; answered < gateway.calls(); ++answered) {
    ScriptedOrigin::Seen& call = gateway.call(answered);
    if (call.listener == nullptr) continue;
    if (!call.body_ended && (behaviour & kAnswersEarly) == 0) return;
    if (!call.body.empty()) call.take(call.body.size());
    if ((behaviour & kFails) != 0) {
      call.fail({ptth::ErrorKind::kClosed, ptth::Side::kOrigin, "fuzz"});
    } else {
      const bool is_head = call.head.method == "HEAD";
      call.answer_head(200, is_head ? ptth::BodyKind::kNone : ptth::BodyKind::kUnknown);
      if (!is_head) call.answer_body(std::string(300, 'x'));
      if ((behaviour & kNeverEnds) == 0) call.answer_end();
    }
    gateway.loop.turn();
  }
}

// In order, none twice, none that nobody sent. Some may be missing: refused by other rules.
void check_seen(const ScriptedHttp1Gateway& gateway, const std::vector<Request>& sent) {
  size_t at = 0;
  for (const auto& call : gateway.scripted_origin.calls) {
    if (!call->body_ended) continue;
    const Request seen{call->head.path, call->body};
    while (at < sent.size() && !(sent[at] == seen))
      ++at;
    CHECK_INVARIANT(at < sent.size());
    ++at;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t behaviour = data[0];
  ptth::Bytes input(data + 1, size - 1);
  const std::vector<Request> sent = read_whole(input);
  const size_t step = (behaviour & kStep) == 0 ? input.size() : size_t{behaviour} & kStep;
  size_t budget_after = 0;
  {
    ScriptedHttp1Gateway gateway;
    size_t answered = 0;
    while (!input.empty() && !gateway.ended) {
      const ptth::Bytes part = input.first(std::min(step, input.size()));
      input = input.subspan(part.size());
      gateway.stream.deliver(part);
      gateway.loop.turn();
      let_origin_act(gateway, behaviour, answered);
    }
    if ((behaviour & kDrains) != 0 && !gateway.ended) gateway.session().drain();
    gateway.loop.advance(ptth::Milliseconds(20'000));
    gateway.stream.deliver_end();
    gateway.loop.turn();
    CHECK_INVARIANT(gateway.ended.has_value());
    for (const auto& call : gateway.scripted_origin.calls)
      CHECK_INVARIANT(call->listener == nullptr);
    check_seen(gateway, sent);
    budget_after = gateway.budget.used_bytes;
  }
  CHECK_INVARIANT(budget_after == 0);
  return 0;
}
