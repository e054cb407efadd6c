#include "agent/status_report.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include <nlohmann/json.hpp>

namespace ptth {

namespace {

using Json = nlohmann::ordered_json;

// The value below which that part of all observations lies, between the bounds of its bucket.
double quantile(const std::vector<double>& bounds, const std::vector<uint64_t>& counts,
                uint64_t count, double part) {
  const double wanted = part * static_cast<double>(count);
  double below = 0;
  for (size_t index = 0; index < bounds.size(); ++index) {
    const auto here = static_cast<double>(counts[index]);
    if (here > 0 && below + here >= wanted) {
      const double lower = index == 0 ? 0 : bounds[index - 1];
      return lower + (bounds[index] - lower) * (wanted - below) / here;
    }
    below += here;
  }
  return bounds.empty() ? 0 : bounds.back();
}

template <class Items, class Convert>
Json array_of(const Items& items, Convert convert) {
  Json array = Json::array();
  for (const auto& item : items)
    array.push_back(convert(item));
  return array;
}

Json from_phase(const StatusReport::Phase& phase) {
  return {{"name", phase.name},       {"count", phase.count},     {"p50_seconds", phase.p50},
          {"p90_seconds", phase.p90}, {"p99_seconds", phase.p99}, {"bounds_seconds", phase.bounds},
          {"buckets", phase.buckets}};
}

Json from_link(const StatusReport::Link& link) {
  return {{"id", link.id},
          {"state", link.state},
          {"state_seconds", link.state_seconds},
          {"in_flight", link.in_flight},
          {"last_error", link.last_error}};
}

Json from_event(const StatusReport::Event& event) {
  return {{"seconds_ago", event.seconds_ago},
          {"link", event.link},
          {"state", event.state},
          {"reason", event.reason}};
}

Json from_gateway(const StatusReport::Gateway& gateway) {
  Json verdicts = Json::object();
  for (const auto& [verdict, count] : gateway.verdicts)
    verdicts[std::string(verdict)] = count;
  return {{"name", gateway.name},
          {"profile", gateway.profile},
          {"address", gateway.address},
          {"in_flight", gateway.in_flight},
          {"refused_replayable", gateway.refused_replayable},
          {"verdicts", std::move(verdicts)},
          {"phases", array_of(gateway.phases, from_phase)},
          {"links", array_of(gateway.links, from_link)},
          {"events", array_of(gateway.events, from_event)}};
}

Json from_sample(const StatusReport::Sample& sample) {
  return {{"in_flight", sample.in_flight},
          {"capacity", sample.capacity},
          {"queued", sample.queued},
          {"exchanges", sample.exchanges},
          {"failures", sample.failures}};
}

Json from_check(const Check& check) {
  return {{"name", check.name},
          {"passing", check.state == Check::State::kPassing},
          {"detail", check.detail}};
}

// Our own log wrote it; should it not be JSON one day, it is still text.
Json from_line(const std::string& line) {
  Json parsed = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  return parsed.is_object() ? parsed : Json{{"message", line}};
}

}  // namespace

StatusReport::Phase describe_phase(std::string_view name,
                                   const std::vector<const Histogram*>& histograms) {
  std::vector<double> bounds;
  std::vector<uint64_t> buckets;
  for (const Histogram* histogram : histograms) {
    const auto counts = histogram->counts();
    bounds.assign(histogram->bounds().begin(), histogram->bounds().end());
    buckets.resize(counts.size());
    std::ranges::transform(counts, buckets, buckets.begin(), std::plus<>());
  }
  const uint64_t count = std::accumulate(buckets.begin(), buckets.end(), uint64_t{0});
  if (count == 0) return {.name = name};
  const auto at = [&](double part) { return quantile(bounds, buckets, count, part); };
  return {name, count, at(0.5), at(0.9), at(0.99), bounds, buckets};
}

std::string to_json(const StatusReport& report) {
  Json document = {
      {"worker", report.worker},
      {"version", report.version},
      {"phase", report.phase},
      {"uptime_seconds", report.uptime_seconds},
      {"checks", array_of(report.checks, from_check)},
      {"origin", {{"name", report.origin}, {"reachable", report.origin_reachable}}},
      {"now", from_sample(report.now)},
      {"phases", array_of(report.phases, from_phase)},
      {"gateways", array_of(report.gateways, from_gateway)},
      {"sample_seconds", report.sample_seconds},
      {"samples", array_of(report.samples, from_sample)},
      {"warnings", array_of(report.warnings, from_line)},
  };
  if (report.receipt) {
    document["receipt"] = {{"served", report.receipt->served},
                           {"refused_replayable", report.receipt->refused_replayable},
                           {"cut", report.receipt->cut}};
  }
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ptth
