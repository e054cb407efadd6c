#pragma once

// DnsQuery: one question for SRV or SVCB records to the system's name servers, on a thread of its
// own. Addresses are asked for elsewhere, by Network.

#include "common/dns_message.h"
#include "common/errand.h"
#include "common/error.h"
#include "common/loop.h"

#include <functional>
#include <memory>
#include <string>

namespace ptth {

class DnsQuery {
 public:
  // As parse_dns_answer(); kResolve also when no server answers.
  using Done = std::function<void(const Result<DnsAnswer>& answer)>;

  // Calls back once, from the loop. The name is complete: no search domain is added. Nothing when
  // no thread can be had. Destroying it abandons the question; not inside Done (Loop::retire).
  [[nodiscard]] static std::unique_ptr<DnsQuery> start(Loop& loop, const std::string& name,
                                                       DnsType type, Done done);

 private:
  explicit DnsQuery(std::unique_ptr<Errand> errand);

  std::unique_ptr<Errand> errand_;
};

}  // namespace ptth
