#include "agent/config_table.h"

#include "agent/config_value.h"

#include <algorithm>
#include <array>

namespace ptth {

namespace {

using enum OptionGroup;
using enum OptionScope;
using enum ValueKind;
using Slot = OptionSlot;

constexpr uint64_t kSizeMax = UINT64_C(1) << 40;
constexpr uint64_t kWindowMax = INT32_MAX;  // RFC 9113 section 6.9.1.

constexpr OptionRange kAny{};

constexpr OptionRange at_least(uint64_t least) {
  return {least, UINT32_MAX};
}

constexpr OptionRange between(uint64_t least, uint64_t most) {
  return {least, most};
}

constexpr ConfigOption kOptions[] = {
    {"gateway", "url", kGateway, kEachGateway, kGatewayUrl,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway; },
     "Where to dial: https://host or https://host:port. Repeat for several."},
    {"", "name", kGateway, kEachGateway, kGatewayName,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.name; },
     "What logs and metrics call this gateway.", kAny, "host:port"},
    {"profile", "profile", kGateway, kEachGateway, kProfile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.profile; },
     "How the connection is reversed."},
    {"alpn", "alpn", kGateway, kEachGateway, kAlpn,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.alpn; },
     "ALPN ids to offer, as text or as hex:d587c9a5.", kAny, "the profile's"},
    {"revision", "revisions", kGateway, kEachGateway, kTokens,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.revisions; },
     "Offer only these revisions of potato's draft, the best first.", kAny, "02,01,00"},
    {"http1-alpn", "http1_alpn", kGateway, kEachGateway, kAlpn,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.http1_alpn; },
     "More ALPN ids to offer; with these the gateway speaks HTTP/1.1 (direct, potato).", kAny,
     "none"},
    {"connections", "connections", kGateway, kEachGateway, kCount,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.connections; },
     "Connections to each gateway, spread over its addresses.", between(1, 256)},
    {"ca-file", "tls.ca_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.ca_file; },
     "Trust these certificates (PEM) and no others.", kAny, "the system's"},
    {"cert-file", "tls.cert_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.cert_file; },
     "Our certificate and its chain (PEM)."},
    {"key-file", "tls.key_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.key_file; },
     "Its private key (PEM).", kAny, "in the certificate's file"},
    {"pkcs12-file", "tls.pkcs12_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.pkcs12_file; },
     "Certificate, chain and key in one file (PKCS #12), instead of --cert-file and --key-file."},
    {"pkcs12-password-file", "tls.pkcs12_password_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.tls_options.pkcs12_password_file;
     },
     "The password of that file.", kAny, "no password"},
    {"crl-file", "tls.crl_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.crl_file; },
     "Revoked certificates (PEM), a list of each CA in the gateway's chain."},
    {"pin", "tls.pins", kGateway, kEachGateway, kPins,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.pins; },
     "A key that the gateway's chain must have, as sha256//BASE64. Repeat for several; one is "
     "enough."},
    {"tls-group", "tls.groups", kGateway, kEachGateway, kTokens,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.groups; },
     "Key exchange groups, the best first: X25519MLKEM768,X25519.", kAny, "OpenSSL's"},
    {"server-name", "tls.server_name", kGateway, kEachGateway, kHost,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.server_name; },
     "The name to ask for (SNI) and to find in the certificate.", kAny, "the host of the URL"},
    {"token-file", "auth.token_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.auth.token_file; },
     "A bearer token for the hello; read anew at each dial."},
    {"token-env", "auth.token_env", kGateway, kEachGateway, kToken,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.auth.token_env; },
     "The same from the environment variable of this name."},
    {"basic-file", "auth.basic_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.auth.basic_file; },
     "user:password for the hello; read anew at each dial."},
    {"header-file", "auth.header_files", kGateway, kEachGateway, kHeaderFiles,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.auth.header_files; },
     "A field of the hello whose value is a secret. Repeat for several."},
    {"tls-min-version", "tls.min_version", kGateway, kEachGateway, kTlsVersion,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.tls_options.min_version; },
     "The oldest TLS version to speak."},
    {"insecure-cleartext-gateway", "insecure_cleartext_gateway", kGateway, kProcess, kSwitch,
     [](Config& config, GatewayOptions&) -> Slot { return &config.insecure_cleartext_gateway; },
     "Allow http:// gateways: anyone on the way reads and changes everything."},
    {"connect-timeout", "connect_timeout", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.connect_timeout; },
     "From resolving the name to TLS secured.", at_least(1)},
    {"address-race-delay", "address_race_delay", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.address_race_delay; },
     "Try the next address after this (RFC 8305).", at_least(10)},
    {"reconnect-min", "reconnect.min", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.min; },
     "Shortest wait before dialling again.", at_least(1)},
    {"reconnect-max", "reconnect.max", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.max; },
     "Longest wait before dialling again.", at_least(1)},
    {"reconnect-healthy-after", "reconnect.healthy_after", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.healthy_after; },
     "A link attached for so long starts again at the shortest wait."},
    {"reconnect-refused-min", "reconnect.refused_min", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.refused_min; },
     "Shortest wait after the gateway refused our credentials, or what we asked for.", at_least(1)},
    {"reconnect-retry-after-max", "reconnect.retry_after_max", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.retry_after_max; },
     "A gateway cannot ask us to stay away for longer."},
    {"reconnect-at-once-burst", "reconnect.at_once_burst", kGateway, kEachGateway, kCount,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.at_once_burst; },
     "Links that closed without a fault are dialled at once, so often in a row."},
    {"reconnect-at-once-per", "reconnect.at_once_per", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.at_once_per; },
     "Time attached that earns one more dial at once.", at_least(1)},
    {"reconnect-at-once-jitter", "reconnect.at_once_jitter", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.backoff.at_once_jitter; },
     "At once is anywhere within this."},
    {"max-age", "max_age", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.max_age; },
     "Replace a connection at this age, or up to a fifth earlier; 0: never."},
    {"renew-spread", "renew_spread", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.renew_spread; },
     "Connections that are replaced because credentials have changed are dialled within this."},
    {"credentials-interval", "credentials.interval", kGateway, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.credentials_interval; },
     "Look so often whether files with credentials have changed; 0: never."},
    {"credentials-expiry-warning", "credentials.expiry_warning", kGateway, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.expiry_warning; },
     "Warn so long before our certificate expires."},
    {"hello-timeout", "hello.timeout", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello_timeout; },
     "The profile's hello, to its end or to a sign that the gateway makes us wait.", at_least(1)},
    {"hello-uri", "hello.uri", kGateway, kEachGateway, kUri,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.uri; },
     "What the hello asks for, as arranged with the gateway.", kAny, "by the template"},
    {"hello-template", "hello.template", kGateway, kEachGateway, kUriTemplate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.uri_template; },
     "The same as a URI template (RFC 6570).", kAny, "the profile's"},
    {"hello-variable", "hello.variables", kGateway, kEachGateway, kUriVariables,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.variables; },
     "For the template. Repeat for several."},
    {"hello-origin", "hello.origins", kGateway, kEachGateway, kServe,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.origins; },
     "The origins to register: in the template's serialized_origin, or by h2-reverse.", kAny,
     "those of --serve"},
    {"hello-header", "hello.headers", kGateway, kEachGateway, kHeaders,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.fields; },
     "More header fields for the hello. No credentials. Repeat for several."},
    {"hello-token", "hello.token", kGateway, kEachGateway, kProtocol,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.token; },
     "The upgrade token of the draft's revision.", kAny, "the profile's"},
    {"hello-channel", "hello.channels", kGateway, kEachGateway, kAlpn,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.channels; },
     "What the gateway may speak afterwards.", kAny, "the profile's"},
    {"", "hello.method", kGateway, kEachGateway, kToken,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.method; },
     "The hello's method.", kAny, "the profile's"},
    {"", "hello.alpn_header", kGateway, kEachGateway, kToken,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.offer_field; },
     "The field that offers the channels.", kAny, "the profile's"},
    {"", "hello.choice_headers", kGateway, kEachGateway, kTokens,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.choice_fields; },
     "The fields of the answer that may name one of them.", kAny, "the profile's"},
    {"", "hello.statuses", kGateway, kEachGateway, kStatuses,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.statuses; },
     "The statuses that mean yes.", kAny, "the profile's"},
    {"redirect-host", "redirect_hosts", kGateway, kEachGateway, kHosts,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.redirect_hosts; },
     "Where a gateway may send us, with our credentials.", kAny, "the same host"},
    {"redirects-max", "redirects_max", kGateway, kEachGateway, kCount,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.hello.redirects_max; },
     "How often, one after the other."},
    {"envoy-node-id", "envoy.node_id", kGateway, kEachGateway, kIdentifier,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.node_id; },
     "Envoy: which worker this is; unique among all."},
    {"envoy-cluster-id", "envoy.cluster_id", kGateway, kEachGateway, kIdentifier,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.cluster_id; },
     "Envoy: to which workers it belongs."},
    {"envoy-tenant-id", "envoy.tenant_id", kGateway, kEachGateway, kIdentifier,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.tenant_id; },
     "Envoy: whose they are, where the gateway keeps tenants apart."},
    {"envoy-upstream-cluster", "envoy.upstream_cluster", kGateway, kEachGateway, kIdentifier,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.upstream_cluster; },
     "Envoy: the cluster's name, where the gateway asks for it."},
    {"envoy-cert-file", "envoy.cert_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.cert_file; },
     "Envoy: our certificate and its chain (PEM) for the TLS that it begins behind the hello."},
    {"envoy-key-file", "envoy.key_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.key_file; },
     "Its private key (PEM).", kAny, "in the certificate's file"},
    {"envoy-ca-file", "envoy.ca_file", kGateway, kEachGateway, kFile,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.ca_file; },
     "Who issues the certificate that Envoy shows there (PEM)."},
    {"envoy-ping-interval", "envoy.ping_interval", kGateway, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.ping_interval; },
     "Envoy: between its keepalives; three that stay away end the connection.",
     between(1, 3'600'000)},
    {"", "envoy.header_prefix", kGateway, kEachGateway, kToken,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.header_prefix; },
     "Envoy: with what the fields of its hello begin."},
    {"insecure-envoy-handover", "envoy.insecure_handover", kGateway, kEachGateway, kSwitch,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.insecure_handover; },
     "Envoy: behind the hello, go on in cleartext, or in TLS with anyone."},
    {"forwarded", "forwarded", kGateway, kEachGateway, kForwarded,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.rules.forwarded; },
     "What becomes of Forwarded and X-Forwarded-* fields."},
    {"allow-trace", "allow_trace", kGateway, kEachGateway, kSwitch,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.rules.allow_trace; },
     "Relay TRACE requests."},
    {"drop-underscore-names", "drop_underscore_names", kGateway, kEachGateway, kSwitch,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.rules.drop_underscore_names; },
     "Drop fields with _ in their names, which CGI-style origins take for -."},
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
    {"origin-probe-interval", "origin.probe_interval", kOrigin, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.origin.probe_interval; },
     "Between two looks at an origin that did not accept.", at_least(10)},
    {"serve", "serve", kServing, kProcess, kServe,
     [](Config& config, GatewayOptions&) -> Slot { return &config.serve; },
     "Answer for these, such as https://app.example or https://*.app.example; others get 421.",
     kAny, "everything"},
    {"capacity", "capacity", kServing, kProcess, kCount,
     [](Config& config, GatewayOptions&) -> Slot { return &config.capacity; },
     "Exchanges that the origin is given at once.", at_least(1)},
    {"drain-timeout", "drain.timeout", kServing, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.drain_timeout; },
     "After SIGTERM, time for exchanges to finish."},
    {"startup-timeout", "startup.timeout", kServing, kProcess, kDuration,
     [](Config& config, GatewayOptions&) -> Slot { return &config.startup_timeout; },
     "Give up (exit 69) if no gateway is attached by then; 0: never."},
    {"exit-on-auth-failure", "exit_on_auth_failure", kServing, kProcess, kSwitch,
     [](Config& config, GatewayOptions&) -> Slot { return &config.exit_on_auth_failure; },
     "Exit 77 when a gateway refuses our credentials."},
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
    {"limit-buffer-bytes", "limits.buffer_bytes", kLimits, kProcess, kSize,
     [](Config& config, GatewayOptions&) -> Slot { return &config.buffer_bytes; },
     "Bodies buffered in the whole process.", between(65536, kSizeMax)},
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
     [](Config&,
        GatewayOptions& gateway) -> Slot { return &gateway.session.stream_window_bytes_max; },
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
    {"limit-resets", "limits.resets", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.resets; },
     "Streams that a gateway may reset."},
    {"limit-errors", "limits.errors", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.errors; },
     "Streams that we had to reset."},
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
    {"limit-envoy-pings", "limits.envoy_pings", kLimits, kEachGateway, kRate,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.envoy.pings; },
     "Envoy's keepalives on a connection that it keeps."},
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
     [](Config&,
        GatewayOptions& gateway) -> Slot { return &gateway.session.http1.chunk_extension_bytes; },
     "HTTP/1.1: extensions of all chunks of a request; more: 400."},
    {"limit-http1-discarded-bytes", "limits.http1_discarded_bytes", kLimits, kEachGateway, kSize,
     [](Config&, GatewayOptions& gateway) -> Slot {
       return &gateway.session.http1.discarded_bytes;
     },
     "HTTP/1.1: read behind an early answer so that the connection can go on."},
    {"limit-http1-discard-timeout", "limits.http1_discard_timeout", kLimits, kEachGateway,
     kDuration,
     [](Config&,
        GatewayOptions& gateway) -> Slot { return &gateway.session.http1.discard_timeout; },
     "HTTP/1.1: and for so long.", at_least(1)},
    {"limit-http1-settle-time", "limits.http1_settle_time", kLimits, kEachGateway, kDuration,
     [](Config&, GatewayOptions& gateway) -> Slot { return &gateway.session.http1.settle_time; },
     "HTTP/1.1: a connection without requests is attached when it has stayed open for so long.",
     at_least(1)},
};

}  // namespace

std::span<const ConfigOption> config_options() {
  return kOptions;
}

const ConfigOption* find_option_by_flag(std::string_view flag) {
  const auto* const found =
      std::find_if(std::begin(kOptions), std::end(kOptions),
                   [&](const ConfigOption& option) { return option.flag == flag; });
  return flag.empty() || found == std::end(kOptions) ? nullptr : found;
}

const ConfigOption* find_option_by_key(std::string_view key) {
  const auto* const found =
      std::find_if(std::begin(kOptions), std::end(kOptions),
                   [&](const ConfigOption& option) { return option.key == key; });
  return key.empty() || found == std::end(kOptions) ? nullptr : found;
}

std::string environment_name(const ConfigOption& option) {
  std::string name = "PTTH_";
  for (const char c : option.flag) {
    const bool is_letter = c >= 'a' && c <= 'z';
    name += c == '-' ? '_' : static_cast<char>(is_letter ? c - 'a' + 'A' : c);
  }
  return option.flag.empty() ? std::string() : name;
}

bool is_list(const ConfigOption& option) {
  switch (option.kind) {
    case kAlpn:
    case kServe:
    case kGatewayUrl:
    case kHosts:
    case kTokens:
    case kPins:
    case kStatuses:
    case kUriVariables:
    case kHeaders:
    case kHeaderFiles:
      return true;
    default:
      return false;
  }
}

std::vector<std::string> split_values(const ConfigOption& option, std::string_view text) {
  // These may hold commas.
  const bool is_text =
      option.kind == kHeaders || option.kind == kHeaderFiles || option.kind == kUriVariables;
  return split_list(text, is_text ? '\n' : ',');
}

}  // namespace ptth
