#pragma once

// What a hello that is a request, of HTTP/1.1 or by extended CONNECT, must say, by the words of its
// draft, or of Envoy (protocols.md sections 2, 3, 6 and 7), checked as strictly as they can be
// read. With no part of the agent's, so that both are tested.

#include "common/http_message.h"
#include "tests/gateway/credential_rules.h"
#include "tests/gateway/origin_rules.h"
#include "tests/gateway/worker_profile.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth::dev {

// How an Envoy is configured.
struct EnvoyRules {
  enum class Mode { kPlain, kUpgrade };
  enum class NodeName { kAny, kOfCertificate };

  std::string path = "/reverse_connections/request";
  Mode mode = Mode::kPlain;  // kUpgrade: use_http_upgrade.
  std::string header_prefix = "x-envoy";
  std::string upstream_cluster;         // That workers must name; empty: none.
  NodeName node_name = NodeName::kAny;  // Its validation, else 403.
};

struct HelloRules {
  WorkerProfile profile = WorkerProfile::kPtth;
  std::string path;     // Where no origins are registered: the one that is served; empty: any.
  OriginRules origins;  // Of registers_origins: those that may be.
  CredentialRules credentials;
  EnvoyRules envoy;
  Channel preferred = Channel::kHttp2;  // Where a worker offers both.
};

// The first thing that is wrong, in one line; or yes, and what the worker is to get.
struct HelloVerdict {
  int status = 101;
  std::string text;
  Channel channel = Channel::kHttp2;  // Of a yes.
  std::string worker;                 // Of a yes: what its credentials call it, if they do.
  std::string location;               // Of 307 and 308.

  [[nodiscard]] bool is_yes() const { return status == 101 || status == 200; }
};

// A hello as the parser gives it: connection-specific fields are left out of the head; upgrade is
// empty unless Connection has that option, and of a CONNECT it is its :protocol. worker: the common
// name of its certificate, if any.
struct HeardHello {
  const RequestHead& head;
  std::string_view upgrade;
  std::string_view worker;
};

[[nodiscard]] HelloVerdict judge_hello(const HelloRules& rules, const HeardHello& hello);

// The answer to it, as it is sent in HTTP/1.1.
[[nodiscard]] std::string hello_answer(const HelloRules& rules, const HelloVerdict& verdict);

// What its answer says in any version of HTTP, but for the fields that frame the message.
using AnswerFields = std::vector<std::pair<std::string_view, std::string>>;
[[nodiscard]] AnswerFields answer_fields(const HelloRules& rules, const HelloVerdict& verdict);
// Of a no.
[[nodiscard]] std::string answer_body(const HelloVerdict& verdict);

[[nodiscard]] HelloVerdict no_because(int status, std::string text);
// On purpose, whatever the hello says. 307 and 308 send the worker where it came from, so that it
// comes again.
[[nodiscard]] HelloVerdict no_by_fault(int status, const RequestHead& head);

// For the rules of each profile: a no of the profile's source, which it names; whether a list of
// upgrades has the token; whether a body comes.
[[nodiscard]] HelloVerdict no_by_source(const HelloRules& rules, int status, std::string text);
[[nodiscard]] bool asks_for_upgrade(std::string_view upgrade, std::string_view token);
[[nodiscard]] bool has_body(const RequestHead& head);

// envoy_rules.cpp
[[nodiscard]] HelloVerdict judge_envoy_hello(const HelloRules& rules, const HeardHello& hello);

}  // namespace ptth::dev
