// The part of the table of settings that is about the origin, what is served of it, and operation.

#include "agent/config_table.h"

#include "agent/config_range.h"

namespace ptth {

namespace {

using enum OptionGroup;
using enum OptionScope;
using enum ValueKind;
using Slot = OptionSlot;

constexpr ConfigOption kOptions[] = {
    {"origin", "origin.url", kOrigin, kProcess, kOriginUrl,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin; },
     "The application: http://host:port, unix:/path, or just a port on this host."},
    {"origin-host", "origin.host", kOrigin, kProcess, kAuthority,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.host_override; },
     "Sent to the origin as Host.", kAny, "as asked by the gateway"},
    {"origin-connections-max", "origin.connections_max", kOrigin, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.connections_max; },
     "Connections open at once; 0: as many as exchanges run."},
    {"origin-idle-connections-max", "origin.idle_connections_max", kOrigin, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.idle_connections_max; },
     "Unused connections kept for the next request."},
    {"origin-idle-timeout", "origin.idle_timeout", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.idle_timeout; },
     "Close a connection unused for so long.", at_least(1)},
    {"origin-connect-timeout", "origin.connect_timeout", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.connect_timeout; },
     "To a connection; while the origin refuses it is tried again.", at_least(1)},
    {"origin-first-byte-timeout", "origin.first_byte_timeout", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.first_byte_timeout; },
     "From the request sent to the first byte of its answer.", at_least(1)},
    {"origin-progress-timeout", "origin.progress_timeout", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.progress_timeout; },
     "Between two bytes, either way.", at_least(1)},
    {"origin-total-timeout", "origin.total_timeout", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.total_timeout; },
     "A whole exchange; 0: no limit."},
    {"origin-head-bytes-max", "origin.head_bytes_max", kOrigin, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.head_bytes_max; },
     "Status line and fields of an answer.", at_least(1024)},
    {"origin-head-fields-max", "origin.head_fields_max", kOrigin, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.head_fields_max; },
     "Fields of an answer.", at_least(1)},
    {"origin-interim-answers-max", "origin.interim_answers_max", kOrigin, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.interim_answers_max; },
     "Interim answers (1xx) of an exchange."},
    {"origin-cancel-linger", "origin.cancel_linger", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.cancel_linger; },
     "A cancelled request holds its place for at most so long."},
    {"origin-cancel-linger-bytes", "origin.cancel_linger_bytes", kOrigin, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.cancel_linger_bytes; },
     "What the origin may send in that time before it is cut off."},
    {"origin-probe-interval", "origin.probe_interval", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.probe_interval; },
     "Between two looks at an origin that did not accept.", at_least(10)},
    {"serve", "serve", kServing, kProcess, kServe,
     [](Config& config, GatewayOptions&) -> Slot { return &config.serve; },
     "Answer for these, such as https://app.example or https://*.app.example; others get 421.",
     kAny, "everything"},
    {"capacity-reserve", "capacity_reserve", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.capacity_reserve; },
     "Of the capacity, so many are kept free for each other gateway that is attached, half at "
     "most; "
     "0: none."},
    {"exchanges-max", "exchanges_max", kServing, kEachGateway, kCount,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.exchanges_max; },
     "Exchanges of one gateway that the origin is given at once; 0: what the reserves leave."},
    {"drain-timeout", "drain.timeout", kServing, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.drain_timeout; },
     "After SIGTERM, time for exchanges to finish."},
    {"startup-timeout", "startup.timeout", kServing, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.startup_timeout; },
     "Give up (exit 69) if no gateway is attached by then; 0: never."},
    {"exit-on-auth-failure", "exit_on_auth_failure", kServing, kProcess, kSwitch,
     [](Config& config, GatewayOptions&) -> Slot { return &config.exit_on_auth_failure; },
     "Exit 77 when a gateway refuses our credentials."},
    {"reload-interval", "reload.interval", kOperation, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.reload_interval; },
     "Look so often whether the configuration file has changed; 0: only after SIGHUP."},
    {"reload-handover-timeout", "reload.handover_timeout", kOperation, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.handover_timeout; },
     "The old links of a changed gateway wait so long for the new ones; 0: as long as it takes."},
    {"config", "", kOperation, kProcess, kFile, nullptr,
     "Read settings from this JSON file; comments are allowed."},
    {"admin", "admin.listen", kOperation, kProcess, kListenAddress,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admin.listen; },
     "Where probes and metrics are served, or off."},
    {"admin-connections-max", "admin.connections_max", kOperation, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admin.connections_max; },
     "Connections to the admin listener; one more closes the one that has waited longest.",
     at_least(1)},
    {"admin-head-bytes-max", "admin.head_bytes_max", kOperation, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admin.head_bytes_max; },
     "Request line and fields of a request to it.", at_least(256)},
    {"admin-fields-max", "admin.fields_max", kOperation, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admin.fields_max; },
     "Fields of a request to it.", at_least(1)},
    {"admin-idle-timeout", "admin.idle_timeout", kOperation, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admin.idle_timeout; },
     "Between two requests on a connection to it.", at_least(1)},
    {"admin-request-timeout", "admin.request_timeout", kOperation, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.admin.request_timeout; },
     "From the first to the last byte of a request to it.", at_least(1)},
    {"log-level", "log.level", kOperation, kProcess, kLogLevel,
     [](Config& config, GatewayOptions&) -> Slot { return &config.log.level; },
     "The least important lines to write."},
    {"log-format", "log.format", kOperation, kProcess, kLogFormat,
     [](Config& config, GatewayOptions&) -> Slot { return &config.log.format; }, "How lines look.",
     kAny, "human on a terminal, else json"},
    {"log-buffered-bytes-max", "log.buffered_bytes_max", kOperation, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.log.buffered_bytes_max; },
     "Lines waiting to be written; more are dropped and counted.", at_least(4096)},
    {"log-field-bytes-max", "log.field_bytes_max", kOperation, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.log.field_bytes_max; },
     "Longer values are cut.", at_least(64)},
    {"log-farewell", "log.farewell", kOperation, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.log.farewell; },
     "At the end, wait so long for lines to be written."},
};

}  // namespace

std::span<const ConfigOption> main_options() {
  return kOptions;
}

}  // namespace ptth
