#include "agent/relay/capacity.h"

#include "common/structured_fields.h"

#include <algorithm>
#include <variant>

namespace ptth {

std::string_view to_string(Capacity::Source source) {
  switch (source) {
    case Capacity::Source::kFixed:
      return "fixed";
    case Capacity::Source::kAuto:
      return "auto";
    case Capacity::Source::kApplication:
      return "application";
    case Capacity::Source::kAdmin:
      return "admin";
  }
  return "unknown";
}

Capacity::Capacity(Metrics& metrics, const CapacityOptions& options, uint64_t now_us)
    : options_(options),
      in_force_gauge_(
          metrics.gauge("ptth_capacity", "Exchanges that the origin may have in hand.")),
      base_seconds_(metrics.gauge("ptth_capacity_base_seconds",
                                  "The origin's latency without queueing, as auto sees it.")),
      not_understood_(metrics.counter("ptth_capacity_values_ignored",
                                      "Fields of answers that should say a capacity and do not.")) {
  for (size_t index = 0; index < kSources; ++index) {
    const std::string name(to_string(static_cast<Source>(index)));
    said_gauges_[index] =
        &metrics.gauge("ptth_capacity_said", "The capacity that each source asks for; 0: none.",
                       {{"source", name}});
    rules_gauges_[index] = &metrics.gauge("ptth_capacity_source",
                                          "1 for the source that is in force.", {{"source", name}});
  }
  if (options.limit == 0) {
    search_.emplace(options.gradient, now_us);
    said_[static_cast<size_t>(Source::kAuto)] = search_->limit();
  } else {
    said_[static_cast<size_t>(Source::kFixed)] = options.limit;
  }
  choose();
}

// The last one that says anything.
void Capacity::choose() {
  for (size_t index = 0; index < kSources; ++index) {
    if (said_[index]) {
      in_force_ = *said_[index];
      source_ = static_cast<Source>(index);
    }
    said_gauges_[index]->set(said_[index].value_or(0));
  }
  for (size_t index = 0; index < kSources; ++index)
    rules_gauges_[index]->set(index == static_cast<size_t>(source_) ? 1 : 0);
  in_force_gauge_.set(in_force_);
}

void Capacity::add_sample(const GradientLimit::Sample& sample) {
  if (!search_) return;
  search_->add(sample);
  std::optional<uint32_t>& said = said_[static_cast<size_t>(Source::kAuto)];
  if (said == search_->limit()) return;
  said = search_->limit();
  base_seconds_.set(search_->base_us() / 1e6);
  choose();
}

void Capacity::set_by_application(std::string_view value) {
  const Result<structured::Item> item = structured::parse_item(value);
  const auto* const limit = item ? std::get_if<int64_t>(&item.value().value) : nullptr;
  if (limit == nullptr || *limit < 0) {
    not_understood_.add();
    return;
  }
  const auto bounded = static_cast<uint32_t>(
      std::clamp<int64_t>(*limit, options_.gradient.floor, options_.gradient.ceiling));
  std::optional<uint32_t>& said = said_[static_cast<size_t>(Source::kApplication)];
  if (said == bounded) return;
  said = bounded;
  choose();
}

void Capacity::set_by_admin(std::optional<uint32_t> limit) {
  said_[static_cast<size_t>(Source::kAdmin)] = limit;
  choose();
}

}  // namespace ptth
