#include "tests/gateway/settings.h"

#include "agent/config_value.h"

#include <functional>
#include <string_view>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace ptth::dev {

namespace {

constexpr const char* kDescription =
    R"(ptth-dev-gateway is a gateway to try ptth-agent with, and to test it: workers dial in, users ask,
each request goes to the least loaded worker. Not for production.

  ptth-dev-gateway --make-certificates certs --haproxy 127.0.0.1:8443 --http 127.0.0.1:8080
  ptth-agent --gateway https://localhost:8443 --ca-file certs/ca.crt --cert-file certs/worker.crt \
      --key-file certs/worker.key --origin http://127.0.0.1:3000
  curl http://127.0.0.1:8080/

It prints one line when a worker attaches or leaves, for each request and for each retry. SIGTERM ends
it: requests in flight finish, workers get GOAWAY; a second one ends it at once.)";

// What CLI11 calls with the text of a flag. A wrong value ends the start with that text.
template <class Value, class Parse>
CLI::callback_t into(Value& value, Parse parse) {
  return [&value, parse](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      auto parsed = parse(text);
      if (!parsed) throw CLI::ValidationError(parsed.error().detail);
      value = std::move(parsed).value();
    }
    return true;
  };
}

template <class Value, class Parse>
CLI::callback_t append_to(std::vector<Value>& values, Parse parse) {
  return [&values, parse](const std::vector<std::string>& texts) {
    values.clear();
    for (const std::string& text : texts) {
      auto parsed = parse(text);
      if (!parsed) throw CLI::ValidationError(parsed.error().detail);
      values.push_back(std::move(parsed).value());
    }
    return true;
  };
}

Result<std::string> as_it_stands(const std::string& text) {
  return text;
}

// VALUE or VALUE@N.
template <class Parse>
Result<Fault> parse_fault(std::string_view text, Parse parse) {
  const size_t at = text.find('@');
  Fault fault;
  auto value = parse(text.substr(0, at));
  if (!value) return value.error();
  fault.value = value.value();
  if (at == std::string_view::npos) return fault;
  const auto only = parse_count(text.substr(at + 1));
  if (!only) return only.error();
  if (only.value() == 0) return configuration_error("they are counted from 1, not from 0");
  fault.only = only.value();
  return fault;
}

Result<std::optional<Fault>> parse_bytes_fault(const std::string& text) {
  auto fault = parse_fault(text, parse_size);
  if (!fault) return fault.error();
  return std::optional(fault.value());
}

Result<std::optional<Fault>> parse_delay_fault(const std::string& text) {
  auto fault = parse_fault(text, [](std::string_view value) -> Result<uint64_t> {
    const auto duration = parse_duration(value);
    if (!duration) return duration.error();
    return static_cast<uint64_t>(duration.value().count());
  });
  if (!fault) return fault.error();
  return std::optional(fault.value());
}

Result<PeerCertificate> parse_client_certificates(const std::string& text) {
  if (text == "none") return PeerCertificate::kNone;
  if (text == "optional") return PeerCertificate::kOptional;
  if (text == "required") return PeerCertificate::kRequired;
  return configuration_error(ptth::in_quotes(text) + " is not none, optional or required");
}

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

struct Flags {
  Settings settings;
  std::vector<std::string> haproxy;
  std::vector<std::string> direct;
  std::vector<std::string> haproxy_alpn{"h2"};
  std::vector<std::string> direct_alpn{"ph2", "rh2", "\xd5\x87\xc9\xa5"};
  bool cleartext_workers = false;
};

void add_entrances(CLI::App& app, Flags& flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  const std::string group =
      "Where to listen (HOST:PORT, port 0 lets the system choose; repeatable)";
  const auto address = [&](const char* name, std::vector<std::string>& into_list,
                           const char* help) {
    app.add_option(name, append_to(into_list, as_it_stands), help)
        ->type_name("ADDRESS")
        ->expected(1, -1)
        ->group(group);
  };
  address("--haproxy", flags.haproxy,
          "Workers with the profile haproxy: the worker sends the HTTP/2 client magic. Default "
          "127.0.0.1:8443 when neither this nor --direct is given");
  address("--direct", flags.direct, "Workers with the profile direct: the gateway sends it");
  address(
      "--http", gateway.users,
      "Users: HTTP/1.1, and HTTP/2 with prior knowledge. Default 127.0.0.1:8080 when neither this "
      "nor --https is given");
  address("--https", gateway.users_tls, "Users over TLS: HTTP/1.1 and HTTP/2 by ALPN");
  app.add_option("--ports-file", flags.settings.ports_file,
                 "Write what is listened on to this file, as lines like http=127.0.0.1:8080")
      ->type_name("FILE")
      ->group(group);
}

void add_tls(CLI::App& app, Flags& flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  const std::string group = "TLS";
  app.add_option(
         "--make-certificates", flags.settings.make_certificates,
         "Use ca.crt, gateway.crt and gateway.key of this directory, and make them first, with "
         "worker.crt and worker.key for a worker, if there are none. For gw.test, localhost, "
         "127.0.0.1 and ::1")
      ->type_name("DIRECTORY")
      ->group(group);
  app.add_option("--ca-file", gateway.tls.ca_file, "Who issues the certificates of workers")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--cert-file", gateway.tls.cert_file, "The gateway's certificate and chain")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--key-file", gateway.tls.key_file, "Its key; default: in --cert-file")
      ->type_name("FILE")
      ->group(group);
  app.add_option(
         "--client-certificates", into(gateway.tls.peer_certificate, parse_client_certificates),
         "Whether workers must bring one: none, optional or required (default). Its common name "
         "is the worker's name")
      ->type_name("WHEN")
      ->group(group);
  const auto alpn = [&](const char* name, std::vector<std::string>& ids, const char* help) {
    app.add_option(name, append_to(ids, parse_alpn_id), help)
        ->type_name("ID,...")
        ->delimiter(',')
        ->expected(1, -1)
        ->group(group);
  };
  alpn("--haproxy-alpn", flags.haproxy_alpn,
       "ALPN ids for --haproxy, as text or hex:d587c9a5; default h2");
  alpn("--direct-alpn", flags.direct_alpn, "ALPN ids for --direct; default ph2,rh2,hex:d587c9a5");
  app.add_flag("--cleartext-workers", flags.cleartext_workers, "No TLS towards workers")
      ->group(group);
}

void add_limits(CLI::App& app, Flags& flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  RetryOptions& retry = gateway.dispatcher.retry;
  const std::string group = "Limits";
  const auto duration = [&](const char* name, Milliseconds& value, const char* help) {
    app.add_option(name, into(value, parse_duration), help)->type_name("TIME")->group(group);
  };
  const auto count = [&](const char* name, auto& value, const char* help) {
    using Number = std::remove_reference_t<decltype(value)>;
    app.add_option(name, into(value, parse_number<Number>(1'000'000)), help)
        ->type_name("N")
        ->group(group);
  };
  count("--worker-streams", gateway.session.streams_max,
        "Requests at one worker at a time, also when it would take more; default 1000");
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
  const std::string group = "Faults on purpose (VALUE: every time; VALUE@N: only the N-th, from 1)";
  app.add_option("--fault-delay", into(faults.delay_ms, parse_delay_fault),
                 "Send a request to a worker so much later")
      ->type_name("TIME[@REQUEST]")
      ->group(group);
  const auto bytes = [&](const char* name, std::optional<Fault>& fault, const char* of,
                         const char* help) {
    app.add_option(name, into(fault, parse_bytes_fault), help)->type_name(of)->group(group);
  };
  const char* by_request = "SIZE[@REQUEST]";
  const char* by_connection = "SIZE[@CONNECTION]";
  bytes("--fault-stall-window", faults.stall_window, by_request,
        "Give no stream credit back once so much of the answer's body has come");
  bytes("--fault-reset-after", faults.reset_after, by_request,
        "RST_STREAM(CANCEL) once so much of the answer's body has come; 0: behind the request");
  bytes("--fault-cut-after", faults.cut_after, by_connection,
        "Close a worker's connection after so many bytes from it");
  bytes("--fault-cut-after-sent", faults.cut_after_sent, by_connection,
        "Close a worker's connection after so many bytes to it");
  bytes("--fault-stop-reading", faults.stop_reading, by_connection,
        "Read nothing more from an attached worker after so many bytes from it");
}

void add_log(CLI::App& app, Flags& flags) {
  const std::string group = "Log";
  app.add_option("--log-level", into(flags.settings.log.level, parse_log_level),
                 "trace, debug, info (default), warn, error or off")
      ->type_name("LEVEL")
      ->group(group);
  app.add_option("--log-format", into(flags.settings.log.format, parse_log_format),
                 "human (default) or json")
      ->type_name("FORMAT")
      ->group(group);
}

Settings finish(Flags flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  if (flags.haproxy.empty() && flags.direct.empty()) flags.haproxy = {"127.0.0.1:8443"};
  if (gateway.users.empty() && gateway.users_tls.empty()) gateway.users = {"127.0.0.1:8080"};
  for (const std::string& address : flags.haproxy)
    gateway.workers.push_back({WorkerProfile::kHaproxy, address, flags.haproxy_alpn});
  for (const std::string& address : flags.direct)
    gateway.workers.push_back({WorkerProfile::kDirect, address, flags.direct_alpn});
  if (flags.cleartext_workers) gateway.worker_tls = DevGateway::WorkerTls::kOff;
  const std::string& directory = flags.settings.make_certificates;
  const bool needs_certificate = !flags.cleartext_workers || !gateway.users_tls.empty();
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
