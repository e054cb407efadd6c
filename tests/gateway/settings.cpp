#include "tests/gateway/settings.h"

#include "agent/config_value.h"
#include "common/secret_file.h"
#include "tests/gateway/flag_group.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace ptth::dev {

namespace {

constexpr const char* kDescription =
    R"(ptth-dev-gateway is a gateway to try ptth-agent with, and to test it: workers dial in, users ask,
each request goes to the least loaded worker. Not for production.

  ptth-dev-gateway --make-certificates certs --haproxy 127.0.0.1:8443 --http 127.0.0.1:8080
  ptth-agent --gateway https://localhost:8443 --ca-file certs/ca.crt --cert-file certs/worker.crt \
      --key-file certs/worker.key --origin http://127.0.0.1:3000
  curl http://127.0.0.1:8080/

It prints one line when a worker attaches or leaves, or is refused and why, for each request and for
each retry. SIGTERM ends it: requests in flight finish, workers get GOAWAY; a second one ends it at
once.)";

template <class Number>
auto parse_number(Number max) {
  return [max](const std::string& text) -> Result<Number> {
    const auto count = parse_count(text);
    if (!count) return count.error();
    if (count.value() > max)
      return configuration_error(text + " is more than " + std::to_string(max));
    return static_cast<Number>(count.value());
  };
}

Result<Registration> as_registration(const std::string& text) {
  return parse_registration(text);
}

struct Flags {
  Settings settings;
  std::vector<std::string> haproxy;
  std::vector<std::string> direct;
  std::vector<std::string> potato;
  std::vector<std::string> h2_reverse;
  std::vector<std::string> ptth;
  std::vector<std::string> reverse;
  std::vector<std::string> ptth_connect;
  std::vector<std::string> reverse_connect;
  std::vector<std::string> envoy;
  std::vector<std::string> ptth_1_0;
  std::vector<std::string> haproxy_alpn{"h2"};
  std::vector<std::string> direct_alpn{"ph2", "rh2", "\xd5\x87\xc9\xa5"};
  std::vector<std::string> direct_http1_alpn{"ph1", "rh1", "\xc6\x96\xc9\xa5", "http/1.1"};
  std::vector<std::string> potato_alpn{"\xd5\x87\xc9\xa5"};
  std::vector<std::string> potato_http1_alpn{"\xc6\x96\xc9\xa5"};
  bool prefer_http1 = false;
  bool envoy_upgrade = false;
  bool envoy_cleartext = false;
  bool envoy_node_is_certificate = false;
  bool cleartext_workers = false;
};

void add_entrances(CLI::App& app, Flags& flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  FlagGroup group(app, "Where to listen (HOST:PORT, port 0 lets the system choose; repeatable)");
  const auto address = [&](const char* name, std::vector<std::string>& list, const char* help) {
    group.add_list(name, "ADDRESS", list, as_it_stands, help);
  };
  address("--haproxy", flags.haproxy,
          "Workers with the profile haproxy: the worker sends the HTTP/2 client magic. Default "
          "127.0.0.1:8443 when there is no other address for workers");
  address("--direct", flags.direct, "Workers with the profile direct: the gateway sends it");
  address("--potato", flags.potato, "Workers with the profile potato: the same, agreed by ALPN");
  address("--h2-reverse", flags.h2_reverse,
          "Workers with the profile h2-reverse: by ALPN, and they send an ORIGIN frame");
  address("--ptth", flags.ptth,
          "Workers with the profile ptth: they ask for an upgrade at "
          "/.well-known/ptth/ORIGINS/");
  address("--reverse", flags.reverse, "Workers with the profile reverse: they ask for an upgrade");
  address("--ptth-connect", flags.ptth_connect,
          "Workers with the profile ptth-connect: the same by extended CONNECT, with several "
          "channels on a connection");
  address("--reverse-connect", flags.reverse_connect,
          "Workers with the profile reverse-connect: by extended CONNECT");
  address("--envoy", flags.envoy,
          "Workers with the profile envoy: Envoy's reverse tunnel, whose connections wait unused");
  address("--ptth-1.0", flags.ptth_1_0,
          "Workers with the profile ptth-1.0: they ask for an upgrade, and again, until a request "
          "comes");
  address("--http", gateway.users,
          "Users: HTTP/1.1, and HTTP/2 with prior knowledge. Default 127.0.0.1:8080 when neither "
          "this nor --https is given");
  address("--https", gateway.users_tls, "Users over TLS: HTTP/1.1 and HTTP/2 by ALPN");
  group.add("--ports-file", "FILE", flags.settings.ports_file, as_it_stands,
            "Write what is listened on to this file, as lines like http=127.0.0.1:8080");
}

void add_hello(CLI::App& app, Flags& flags) {
  HelloRules& rules = flags.settings.gateway.hello;
  FlagGroup group(app, "What a worker must say");
  group.add_list(
      "--register", "[WORKER=]ORIGIN,...", rules.origins.allowed, as_registration,
      "The origins that a worker of --ptth, --ptth-connect or --h2-reverse may register, "
      "all of them or the one of that name (its certificate's, else its user's), else it "
      "is refused; default: any");
  group.add("--reverse-path", "PATH", rules.path, as_it_stands,
            "What a worker of --reverse, --reverse-connect or --ptth-1.0 must ask for, else 404; "
            "default: anything");
  group.add_switch("--prefer-http1", flags.prefer_http1,
                   "Speak HTTP/1.1 with a worker that offers that and HTTP/2");
}

void add_credentials(CLI::App& app, Flags& flags) {
  CredentialRules& rules = flags.settings.gateway.hello.credentials;
  FlagGroup group(app, "What the request of a worker must show, else 401");
  group.add_list("--worker-token-file", "FILE", rules.tokens, read_secret_file,
                 "The bearer token in this file. Repeat for several, one of them");
  group.add("--worker-basic-file", "FILE", rules.users, read_users_file,
            "User and password: one of the lines user:password of this file. With "
            "--worker-token-file, either");
  group.add_list("--worker-header", "NAME:FILE", rules.headers, read_header_file,
                 "A header field with the value in this file. Repeat for several, all of them");
}

void add_envoy(CLI::App& app, Flags& flags) {
  EnvoyRules& rules = flags.settings.gateway.hello.envoy;
  UnusedWorker::Options& unused = flags.settings.gateway.unused;
  FlagGroup group(app, "As an Envoy is configured, and PTTH/1.0");
  group.add("--envoy-path", "PATH", rules.path, as_it_stands,
            "What a worker must ask for, else 404; default /reverse_connections/request");
  group.add_switch("--envoy-upgrade", flags.envoy_upgrade,
                   "It must ask for an upgrade, too (use_http_upgrade), else 426");
  group.add("--envoy-header-prefix", "NAME", rules.header_prefix, as_it_stands,
            "How its fields begin; default x-envoy");
  group.add("--envoy-upstream-cluster", "NAME", rules.upstream_cluster, as_it_stands,
            "The upstream cluster that it must name, else 400; default: none");
  group.add_switch("--envoy-node-is-certificate", flags.envoy_node_is_certificate,
                   "Its node id must be the name of its certificate, else 403");
  group.add("--envoy-ping-interval", "TIME", unused.ping_interval, parse_duration,
            "Between two RPINGs on a connection that waits; default 2s. Three that are not echoed "
            "within half of it end the connection");
  group.add_switch("--envoy-cleartext", flags.envoy_cleartext,
                   "Begin HTTP/2 without TLS on a connection that has waited");
  group.add("--envoy-worker-name", "NAME", unused.inner_name, as_it_stands,
            "The DNS name in the certificate that the worker must show in that TLS; default "
            "worker-1");
  group.add("--ptth-1.0-wait", "TIME", unused.wait_max, parse_duration,
            "How long a worker of --ptth-1.0 waits for a request, then 204; default 20s");
}

void add_challenge(CLI::App& app, Flags& flags) {
  ChallengeRules& rules = flags.settings.gateway.dispatcher.challenge;
  FlagGroup group(app,
                  "Ask workers who they are, once they are attached, before they get requests");
  group.add("--challenge-key-file", "FILE", rules.key_file, as_it_stands,
            "The answer must be signed with this key (the public half, PEM, or a certificate)");
  group.add("--challenge-token-file", "FILE", rules.token_file, as_it_stands,
            "The answer must hold the bearer token in this file");
  group.add("--challenge-path", "PATH", rules.path, as_it_stands,
            "What is asked for; default /.well-known/ptth-challenge");
  group.add("--challenge-authority", "HOST", rules.authority, as_it_stands,
            "Our name, as workers dial it; default localhost");
  group.add("--challenge-max-age", "TIME", rules.max_age, parse_duration,
            "How old a signature may be; default 1m");
}

void add_tls(CLI::App& app, Flags& flags) {
  TlsOptions& tls = flags.settings.gateway.tls;
  FlagGroup group(app, "TLS");
  group.add("--make-certificates", "DIRECTORY", flags.settings.make_certificates, as_it_stands,
            "Use ca.crt, gateway.crt and gateway.key of this directory, and make them first, with "
            "worker.crt and worker.key for a worker, if there are none. For gw.test, localhost, "
            "127.0.0.1 and ::1");
  group.add("--ca-file", "FILE", tls.ca_file, as_it_stands,
            "Who issues the certificates of workers");
  group.add("--cert-file", "FILE", tls.cert_file, as_it_stands,
            "The gateway's certificate and chain");
  group.add("--key-file", "FILE", tls.key_file, as_it_stands, "Its key; default: in --cert-file");
  group.add("--crl-file", "FILE", tls.crl_file, as_it_stands,
            "The certificates that are revoked, in the lists of every CA of a worker's chain");
  group.add("--client-certificates", "WHEN", tls.peer_certificate, parse_client_certificates,
            "Whether workers must bring one: none, optional or required (default). Its common name "
            "is the worker's name");
  group.add_list("--haproxy-alpn", "ID,...", flags.haproxy_alpn, parse_alpn_id,
                 "ALPN ids for --haproxy, as text or hex:d587c9a5; default h2");
  group.add_list("--direct-alpn", "ID,...", flags.direct_alpn, parse_alpn_id,
                 "ALPN ids for --direct; default ph2,rh2,hex:d587c9a5");
  group.add_list("--potato-alpn", "ID,...", flags.potato_alpn, parse_alpn_id,
                 "ALPN ids for --potato; default hex:d587c9a5, its newest revision");
  group.add_list("--direct-http1-alpn", "ID,...", flags.direct_http1_alpn, parse_alpn_id,
                 "ALPN ids for --direct after which HTTP/1.1 is spoken; default "
                 "ph1,rh1,hex:c696c9a5,http/1.1");
  group.add_list("--potato-http1-alpn", "ID,...", flags.potato_http1_alpn, parse_alpn_id,
                 "The same for --potato; default hex:c696c9a5");
  group.add_switch("--cleartext-workers", flags.cleartext_workers, "No TLS towards workers");
}

void add_limits(CLI::App& app, Flags& flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  RetryOptions& retry = gateway.dispatcher.retry;
  FlagGroup group(app, "Limits");
  const auto duration = [&](const char* name, Milliseconds& value, const char* help) {
    group.add(name, "TIME", value, parse_duration, help);
  };
  const auto count = [&](const char* name, auto& value, const char* help) {
    using Number = std::remove_reference_t<decltype(value)>;
    group.add(name, "N", value, parse_number<Number>(1'000'000), help);
  };
  count("--worker-streams", gateway.session.streams_max,
        "Requests at one worker at a time, also when it would take more; default 1000");
  count("--channels-per-connection", gateway.channels_max,
        "Channels on a connection of --ptth-connect or --reverse-connect at a time; default 100");
  count("--queue-length", gateway.dispatcher.queue_length_max,
        "Requests that wait for a worker, else 503; default 1000");
  duration("--queue-time", retry.queue_time, "How long each waits, then 503; default 5s");
  count("--tries", retry.tries_max, "Workers asked for one request that they refuse; default 3");
  duration("--answer-timeout", retry.answer_timeout,
           "From the request sent to the head of its answer, then 504; default 60s");
  duration("--attach-timeout", gateway.session.attach_timeout,
           "From TLS to SETTINGS exchanged; default 10s");
  duration("--ping-after", gateway.session.ping_after,
           "Silence of a worker before it is asked by PING; default 15s");
  duration("--ping-timeout", gateway.session.ping_timeout,
           "How long its answer may take; default 5s");
  duration("--drain-timeout", gateway.drain_timeout,
           "How long requests in flight may take after SIGTERM; default 10s");
}

void add_faults(CLI::App& app, Flags& flags) {
  FaultOptions& faults = flags.settings.gateway.dispatcher.faults;
  FlagGroup group(app, "Faults on purpose (VALUE: every time; VALUE@N: only the N-th, from 1)");
  const char* by_request = "SIZE[@REQUEST]";
  const char* by_connection = "SIZE[@CONNECTION]";
  group.add("--fault-delay", "TIME[@REQUEST]", faults.delay_ms, parse_delay_fault,
            "Send a request to a worker so much later");
  group.add("--fault-hello", "STATUS[@HELLO]", faults.hello_status, parse_status_fault,
            "Answer a hello with this status, whatever it says: 204, 307 or 308 (to where it came "
            "from), or 400 to 599");
  group.add("--fault-stall-window", by_request, faults.stall_window, parse_bytes_fault,
            "Give no stream credit back once so much of the answer's body has come");
  group.add("--fault-reset-after", by_request, faults.reset_after, parse_bytes_fault,
            "RST_STREAM(CANCEL) once so much of the answer's body has come; 0: behind the request");
  group.add("--fault-cut-after", by_connection, faults.cut_after, parse_bytes_fault,
            "Close a worker's connection after so many bytes from it");
  group.add("--fault-cut-after-sent", by_connection, faults.cut_after_sent, parse_bytes_fault,
            "Close a worker's connection after so many bytes to it");
  group.add("--fault-stop-reading", by_connection, faults.stop_reading, parse_bytes_fault,
            "Read nothing more from an attached worker after so many bytes from it");
}

void add_log(CLI::App& app, Flags& flags) {
  FlagGroup group(app, "Log");
  group.add("--log-level", "LEVEL", flags.settings.log.level, parse_log_level,
            "trace, debug, info (default), warn, error or off");
  group.add("--log-format", "FORMAT", flags.settings.log.format, parse_log_format,
            "human (default) or json");
}

void add_workers(Flags& flags) {
  auto& workers = flags.settings.gateway.workers;
  const auto add = [&workers](WorkerProfile profile, const std::vector<std::string>& addresses,
                              const std::vector<std::string>& alpn,
                              const std::vector<std::string>& http1_alpn = {}) {
    for (const std::string& address : addresses)
      workers.push_back({profile, address, alpn, http1_alpn});
  };
  add(WorkerProfile::kHaproxy, flags.haproxy, flags.haproxy_alpn);
  add(WorkerProfile::kDirect, flags.direct, flags.direct_alpn, flags.direct_http1_alpn);
  add(WorkerProfile::kPotato, flags.potato, flags.potato_alpn, flags.potato_http1_alpn);
  add(WorkerProfile::kH2Reverse, flags.h2_reverse, {"h2-reverse"});
  add(WorkerProfile::kPtth, flags.ptth, {"http/1.1"});
  add(WorkerProfile::kReverse, flags.reverse, {"http/1.1"});
  add(WorkerProfile::kPtthConnect, flags.ptth_connect, {"h2"});
  add(WorkerProfile::kReverseConnect, flags.reverse_connect, {"h2"});
  add(WorkerProfile::kEnvoy, flags.envoy, {});
  add(WorkerProfile::kPtth10, flags.ptth_1_0, {"http/1.1"});
  if (workers.empty()) add(WorkerProfile::kHaproxy, {"127.0.0.1:8443"}, flags.haproxy_alpn);
}

Settings finish(Flags flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  add_workers(flags);
  if (flags.prefer_http1) gateway.hello.preferred = Channel::kHttp1;
  EnvoyRules& envoy = gateway.hello.envoy;
  if (flags.envoy_upgrade) envoy.mode = EnvoyRules::Mode::kUpgrade;
  if (flags.envoy_node_is_certificate) envoy.node_name = EnvoyRules::NodeName::kOfCertificate;
  if (flags.envoy_cleartext) gateway.inner_tls = DevGateway::InnerTls::kOff;
  if (gateway.unused.inner_name.empty()) gateway.unused.inner_name = "worker-1";
  if (gateway.users.empty() && gateway.users_tls.empty()) gateway.users = {"127.0.0.1:8080"};
  if (flags.cleartext_workers) gateway.worker_tls = DevGateway::WorkerTls::kOff;
  const std::string& directory = flags.settings.make_certificates;
  const bool has_inner_tls = !flags.envoy.empty() && !flags.envoy_cleartext;
  const bool needs_certificate =
      !flags.cleartext_workers || has_inner_tls || !gateway.users_tls.empty();
  if (!directory.empty()) {
    gateway.tls.ca_file = directory + "/ca.crt";
    gateway.tls.cert_file = directory + "/gateway.crt";
    gateway.tls.key_file = directory + "/gateway.key";
  } else if (needs_certificate && gateway.tls.cert_file.empty()) {
    throw CLI::ValidationError(
        "TLS needs --cert-file (and --ca-file), or --make-certificates DIRECTORY to make them");
  }
  return std::move(flags.settings);
}

}  // namespace

SettingsOrExit read_settings(int argc, const char* const* argv) {
  Flags flags;
  flags.settings.log.format = LogFormat::kHuman;
  flags.settings.gateway.tls.min_version = TlsVersion::kTls12;
  CLI::App app(kDescription, "ptth-dev-gateway");
  app.get_formatter()->column_width(36);
  add_entrances(app, flags);
  add_hello(app, flags);
  add_challenge(app, flags);
  add_credentials(app, flags);
  add_envoy(app, flags);
  add_tls(app, flags);
  add_limits(app, flags);
  add_faults(app, flags);
  add_log(app, flags);
  SettingsOrExit outcome;
  try {
    app.parse(argc, argv);
    outcome.settings = finish(std::move(flags));
  } catch (const CLI::Error& error) {
    // CLI11 has statuses of its own; like ptth-agent, 2 is wrong usage.
    outcome.exit_now = true;
    outcome.exit_status = app.exit(error) == 0 ? 0 : 2;
  }
  return outcome;
}

}  // namespace ptth::dev
