// What an Envoy sends on a connection that it keeps, as raw bytes: read alike however it is cut, an
// echo for each ping and for nothing else, and never more than the limit.

#include "agent/link/envoy_pings.h"
#include "common/check.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

using ptth::Bytes;
using ptth::EnvoyPings;

namespace {

constexpr size_t kPingsMax = 50;

struct Seen {
  EnvoyPings::Next next = EnvoyPings::Next::kNeedMore;
  size_t whole = 0;
  size_t taken = 0;

  bool operator==(const Seen&) const = default;
};

Seen read(Bytes input, size_t step) {
  EnvoyPings pings({kPingsMax, 0});
  Seen seen;
  while (seen.taken < input.size() && seen.next == EnvoyPings::Next::kNeedMore) {
    // Memory of its own, so that a byte too far is found by ASan.
    const Bytes left = input.subspan(seen.taken);
    const Bytes part = left.first(std::min(step, left.size()));
    const std::vector<uint8_t> piece(part.begin(), part.end());
    Bytes bytes = piece;
    size_t whole = 0;
    seen.next = pings.take(bytes, 1, whole);
    CHECK_INVARIANT(seen.next != EnvoyPings::Next::kNeedMore || bytes.empty());
    seen.whole += whole;
    seen.taken += piece.size() - bytes.size();
  }
  return seen;
}

void check(std::string_view text, const Seen& seen) {
  const std::string_view taken = text.substr(0, seen.taken);
  for (size_t at = 0; at < taken.size(); ++at)
    CHECK_INVARIANT(taken[at] == EnvoyPings::kPing[at % EnvoyPings::kPing.size()]);
  const bool is_too_many = seen.next == EnvoyPings::Next::kTooMany;
  const size_t pings = taken.size() / EnvoyPings::kPing.size();
  CHECK_INVARIANT(pings == seen.whole + (is_too_many ? 1 : 0));
  CHECK_INVARIANT(seen.whole <= kPingsMax);
  const bool begins_else =
      seen.next == EnvoyPings::Next::kMagic || seen.next == EnvoyPings::Next::kTls;
  if (!begins_else) return;
  CHECK_INVARIANT(taken.size() % EnvoyPings::kPing.size() == 0);
  CHECK_INVARIANT(text[seen.taken] == (seen.next == EnvoyPings::Next::kTls ? '\x16' : 'P'));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(data, size);
  const Seen whole = read(input, std::max<size_t>(size, 1));
  for (const size_t step : {size_t{1}, size_t{2}, size_t{3}, size_t{7}})
    CHECK_INVARIANT(read(input, step) == whole);
  check({reinterpret_cast<const char*>(data), size}, whole);
  return 0;
}
