// A hostile gateway's bytes into the HTTP/2 session. The first byte chooses how the rest is split
// and how the origin behaves; whatever comes, nothing crashes, and every call and every buffered
// byte is accounted for at the end.

#include "common/check.h"
#include "tests/support/scripted_gateway.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace {

using ptth::ScriptedGateway;
using ptth::ScriptedOrigin;

// The origin takes the bodies and answers every call that is still waiting.
void let_origin_act(ScriptedGateway& gateway, uint8_t behaviour, size_t& answered) {
  for (; answered < gateway.scripted_origin.calls.size(); ++answered) {
    ScriptedOrigin::Seen& call = gateway.call(answered);
    if (call.listener == nullptr) continue;
    if (!call.body.empty()) call.take(call.body.size());
    if ((behaviour & 0x10) != 0) {
      call.fail({ptth::ErrorKind::kClosed, ptth::Side::kOrigin, "fuzz"});
      continue;
    }
    call.answer_head(200, ptth::BodyKind::kUnknown);
    call.answer_body(std::string(300, 'x'));
    if ((behaviour & 0x20) == 0) call.answer_end();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t behaviour = data[0];
  ptth::Bytes input(data + 1, size - 1);
  const size_t step = (behaviour & 0x0f) == 0 ? input.size() : size_t{behaviour & 0x0fU};
  size_t budget_after = 0;
  {
    ptth::SessionOptions options;
    options.capacity = 4;
    ScriptedGateway gateway(options);
    if ((behaviour & 0x40) != 0) gateway.attach();
    size_t answered = 0;
    while (!input.empty() && !gateway.ended) {
      const ptth::Bytes part = input.first(std::min(step, input.size()));
      input = input.subspan(part.size());
      gateway.stream.deliver(part);
      gateway.loop.turn();
      let_origin_act(gateway, behaviour, answered);
    }
    gateway.loop.advance(ptth::Milliseconds(20'000));
    gateway.stream.deliver_end();
    gateway.loop.turn();
    for (const auto& call : gateway.scripted_origin.calls)
      CHECK_INVARIANT(call->listener == nullptr);
    budget_after = gateway.budget.used_bytes;
  }
  CHECK_INVARIANT(budget_after == 0);
  return 0;
}
