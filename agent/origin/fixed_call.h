#pragma once

// A call whose answer is known when it starts: what the agent itself has to say.

#include "agent/origin/origin.h"
#include "common/secret.h"

#include <memory>
#include <string_view>

namespace ptth {

// Answers at the end of the turn. The head says how long the body is; the body may hold a secret,
// and is wiped with the call.
[[nodiscard]] std::unique_ptr<OriginCall> make_fixed_call(Loop& loop, ResponseListener& listener,
                                                          ResponseHead head, Secret body);

// Why a question to the agent itself has no answer.
struct Refusal {
  int status;
  std::string_view text;        // A line for whoever asked.
  std::string_view allow = {};  // With 405: the methods that there are.
};

// The same with a refusal, in the form that the method of the request asks for.
[[nodiscard]] std::unique_ptr<OriginCall> make_refusal_call(Loop& loop, ResponseListener& listener,
                                                            const RequestHead& asked,
                                                            const Refusal& refusal);

}  // namespace ptth
