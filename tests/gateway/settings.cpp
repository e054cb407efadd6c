#include "tests/gateway/settings.h"

#include "agent/config_value.h"

#include <fstream>
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

// The flags of one group. A wrong value ends the start with what is wrong with which flag.
class FlagGroup {
 public:
  FlagGroup(CLI::App& app, std::string title) : app_(app), title_(std::move(title)) {}

  template <class Value, class Parse>
  void add(const char* name, const char* type, Value& value, Parse parse, const char* help) {
    const auto assign = [name, &value, parse](const std::vector<std::string>& texts) {
      for (const std::string& text : texts)
        value = parsed(name, parse(text));
      return true;
    };
    app_.add_option(name, assign, help)->type_name(type)->group(title_);
  }

  // May be given several times, or once with commas.
  template <class Value, class Parse>
  void add_list(const char* name, const char* type, std::vector<Value>& values, Parse parse,
                const char* help) {
    const auto assign = [name, &values, parse](const std::vector<std::string>& texts) {
      values.clear();
      for (const std::string& text : texts)
        values.push_back(parsed(name, parse(text)));
      return true;
    };
    app_.add_option(name, assign, help)
        ->type_name(type)
        ->delimiter(',')
        ->expected(1)
        ->take_all()
        ->group(title_);
  }

  void add_switch(const char* name, bool& value, const char* help) {
    app_.add_flag(name, value, help)->group(title_);
  }

 private:
  template <class Value>
  static Value parsed(const char* name, Result<Value> result) {
    if (!result) throw CLI::ValidationError(name, result.error().detail);
    return std::move(result).value();
  }

  CLI::App& app_;
  std::string title_;
};

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

Result<std::optional<Fault>> parse_status_fault(const std::string& text) {
  auto fault = parse_fault(text, parse_count);
  if (!fault) return fault.error();
  const uint64_t status = fault.value().value;
  if (status != 204 && (status < 400 || status > 599)) {
    return configuration_error(std::to_string(status) + " is neither 204 nor 400 to 599");
  }
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
  std::vector<std::string> potato;
  std::vector<std::string> h2_reverse;
  std::vector<std::string> ptth;
  std::vector<std::string> reverse;
  std::vector<std::string> haproxy_alpn{"h2"};
  std::vector<std::string> direct_alpn{"ph2", "rh2", "\xd5\x87\xc9\xa5"};
  std::vector<std::string> potato_alpn{"\xd5\x87\xc9\xa5"};
  std::string token_file;
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
  address("--http", gateway.users,
          "Users: HTTP/1.1, and HTTP/2 with prior knowledge. Default 127.0.0.1:8080 when neither "
          "this nor --https is given");
  address("--https", gateway.users_tls, "Users over TLS: HTTP/1.1 and HTTP/2 by ALPN");
  group.add("--ports-file", "FILE", flags.settings.ports_file, as_it_stands,
            "Write what is listened on to this file, as lines like http=127.0.0.1:8080");
}

void add_hello(CLI::App& app, Flags& flags) {
  HelloRules& rules = flags.settings.gateway.hello;
  FlagGroup group(app, "What a worker must say, for --ptth, --reverse and --h2-reverse");
  group.add_list(
      "--register", "ORIGIN,...", rules.origins, as_it_stands,
      "The origins that a worker of --ptth or --h2-reverse may register, else it is refused; "
      "default: any");
  group.add("--reverse-path", "PATH", rules.path, as_it_stands,
            "What a worker of --reverse must ask for, else 404; default: anything");
  group.add("--worker-token-file", "FILE", flags.token_file, as_it_stands,
            "Ask for the bearer token in this file, else 401");
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
  group.add("--client-certificates", "WHEN", tls.peer_certificate, parse_client_certificates,
            "Whether workers must bring one: none, optional or required (default). Its common name "
            "is the worker's name");
  group.add_list("--haproxy-alpn", "ID,...", flags.haproxy_alpn, parse_alpn_id,
                 "ALPN ids for --haproxy, as text or hex:d587c9a5; default h2");
  group.add_list("--direct-alpn", "ID,...", flags.direct_alpn, parse_alpn_id,
                 "ALPN ids for --direct; default ph2,rh2,hex:d587c9a5");
  group.add_list("--potato-alpn", "ID,...", flags.potato_alpn, parse_alpn_id,
                 "ALPN ids for --potato; default hex:d587c9a5, its newest revision");
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
            "Answer a hello with this status, whatever it says: 204, or 400 to 599");
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

// Without the line's end that editors leave.
Secret read_token(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!std::getline(file, token) || token.empty()) {
    throw CLI::ValidationError("--worker-token-file", path + " holds no token");
  }
  return Secret(std::move(token));
}

void add_workers(Flags& flags) {
  auto& workers = flags.settings.gateway.workers;
  const auto add = [&workers](WorkerProfile profile, const std::vector<std::string>& addresses,
                              const std::vector<std::string>& alpn) {
    for (const std::string& address : addresses)
      workers.push_back({profile, address, alpn});
  };
  add(WorkerProfile::kHaproxy, flags.haproxy, flags.haproxy_alpn);
  add(WorkerProfile::kDirect, flags.direct, flags.direct_alpn);
  add(WorkerProfile::kPotato, flags.potato, flags.potato_alpn);
  add(WorkerProfile::kH2Reverse, flags.h2_reverse, {"h2-reverse"});
  add(WorkerProfile::kPtth, flags.ptth, {"http/1.1"});
  add(WorkerProfile::kReverse, flags.reverse, {"http/1.1"});
  if (workers.empty()) add(WorkerProfile::kHaproxy, {"127.0.0.1:8443"}, flags.haproxy_alpn);
}

Settings finish(Flags flags) {
  DevGateway::Options& gateway = flags.settings.gateway;
  add_workers(flags);
  if (!flags.token_file.empty()) gateway.hello.token = read_token(flags.token_file);
  if (gateway.users.empty() && gateway.users_tls.empty()) gateway.users = {"127.0.0.1:8080"};
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
  add_hello(app, flags);
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
