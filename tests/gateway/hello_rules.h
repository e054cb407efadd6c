#pragma once

// What a hello that is an HTTP/1.1 request must say, by the words of the drafts (protocols.md
// sections 2 and 3), checked as strictly as they can be read. With no part of the agent's, so that
// both are tested.

#include "common/http_message.h"
#include "common/secret.h"
#include "tests/gateway/worker_session.h"

#include <string>
#include <string_view>
#include <vector>

namespace ptth::dev {

struct HelloRules {
  WorkerProfile profile = WorkerProfile::kPtth;
  std::string path;                  // kReverse: the one that is served; empty: any.
  std::vector<std::string> origins;  // kPtth: that may be registered; empty: any.
  Secret token;                      // Bearer; empty: none is asked for.
};

// The first thing that is wrong, in one line; or, with status 101, what the worker is to get.
struct HelloVerdict {
  int status = 101;
  std::string text;
};

// As the parser gives them: connection-specific fields are left out of the head; upgrade is empty
// unless Connection has that option.
[[nodiscard]] HelloVerdict judge_hello(const HelloRules& rules, const RequestHead& head,
                                       std::string_view upgrade);

// The answer to it, as it is sent.
[[nodiscard]] std::string hello_answer(const HelloRules& rules, const HelloVerdict& verdict);

}  // namespace ptth::dev
