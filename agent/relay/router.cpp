#include "agent/relay/router.h"

#include <utility>

namespace ptth {

namespace {

class Router final : public Origin {
 public:
  Router(Loop& loop, Origin& origin, ServedAuthorities served)
      : loop_(loop), origin_(origin), served_(std::move(served)) {}

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override {
    if (serves(head)) return origin_.start(head, listener, std::move(slot));
    return make_failed_call(
        loop_, listener,
        {ErrorKind::kMisdirected, Side::kLocal, "the authority is not in the served list"});
  }

 private:
  [[nodiscard]] bool serves(const RequestHead& head) const {
    // A gateway's own health check names no authority (haproxy.md).
    if (served_.matches_all() || head.authority.empty()) return true;
    const std::optional<Scheme> scheme = parse_scheme(head.scheme);
    const Result<Authority> authority = parse_authority(head.authority);
    return scheme && authority && served_.matches(*scheme, authority.value());
  }

  Loop& loop_;
  Origin& origin_;
  const ServedAuthorities served_;
};

}  // namespace

std::unique_ptr<Origin> make_router(Loop& loop, Origin& origin, ServedAuthorities served) {
  return std::make_unique<Router>(loop, origin, std::move(served));
}

}  // namespace ptth
