// SRV (RFC 2782) and SVCB (RFC 9460; the name by draft-bt-httpbis-reverse-http: _http-reverse.HOST,
// with alpn mandatory).

#include "agent/config_address.h"
#include "agent/config_discovery.h"
#include "agent/discovery_source.h"
#include "agent/service_order.h"
#include "common/dns_query.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

constexpr uint16_t kHttpsPort = 443;
constexpr uint32_t kAliasesMax = 8;

class DnsSource final : public DiscoverySource {
 public:
  DnsSource(Loop& loop, const DiscoveryOptions& options)
      : loop_(loop),
        options_(options),
        host_(discovery_host(options)),
        seed_(make_service_seed()),
        no_thread_(loop, [this] {
          finish(Error{ErrorKind::kInternal, Side::kLocal,
                       "this host gives us no thread for a look-up", true});
        }) {
    if (options.kind == DiscoveryOptions::Kind::kSvcb) {
      const auto place = parse_host_port(options.target);
      if (place && place.value().port != 0) port_ = place.value().port;
    }
  }

  void look(Done done) override {
    done_ = std::move(done);
    aliases_ = 0;
    ttl_ = UINT32_MAX;
    if (options_.kind == DiscoveryOptions::Kind::kSrv) {
      ask(options_.target, DnsType::kSrv);
    } else {
      // RFC 9460 section 2.3: another port than the scheme's own is a label in front.
      const std::string port = port_ == kHttpsPort ? "" : "_" + std::to_string(port_) + ".";
      ask(port + "_http-reverse." + host_, DnsType::kSvcb);
    }
  }

  void cancel() override {
    done_ = {};
    no_thread_.cancel();
    loop_.retire(std::move(query_));
  }

 private:
  void ask(const std::string& name, DnsType type) {
    query_ = DnsQuery::start(loop_, name, type, [this](const Result<DnsAnswer>& answer) {
      loop_.retire(std::move(query_));
      on_answer(answer);
    });
    if (!query_) no_thread_.schedule();
  }

  void finish(Result<Looked> looked) {
    const Done done = std::exchange(done_, {});
    if (done) done(std::move(looked));
  }

  void fail(const std::string& what) {
    finish(Error{ErrorKind::kResolve, Side::kGateway, options_.target + ": " + what, true});
  }

  void on_answer(const Result<DnsAnswer>& answer) {
    if (!answer) {
      finish(answer.error());
      return;
    }
    ttl_ = std::min(ttl_, answer.value().ttl_seconds);
    if (options_.kind == DiscoveryOptions::Kind::kSrv) {
      on_srv(answer.value().srv);
    } else {
      on_svcb(answer.value().svcb);
    }
  }

  void on_srv(const std::vector<SrvRecord>& records) {
    std::vector<Service> services;
    for (const SrvRecord& record : records) {
      // RFC 2782: "." says that the service is not to be had there.
      if (record.target.empty() || record.port == 0) continue;
      FoundGateway gateway;
      gateway.host = record.target;
      gateway.port = record.port;
      gateway.priority = record.priority;
      if (!options_.insecure_target_names) gateway.server_name = host_;
      services.push_back({std::move(gateway), record.weight});
    }
    found(std::move(services));
  }

  void on_svcb(const std::vector<SvcbRecord>& records) {
    // Section 2.4.1: an alias rules out all else.
    for (const SvcbRecord& record : records) {
      if (record.priority != 0) continue;
      if (record.target.empty()) {
        fail("the service is not to be had");
      } else if (++aliases_ > kAliasesMax) {
        fail("one alias leads to another, without end");
      } else {
        ask(record.target, DnsType::kSvcb);
      }
      return;
    }
    std::vector<Service> services;
    for (const SvcbRecord& record : records) {
      const uint16_t port = record.port.value_or(port_);
      if (record.is_beyond_us || record.alpn.empty() || port == 0) continue;
      FoundGateway gateway;
      gateway.host = record.target;
      gateway.port = port;
      gateway.priority = record.priority;
      gateway.server_name = host_;
      gateway.alpn = record.alpn;
      gateway.address_hints = record.address_hints;
      services.push_back({std::move(gateway), 1});
    }
    found(std::move(services));
  }

  void found(std::vector<Service> services) {
    for (Service& service : services)
      service.gateway.name = show_host_port(service.gateway.host, service.gateway.port);
    Looked looked;
    looked.gateways = choose_services(std::move(services), options_.gateways_max, seed_);
    looked.good_for = Milliseconds(int64_t{ttl_} * 1000);
    if (looked.gateways.empty()) {
      fail("none of its records is of use to us");
      return;
    }
    finish(std::move(looked));
  }

  Loop& loop_;
  const DiscoveryOptions options_;
  const std::string host_;
  const uint64_t seed_;
  uint16_t port_ = kHttpsPort;
  Done done_;
  uint32_t aliases_ = 0;  // One after the other.
  uint32_t ttl_ = 0;
  EndOfTurn no_thread_;
  std::unique_ptr<DnsQuery> query_;
};

}  // namespace

std::unique_ptr<DiscoverySource> make_dns_source(Loop& loop, const DiscoveryOptions& options) {
  return std::make_unique<DnsSource>(loop, options);
}

}  // namespace ptth
