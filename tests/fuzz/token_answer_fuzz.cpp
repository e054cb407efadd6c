// A token endpoint's answer: a token that is accepted fits into a header field and has a life
// within bounds; what is told of any other answer holds nothing of it.

#include "agent/link/auth.h"
#include "agent/link/oauth_exchange.h"
#include "common/check.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const int status : {200, 400, 503}) {
    const auto answer = ptth::read_token_answer(status, body);
    if (answer) {
      CHECK_INVARIANT(status == 200);
      const std::string_view token = answer.value().token.reveal();
      CHECK_INVARIANT(ptth::is_bearer_token(token) && token.size() <= ptth::kTokenBytesMax);
      CHECK_INVARIANT(answer.value().lifetime > ptth::Milliseconds(0));
      CHECK_INVARIANT(answer.value().lifetime <= ptth::kTokenLifetimeMax);
      continue;
    }
    const std::string& detail = answer.error().detail;
    CHECK_INVARIANT(detail.size() < 200);
    for (const char byte : detail)
      CHECK_INVARIANT(byte >= 0x20 && byte < 0x7f);
  }
  return 0;
}
