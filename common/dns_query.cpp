#include "common/dns_query.h"

#include <algorithm>
#include <netdb.h>
#include <resolv.h>
#include <utility>
#include <vector>

namespace ptth {

namespace {

constexpr size_t kAnswerBytesMax = 65535;

std::string_view reason_of(int status) {
  switch (status) {
    case HOST_NOT_FOUND:
      return "there is no such name";
    case NO_DATA:
      return "it has no such record";
    default:
      return "no name server answers";
  }
}

// libresolv retries, and asks over TCP what does not fit a datagram.
Result<DnsAnswer> ask(const std::string& name, DnsType type) {
  const auto failed = [&](std::string_view what) {
    return Error{ErrorKind::kResolve, Side::kGateway,
                 "cannot look up \"" + name + "\": " + std::string(what), true};
  };

  struct __res_state state {};

  if (res_ninit(&state) != 0) return failed("the resolver's configuration cannot be read");
  std::vector<unsigned char> bytes(kAnswerBytesMax);
  const int size = res_nquery(&state, name.c_str(), 1 /* IN */, static_cast<int>(type),
                              bytes.data(), static_cast<int>(bytes.size()));
  const int status = state.res_h_errno;
  res_nclose(&state);
  if (size < 0) return failed(reason_of(status));
  const size_t held = std::min(static_cast<size_t>(size), bytes.size());
  auto answer = parse_dns_answer({bytes.data(), held}, type, name);
  if (!answer) return failed(answer.error().detail);
  return answer;
}

}  // namespace

DnsQuery::DnsQuery(std::unique_ptr<Errand> errand) : errand_(std::move(errand)) {}

std::unique_ptr<DnsQuery> DnsQuery::start(Loop& loop, const std::string& name, DnsType type,
                                          Done done) {
  auto errand = Errand::start(loop, [name, type, done = std::move(done)]() -> Errand::Done {
    return [done, answer = ask(name, type)] { done(answer); };
  });
  if (!errand) return nullptr;
  return std::unique_ptr<DnsQuery>(new DnsQuery(std::move(errand)));
}

}  // namespace ptth
