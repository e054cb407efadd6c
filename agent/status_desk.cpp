#include "agent/status_desk.h"

#include <utility>

namespace ptth {

namespace {

std::vector<StatusReport::Phase> describe_relay(const std::vector<const RelayMetrics*>& gateways) {
  std::vector<const Histogram*> first_byte, transfer, exchange;
  for (const RelayMetrics* metrics : gateways) {
    first_byte.push_back(&metrics->first_byte_seconds);
    transfer.push_back(&metrics->transfer_seconds);
    exchange.push_back(&metrics->exchange_seconds);
  }
  return {describe_phase("first byte", first_byte), describe_phase("transfer", transfer),
          describe_phase("exchange", exchange)};
}

}  // namespace

StatusDesk::StatusDesk(Health& health, MakeReport make_report, Drain drain)
    : health_(health), make_report_(std::move(make_report)), drain_(std::move(drain)) {}

std::string StatusDesk::status() {
  StatusReport report = make_report_();
  report.checks = health_.readiness();
  return to_json(report);
}

StatusReport::Gateway describe_gateway(const GatewayOptions& options,
                                       const std::vector<std::unique_ptr<Link>>& links,
                                       const RelayMetrics& metrics, const StatusHistory& history) {
  StatusReport::Gateway gateway;
  gateway.name = options.name;
  gateway.profile = options.profile;
  gateway.address = options.host + ":" + std::to_string(options.port);
  for (const auto& link : links) {
    if (!link) continue;
    gateway.links.push_back({link->id(), to_string(link->state()), history.state_seconds(*link),
                             link->exchanges_in_flight(), link->last_error()});
  }
  gateway.events = history.events(options.name);
  gateway.in_flight = static_cast<uint64_t>(metrics.in_flight.value());
  gateway.refused_replayable = metrics.streams_refused.value();
  for (size_t index = 0; index < kVerdictCount; ++index) {
    const uint64_t count = metrics.exchanges[index]->value();
    if (count > 0) gateway.verdicts.emplace_back(to_string(static_cast<Verdict>(index)), count);
  }
  gateway.phases = describe_relay({&metrics});
  return gateway;
}

std::vector<StatusReport::Phase> describe_phases(const std::vector<const Histogram*>& queue,
                                                 const Histogram& origin_connect,
                                                 const std::vector<const RelayMetrics*>& gateways) {
  std::vector<StatusReport::Phase> phases = {describe_phase("queue", queue),
                                             describe_phase("origin connect", {&origin_connect})};
  for (StatusReport::Phase& phase : describe_relay(gateways))
    phases.push_back(std::move(phase));
  return phases;
}

void add_exchanges(StatusReport::Sample& sample, const RelayMetrics& metrics) {
  for (size_t index = 0; index < kVerdictCount; ++index) {
    const auto verdict = static_cast<Verdict>(index);
    const uint64_t count = metrics.exchanges[index]->value();
    sample.exchanges += count;
    if (verdict != Verdict::kOk && verdict != Verdict::kGatewayReset) sample.failures += count;
  }
}

}  // namespace ptth
