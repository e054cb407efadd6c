#include "agent/discovery.h"

#include "agent/config_discovery.h"
#include "common/http_uri.h"

#include <algorithm>
#include <set>
#include <utility>

namespace ptth {

namespace {

using Kind = DiscoveryOptions::Kind;

// What another document said may name hosts that this one may not; and names that only DNS vouches
// for are not kept when that is no longer enough.
std::vector<FoundGateway> still_allowed(std::vector<FoundGateway> known,
                                        const DiscoveryOptions& before,
                                        const DiscoveryOptions& options) {
  if (before.insecure_target_names && !options.insecure_target_names) return {};
  if (options.kind != Kind::kDocument) return known;
  std::vector<std::string> allowed = options.allowed_hosts;
  if (allowed.empty()) allowed.push_back(discovery_host(options));
  std::erase_if(known, [&](const FoundGateway& gateway) {
    return std::find(allowed.begin(), allowed.end(), gateway.host) == allowed.end();
  });
  return known;
}

}  // namespace

Discovery::Discovery(Loop& loop, Log& log, Metrics& metrics, Network& network,
                     std::function<void()> on_change)
    : loop_(loop),
      log_(log),
      metrics_(metrics),
      network_(network),
      on_change_(std::move(on_change)),
      changed_(loop, [this] { on_change_(); }) {}

Discovery::~Discovery() = default;

void Discovery::configure(const Config& config) {
  std::vector<Entry> before = std::exchange(finders_, {});
  for (const GatewayOptions& gateway : config.gateways) {
    if (gateway.discovery.kind == Kind::kNone) continue;
    const Asked asked = asked_by(gateway, config);
    const auto same = std::find_if(before.begin(), before.end(), [&](const Entry& entry) {
      return entry.finder && entry.finder->name() == gateway.name;
    });
    std::vector<FoundGateway> known;
    if (same != before.end()) {
      if (same->asked == asked) {
        finders_.push_back(std::move(*same));
        continue;
      }
      // It goes first: the two have the same metrics.
      known = still_allowed(same->finder->found(), same->asked.options, gateway.discovery);
      same->finder.reset();
    }
    finders_.push_back({asked, make_finder(gateway.name, asked, std::move(known))});
  }
}

// A proxy is for the document's server; name servers are asked without one.
Discovery::Asked Discovery::asked_by(const GatewayOptions& gateway, const Config& config) const {
  Asked asked{gateway.discovery, {}};
  if (gateway.discovery.kind != Kind::kDocument) return asked;
  const HttpUri place = parse_http_uri(gateway.discovery.target).value();
  auto proxy = chosen_proxy(gateway.proxy, place.authority.host, place.port(), config.environment);
  if (proxy) {
    asked.proxy = std::move(proxy).value();
  } else {
    log_.warn("no proxy for a discovery document",
              {{"discovery", gateway.name}, {"detail", proxy.error().detail}});
  }
  return asked;
}

std::unique_ptr<GatewayFinder> Discovery::make_finder(const std::string& name, const Asked& asked,
                                                      std::vector<FoundGateway> known) {
  std::unique_ptr<DiscoverySource> source;
  if (asked.options.kind == Kind::kDocument) {
    if (!fetcher_) fetcher_ = make_fetcher(loop_, network_);
    source = make_document_source(loop_, log_, *fetcher_, asked.options, asked.proxy);
  } else {
    source = make_dns_source(loop_, asked.options);
  }
  return std::make_unique<GatewayFinder>(
      GatewayFinder::Surroundings{loop_, log_, metrics_, make_random()}, name, asked.options,
      std::move(source), std::move(known), [this] { on_found(); });
}

std::vector<GatewayOptions> Discovery::gateways(const Config& config) const {
  std::vector<GatewayOptions> all;
  std::set<std::string> names;
  for (const GatewayOptions& gateway : config.gateways) {
    if (gateway.discovery.kind != Kind::kNone) continue;
    names.insert(gateway.name);
    all.push_back(gateway);
  }
  for (const GatewayOptions& asked : config.gateways) {
    const GatewayFinder* source = finder(asked.name);
    if (asked.discovery.kind == Kind::kNone || source == nullptr) continue;
    for (const FoundGateway& found : wanted(*source)) {
      auto gateway = to_gateway(asked, found, config.serve, config.environment);
      if (gateway && names.insert(gateway.value().name).second) {
        all.push_back(std::move(gateway).value());
        continue;
      }
      log_.warn_limited("a gateway that was found cannot be used", asked.name,
                        {{"found", found.name},
                         {"detail", gateway ? "its name is taken" : gateway.error().detail}});
    }
  }
  return all;
}

void Discovery::on_found() {
  std::erase_if(in_trouble_, [this](const std::string& name) {
    return std::none_of(finders_.begin(), finders_.end(), [&](const Entry& entry) {
      const auto& found = entry.finder->found();
      return std::any_of(found.begin(), found.end(), [&](const FoundGateway& gateway) {
        return name == entry.finder->name() + "." + gateway.name;
      });
    });
  });
  on_change_();
}

std::vector<FoundGateway> Discovery::wanted(const GatewayFinder& finder) const {
  std::vector<FoundGateway> sorted = finder.found();
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& left, const auto& right) {
    return left.priority < right.priority;
  });
  std::vector<FoundGateway> wanted;
  bool is_enough = false;
  for (FoundGateway& found : sorted) {
    if (is_enough && found.priority != wanted.back().priority) break;
    is_enough |= !in_trouble_.contains(finder.name() + "." + found.name);
    wanted.push_back(std::move(found));
  }
  return wanted;
}

void Discovery::note_trouble(const std::string& gateway) {
  for (const auto& [asked, finder] : finders_) {
    if (!gateway.starts_with(finder->name() + ".")) continue;
    finder->look_soon();
    if (in_trouble_.insert(gateway).second) changed_.schedule();
  }
}

void Discovery::note_attached(const std::string& gateway) {
  if (in_trouble_.erase(gateway) > 0) changed_.schedule();
}

GatewayFinder* Discovery::finder(const std::string& name) const {
  for (const auto& [asked, finder] : finders_) {
    if (finder->name() == name) return finder.get();
  }
  return nullptr;
}

}  // namespace ptth
