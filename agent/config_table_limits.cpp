// The part of the table of settings that bounds what a gateway may do and take.

#include "agent/config_range.h"
#include "agent/config_table.h"

namespace ptth {

namespace {

using enum OptionGroup;
using enum OptionScope;
using enum ValueKind;
using Slot = OptionSlot;

constexpr ConfigOption kOptions[] = {
    {"limit-buffer-bytes", "limits.buffer_bytes", kLimits, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.buffer_bytes; },
     "Bodies buffered in the whole process.", between(65536, kSizeMax)},
    {"limit-gateway-buffer-bytes", "limits.gateway_buffer_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.buffer_bytes; },
     "Bodies buffered on all links of a gateway; 0: an equal share of that.", between(0, kSizeMax)},
    {"limit-turn-frames", "limits.turn_frames", kLimits, kEachGateway, kCount,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.turn.frames; },
     "Frames or requests read from a gateway before the others are heard.", at_least(1)},
    {"limit-turn-output-bytes", "limits.turn_output_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.turn.output_bytes; },
     "Bytes written to a gateway before the others are heard.", at_least(16384)},
    {"limit-header-list-bytes", "limits.header_list_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.header_list_bytes; },
     "Fields of a request, 32 bytes each added; more: 431.", at_least(1024)},
    {"limit-header-fields", "limits.header_fields", kLimits, kEachGateway, kCount,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.header_fields; },
     "Fields of a request; more: 431.", at_least(8)},
    {"limit-stream-window-bytes", "limits.stream_window_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.stream_window_bytes; },
     "Credit of an upload at its start.", between(1024, kWindowMax)},
    {"limit-stream-window-bytes-max", "limits.stream_window_bytes_max", kLimits, kEachGateway,
     kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.stream_window_bytes_max;
     },
     "It grows up to this while the origin keeps pace.", between(1024, kWindowMax)},
    {"limit-link-window-bytes", "limits.link_window_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.link_window_bytes; },
     "Credit of a connection.", between(65535, kWindowMax)},
    {"limit-response-buffer-bytes", "limits.response_buffer_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.response_buffer_bytes;
     },
     "Above this the origin is paused.", at_least(1024)},
    {"limit-link-buffer-bytes", "limits.link_buffer_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.link_buffer_bytes; },
     "Bodies buffered on a link.", between(65536, kSizeMax)},
    {"limit-output-buffer-bytes", "limits.output_buffer_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.output_buffer_bytes; },
     "Unsent frames of a link; above this it produces no more.", at_least(16384)},
    {"limit-kernel-unsent-bytes", "limits.kernel_unsent_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.kernel_unsent_bytes; },
     "What the kernel takes of a link's bytes before it can send them, once the gateway has told "
     "an urgency: answers overtake only what it has not taken. 0: as much as its buffer holds.",
     between(0, kSizeMax)},
    {"limit-resets", "limits.resets", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.resets; },
     "Streams that a gateway may reset."},
    {"limit-errors", "limits.errors", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.errors; },
     "Streams that we had to reset."},
    {"limit-refusals", "limits.refusals", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.refusals; },
     "Requests beyond what a gateway may have open."},
    {"limit-control-frames", "limits.control_frames", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.control_frames; },
     "PING, SETTINGS, PRIORITY and unknown frames."},
    {"limit-empty-frames", "limits.empty_frames", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.empty_frames; },
     "Frames that bring no progress."},
    {"limit-progress-timeout", "limits.progress_timeout", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.progress_timeout; },
     "An exchange on which the gateway moves no byte.", at_least(1)},
    {"limit-hello-interim", "limits.hello_interim", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.interim_answers; },
     "Interim answers (1xx) to the hello."},
    {"limit-tunnel-window-bytes", "limits.tunnel_window_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tunnel_window_bytes; },
     "Credit of a channel inside a CONNECT stream.", between(65535, kWindowMax)},
    {"limit-oauth-response-bytes", "limits.oauth_response_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.auth.oauth.response_bytes_max;
     },
     "An answer of the token endpoint.", between(1024, 1024 * 1024)},
    {"limit-envoy-pings", "limits.envoy_pings", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.pings; },
     "Envoy's keepalives on a connection that it keeps."},
    {"limit-challenges", "limits.challenges", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.challenge.rate; },
     "Answers to a gateway that asks who we are, on a connection; more: 429."},
    {"limit-worker-documents", "limits.worker_documents", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.worker_document.rate; },
     "Worker documents that a gateway reads, on a connection; more: 429."},
    {"limit-settings-timeout", "limits.settings_timeout", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.settings_timeout; },
     "From the end of the hello to attached.", at_least(1)},
    {"limit-drain-hold", "limits.drain_hold", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.drain_hold; },
     "While we leave HAProxy, a new request waits so long for those in flight to end.",
     at_least(1)},
    {"limit-ping-after", "limits.ping_after", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.ping_after; },
     "Silence before we ask whether the gateway is there.", at_least(1)},
    {"limit-ping-timeout", "limits.ping_timeout", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.ping_timeout; },
     "Silence after we asked: the link is dead.", at_least(1)},
    {"limit-http1-head-timeout", "limits.http1_head_timeout", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.http1.head_timeout; },
     "HTTP/1.1: from the first byte of a request to the end of its head.", at_least(1)},
    {"limit-http1-pipelined-bytes", "limits.http1_pipelined_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.http1.pipelined_bytes;
     },
     "HTTP/1.1: requests that wait for the one before them; above it nothing is read.",
     between(1024, kSizeMax)},
    {"limit-http1-chunk-extension-bytes", "limits.http1_chunk_extension_bytes", kLimits,
     kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.http1.chunk_extension_bytes;
     },
     "HTTP/1.1: extensions of all chunks of a request; more: 400."},
    {"limit-http1-discarded-bytes", "limits.http1_discarded_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.http1.discarded_bytes;
     },
     "HTTP/1.1: read behind an early answer so that the connection can go on."},
    {"limit-http1-discard-timeout", "limits.http1_discard_timeout", kLimits, kEachGateway,
     kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.http1.discard_timeout;
     },
     "HTTP/1.1: and for so long.", at_least(1)},
    {"limit-http1-settle-time", "limits.http1_settle_time", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.http1.settle_time; },
     "HTTP/1.1: a connection without requests is attached when it has stayed open for so long.",
     at_least(1)},
    {"limit-http1-drain-idle", "limits.http1_drain_idle", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.http1.drain_idle; },
     "HTTP/1.1: while we leave, a connection without a request stays open for so long: one may be "
     "on its way."},
};

}  // namespace

std::span<const ConfigOption> limit_options() {
  return kOptions;
}

}  // namespace ptth
