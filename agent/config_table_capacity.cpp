// The part of the table of settings that says how much the origin is given, and who waits for it.

#include "agent/config_table.h"

namespace ptth {

namespace {

using enum OptionGroup;
using enum OptionScope;
using enum ValueKind;
using Slot = OptionSlot;

constexpr OptionRange kAny{};
constexpr OptionRange kPositive{1, UINT32_MAX};
constexpr OptionRange kPercent{1, 100};
constexpr OptionRange kBytes{0, UINT64_C(1) << 40};

GradientOptions& gradient(Config& config) {
  return config.admission.capacity.gradient;
}

QueueOptions& queue(Config& config) {
  return config.admission.queue;
}

// The class that is being read or shown is the last.
RequestClass& last_class(Config& config) {
  if (config.admission.classes.empty()) config.admission.classes.emplace_back();
  return config.admission.classes.back();
}

constexpr ConfigOption kOptions[] = {
    {"capacity", "capacity", kServing, kProcess, kCapacity,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admission.capacity.limit; },
     "Exchanges that the origin is given at once; auto: found from its latency.", kPositive},
    {"capacity-header", "capacity_header", kServing, kProcess, kFieldName,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admission.capacity.header; },
     "The field of its answers in which the application says its capacity; goes no further.", kAny,
     "off"},
    {"capacity-floor", "capacity_auto.floor", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).floor; },
     "The least that auto or the application may say.", kPositive},
    {"capacity-ceiling", "capacity_auto.ceiling", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).ceiling; }, "The most.",
     kPositive},
    {"capacity-initial", "capacity_auto.initial", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).initial; },
     "Where auto begins.", kPositive},
    {"capacity-headroom-percent", "capacity_auto.headroom_percent", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).headroom_percent; },
     "What auto tries beyond what the latency allows.", kPercent},
    {"capacity-smoothing-percent", "capacity_auto.smoothing_percent", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).smoothing_percent; },
     "How much of a change auto makes with each window.", kPercent},
    {"capacity-window",
     "capacity_auto.window",
     kServing,
     kProcess,
     kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).window_ms; },
     "How long auto looks before it decides, at least.",
     {10, 600'000}},
    {"capacity-samples-min", "capacity_auto.samples_min", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).samples_min; },
     "And at how many answers.", kPositive},
    {"capacity-probe-windows", "capacity_auto.probe_windows", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &gradient(config).probe_windows; },
     "After so many windows auto gives a quarter less, to see the latency without queueing.",
     kPositive},
    {"capacity-overcommit-percent",
     "capacity_overcommit_percent",
     kServing,
     kProcess,
     kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.shares.overcommit_percent; },
     "What all links together may have open, of the capacity; what is too much waits.",
     {100, 10'000}},
    {"capacity-share-interval",
     "capacity_share_interval",
     kServing,
     kProcess,
     kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.shares.interval; },
     "How often the links' shares of it are moved to where the demand is.",
     {10, 3'600'000}},
    {"queue-length-max", "queue.length_max", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &queue(config).length_max; },
     "Requests that wait for the origin when it has its fill; 0: none."},
    {"queue-age-max",
     "queue.age_max",
     kServing,
     kProcess,
     kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &queue(config).age_max; },
     "Who has waited so long is refused.",
     {1, 600'000}},
    {"queue-bytes-max", "queue.bytes_max", kServing, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &queue(config).bytes_max; },
     "Of the bodies of all that waits.", kBytes},
    {"queue-delay-target", "queue.delay_target", kServing, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &queue(config).codel.target; },
     "A wait that may last (CoDel); 0: any."},
    {"queue-delay-interval", "queue.delay_interval", kServing, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &queue(config).codel.interval; },
     "When all wait longer than that for so long, some are refused early.", kPositive},
    {"queue-deadline-header", "queue.deadline_header", kServing, kProcess, kFieldName,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admission.deadline_field; },
     "The field in which a gateway says how many seconds it waits for an answer, or off."},
    {"refusal", "refusal", kServing, kEachGateway, kRefusal,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.refusal; },
     "How a gateway hears that there is no room: retry (REFUSED_STREAM), or answer (503 with "
     "Retry-After) where it would retry on the same worker."},
    {"class-routes-max",
     "class_routes_max",
     kServing,
     kProcess,
     kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admission.routes_max; },
     "Routes whose latency is known, for classes that go by it.",
     {1, 100'000}},
    {"", "classes.name", kServing, kEachClass, kGatewayName,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).name; },
     "What metrics call a class of heavy requests."},
    {"", "classes.match.path", kServing, kEachClass, kPatterns,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).match.paths; },
     "Paths without the query that belong to it, such as /export/*.", kAny, "any"},
    {"", "classes.match.method", kServing, kEachClass, kTokens,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).match.methods; },
     "Methods that belong to it.", kAny, "any"},
    {"", "classes.match.header", kServing, kEachClass, kFieldPatterns,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).match.fields; },
     "Fields that it must have, as NAME:VALUE; * stands for any text.", kAny, "any"},
    {"", "classes.match.body_size_min", kServing, kEachClass, kSize,
     [](Config& config, GatewayOptions&) -> Slot {
       return &last_class(config).match.body_size_min;
     },
     "Bodies announced smaller than this do not belong to it.", kBytes},
    {"", "classes.match.latency_min", kServing, kEachClass, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).match.latency_min; },
     "Learned: routes that usually answer sooner do not belong to it; 0: not asked."},
    {"", "classes.concurrency", kServing, kEachClass, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).concurrency; },
     "Exchanges of the class that the origin is given at once.", kPositive},
    {"", "classes.queue.length_max", kServing, kEachClass, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).queue.length_max; },
     "As queue.length_max, for the class."},
    {"",
     "classes.queue.age_max",
     kServing,
     kEachClass,
     kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).queue.age_max; },
     "As queue.age_max.",
     {1, 600'000}},
    {"", "classes.queue.bytes_max", kServing, kEachClass, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).queue.bytes_max; },
     "As queue.bytes_max.", kBytes},
    {"", "classes.queue.delay_target", kServing, kEachClass, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &last_class(config).queue.codel.target; },
     "As queue.delay_target."},
    {"", "classes.queue.delay_interval", kServing, kEachClass, kDuration,
     [](Config& config, GatewayOptions&) -> Slot {
       return &last_class(config).queue.codel.interval;
     },
     "As queue.delay_interval.", kPositive},
};

}  // namespace

std::span<const ConfigOption> capacity_options() {
  return kOptions;
}

}  // namespace ptth
