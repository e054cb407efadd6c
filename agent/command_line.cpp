#include "agent/command_line.h"

#include "agent/admin_client.h"
#include "agent/agent.h"
#include "agent/config.h"
#include "agent/config_help.h"
#include "agent/config_table.h"
#include "agent/config_value.h"
#include "agent/credential_files.h"
#include "agent/exit_code.h"
#include "agent/healthcheck.h"
#include "agent/nearest_match.h"
#include "agent/reload.h"
#include "agent/status_text.h"
#include "agent/version.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace ptth {

namespace {

using Arguments = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

constexpr size_t kConfigBytesMax = size_t{1024} * 1024;
constexpr Milliseconds kAnswerTimeout{3'000};
constexpr Milliseconds kWatchInterval{1'000};
constexpr Milliseconds kReceiptInterval{100};

constexpr std::string_view kUsage =
    R"(ptth-agent serves an application through gateways that it dials itself: no inbound port.

  ptth-agent --gateway https://gw.example --origin http://localhost:3000 --serve https://app.example

Verbs:
  run           dial and serve; also when only flags are given
  check         say whether the configuration is valid; --print shows every value and its source
  status        what a running agent is doing; --json, --watch
  drain         have a running agent leave, and wait for its receipt
  healthcheck   exit 0 when the agent at the admin address is ready
  version       --json adds the commit, the libraries and the TLS groups
  help          this text

A setting is a flag, an environment variable or a key of the JSON file: --drain-timeout 30s,
PTTH_DRAIN_TIMEOUT=30s, {"drain": {"timeout": "30s"}}. Flags win over the environment, that over the
file. Durations and sizes carry units: 500ms, 1m30s, 64KiB. Rates are 200+50/s: 200 at once, 50 more
each second. Lists take commas. Flags of gateways hold for all of them; several with different
settings stand in the file, or in PTTH_GATEWAYS as the same JSON.
)";

constexpr std::string_view kExitCodes = R"(
Exit codes:
  0   clean, also after a drain         75  the drain deadline passed, exchanges were cut
  1   internal error, or not ready      77  credentials refused, with --exit-on-auth-failure
  2   wrong usage                       78  wrong configuration
  69  no gateway within --startup-timeout
)";

void say(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void complain(std::string_view text) {
  const std::string line = "ptth-agent: " + std::string(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int usage_error(std::string_view text) {
  complain(text);
  complain("see: ptth-agent help");
  return kExitUsage;
}

// What follows a verb, once understood.
struct ParsedFlags {
  std::vector<ConfigSources::Flag> settings;
  bool print = false;     // check
  bool json = false;      // version, status
  bool watch = false;     // status
  bool markdown = false;  // help
  std::string error;
};

enum class Verb { kRun, kCheck, kStatus, kDrain, kHealthcheck, kVersion, kHelp };

constexpr std::array<std::pair<std::string_view, Verb>, 7> kVerbs{
    {{"run", Verb::kRun},
     {"check", Verb::kCheck},
     {"status", Verb::kStatus},
     {"drain", Verb::kDrain},
     {"healthcheck", Verb::kHealthcheck},
     {"version", Verb::kVersion},
     {"help", Verb::kHelp}}};

std::optional<Verb> find_verb(std::string_view name) {
  for (const auto& [known, verb] : kVerbs) {
    if (known == name) return verb;
  }
  return std::nullopt;
}

bool takes_settings(Verb verb) {
  return verb != Verb::kVersion && verb != Verb::kHelp;
}

CLI::Option* add_setting(CLI::App& app, const ConfigOption& option) {
  const std::string name = "--" + std::string(option.flag);
  if (option.kind == ValueKind::kSwitch) return app.add_flag(name);
  CLI::Option* flag = app.add_option(name);
  // The last one wins, as a wrapper script expects; lists grow.
  flag->expected(1)->multi_option_policy(is_list(option) ? CLI::MultiOptionPolicy::TakeAll
                                                         : CLI::MultiOptionPolicy::TakeLast);
  return flag;
}

std::string unknown_argument(const CLI::App& app, const Arguments& remaining) {
  const auto flag = std::find_if(remaining.begin(), remaining.end(),
                                 [](const std::string& text) { return text.starts_with('-'); });
  if (flag == remaining.end()) {
    const bool is_verb = find_verb(remaining.front()).has_value();
    return "unexpected \"" + remaining.front() + "\"" + (is_verb ? ": the verb comes first" : "");
  }
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    names.push_back(option->get_name());
  const std::string typed = flag->substr(0, flag->find('='));
  return "unknown flag " + typed + did_you_mean(typed, names);
}

ParsedFlags parse_flags(Verb verb, const Arguments& arguments) {
  ParsedFlags parsed;
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  std::vector<std::pair<const ConfigOption*, CLI::Option*>> settings;
  for (const ConfigOption& option : config_options()) {
    if (!takes_settings(verb) || option.flag.empty()) continue;
    settings.emplace_back(&option, add_setting(app, option));
  }
  if (verb == Verb::kCheck) app.add_flag("--print", parsed.print);
  if (verb == Verb::kVersion || verb == Verb::kStatus) app.add_flag("--json", parsed.json);
  if (verb == Verb::kStatus) app.add_flag("--watch", parsed.watch);
  if (verb == Verb::kHelp) app.add_flag("--markdown", parsed.markdown);
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ArgumentMismatch& error) {
    const std::string_view text = error.what();  // "--capacity: 1 required ..."
    parsed.error = std::string(text.substr(0, text.find(':'))) + " needs one value";
    return parsed;
  } catch (const CLI::ParseError& error) {
    parsed.error = error.what();
    return parsed;
  }
  const Arguments remaining = app.remaining();
  if (!remaining.empty()) {
    parsed.error = unknown_argument(app, remaining);
    return parsed;
  }
  for (const auto& [option, flag] : settings) {
    if (flag->count() == 0) continue;
    Arguments values = flag->results();
    if (!is_list(*option)) values.erase(values.begin(), values.end() - 1);
    parsed.settings.push_back({std::string(option->flag), std::move(values)});
  }
  return parsed;
}

std::string config_file_name(const ParsedFlags& flags, const Environment& environment) {
  for (const ConfigSources::Flag& flag : flags.settings) {
    if (flag.name == "config") return flag.values.back();
  }
  const auto variable = environment.find("PTTH_CONFIG");
  return variable == environment.end() ? std::string() : variable->second;
}

// Up to a byte more than is allowed, so that the parser can tell.
std::optional<std::string> read_bounded(const std::string& name) {
  errno = 0;
  std::ifstream file(name, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(kConfigBytesMax + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (file.fail() && !file.eof())) return std::nullopt;
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

LoadedConfig load(const ParsedFlags& flags, const Environment& environment) {
  ConfigSources sources;
  sources.flags = flags.settings;
  sources.environment = environment;
  sources.default_log_format = isatty(STDERR_FILENO) == 1 ? LogFormat::kHuman : LogFormat::kJson;
  const std::string file_name = config_file_name(flags, environment);
  std::string read_error;
  if (!file_name.empty()) {
    std::optional<std::string> text = read_bounded(file_name);
    if (text) {
      sources.file = {file_name, std::move(*text)};
    } else {
      read_error = file_name + ": " +
                   (errno == 0 ? "cannot be read" : std::generic_category().message(errno));
    }
  }
  if (!read_error.empty()) {
    LoadedConfig unread;
    unread.problems.push_back({ConfigSource::kFile, read_error});
    return unread;
  }
  LoadedConfig loaded = load_config(sources);
  if (loaded.problems.empty()) check_credential_files(loaded);
  return loaded;
}

int report_problems(const LoadedConfig& loaded) {
  bool command_line_wrong = false;
  for (const ConfigProblem& problem : loaded.problems) {
    complain(problem.text);
    command_line_wrong = command_line_wrong || problem.source == ConfigSource::kFlag;
  }
  return command_line_wrong ? kExitUsage : kExitConfiguration;
}

int run(const ParsedFlags& flags, const Environment& environment) {
  const ConfigOrigin origin{config_file_name(flags, environment),
                            [&flags, &environment] { return load(flags, environment); }};
  const FileStamp stamp = FileStamp::of(origin.file);
  const LoadedConfig loaded = origin.load();
  if (!loaded.problems.empty()) return report_problems(loaded);
  return run_agent(loaded, stamp, origin);
}

void print_effective(const LoadedConfig& loaded) {
  size_t key_width = 0;
  size_t value_width = 0;
  for (const EffectiveValue& value : loaded.effective) {
    key_width = std::max(key_width, value.key.size());
    value_width = std::max(value_width, value.value.size());
  }
  for (const EffectiveValue& value : loaded.effective) {
    std::string line = value.key;
    line.append(key_width + 2 - value.key.size(), ' ').append(value.value);
    line.append(value_width + 2 - value.value.size(), ' ').append(value.source).append("\n");
    say(line);
  }
}

int check(const ParsedFlags& flags, const Environment& environment) {
  const LoadedConfig loaded = load(flags, environment);
  if (flags.print) print_effective(loaded);
  if (!loaded.problems.empty()) return report_problems(loaded);
  for (const std::string& warning : loaded.config.warnings)
    complain("warning: " + warning);
  if (!flags.print) say("configuration is valid\n");
  return kExitClean;
}

// Where a running agent answers, for the verbs that ask it. Only their own flags must be right: a
// file that was broken after the agent had read it does not make the agent unhealthy.
std::optional<std::string> admin_address(const ParsedFlags& flags, const Environment& environment,
                                         int& exit_code) {
  LoadedConfig loaded = load(flags, environment);
  std::erase_if(loaded.problems,
                [](const ConfigProblem& problem) { return problem.source != ConfigSource::kFlag; });
  if (!loaded.problems.empty()) {
    exit_code = report_problems(loaded);
    return std::nullopt;
  }
  if (loaded.config.admin.listen.empty()) {
    complain("the admin interface is off: nothing to ask");
    exit_code = kExitInternal;
    return std::nullopt;
  }
  return loaded.config.admin.listen;
}

int healthcheck(const ParsedFlags& flags, const Environment& environment) {
  int exit_code = kExitInternal;
  const std::optional<std::string> address = admin_address(flags, environment, exit_code);
  if (!address) return exit_code;
  const Result<void> healthy = check_health(*address, kAnswerTimeout);
  if (healthy) return kExitClean;
  complain(printable(*address + ": " + healthy.error().detail));
  return kExitInternal;
}

Result<std::string> read_status(const std::string& address) {
  constexpr int kOk = 200;
  Result<AdminAnswer> answer = ask_admin(address, "GET", "/status", kAnswerTimeout);
  if (!answer) return answer.error();
  if (answer.value().status == kOk) return std::move(answer.value().body);
  return Error{ErrorKind::kProtocol, Side::kLocal,
               "answered " + std::to_string(answer.value().status) +
                   " (is this an agent's admin address, and of this version?)"};
}

int status(const ParsedFlags& flags, const Environment& environment) {
  constexpr std::string_view kClearScreen = "\x1b[H\x1b[2J";
  int exit_code = kExitInternal;
  const std::optional<std::string> address = admin_address(flags, environment, exit_code);
  if (!address) return exit_code;
  for (;;) {
    Result<std::string> document = read_status(*address);
    Result<std::string> text =
        document && !flags.json ? status_text(document.value()) : std::move(document);
    if (!text) {
      complain(printable(*address + ": " + text.error().detail));
      return kExitInternal;
    }
    if (flags.watch && isatty(STDOUT_FILENO) == 1) say(kClearScreen);
    say(text.value());
    if (flags.json) say("\n");
    if (!flags.watch || std::fflush(stdout) != 0) return kExitClean;
    std::this_thread::sleep_for(kWatchInterval);
  }
}

Result<void> ask_for_drain(const std::string& address) {
  constexpr int kAccepted = 202;
  const Result<AdminAnswer> answer = ask_admin(address, "POST", "/drain", kAnswerTimeout);
  if (!answer) return answer.error();
  if (answer.value().status == kAccepted) return {};
  return Error{ErrorKind::kProtocol, Side::kLocal,
               "answered " + std::to_string(answer.value().status) + " " + answer.value().body};
}

// How long it may take is the agent's to say (--drain-timeout).
int drain(const ParsedFlags& flags, const Environment& environment) {
  int exit_code = kExitInternal;
  const std::optional<std::string> address = admin_address(flags, environment, exit_code);
  if (!address) return exit_code;
  if (const Result<void> asked = ask_for_drain(*address); !asked) {
    complain(printable(*address + ": " + asked.error().detail));
    return kExitInternal;
  }
  for (;;) {
    const Result<std::string> document = read_status(*address);
    if (!document) {
      complain(printable(*address + ": left without a receipt: " + document.error().detail));
      return kExitInternal;
    }
    if (const std::optional<DrainReceipt> receipt = find_receipt(document.value())) {
      say(receipt->text + "\n");
      return receipt->cut > 0 ? kExitCut : kExitClean;
    }
    std::this_thread::sleep_for(kReceiptInterval);
  }
}

int help(const ParsedFlags& flags) {
  if (flags.markdown) {
    say(options_markdown());
  } else {
    say(std::string(kUsage) + options_help() + std::string(kExitCodes));
  }
  return kExitClean;
}

int version(const ParsedFlags& flags) {
  say((flags.json ? version_json() : version_text()) + "\n");
  return kExitClean;
}

// The verb, and what follows it.
std::optional<Verb> take_verb(Arguments& arguments) {
  const auto asks_for = [&](std::string_view one, std::string_view other) {
    return std::any_of(arguments.begin(), arguments.end(),
                       [&](const std::string& text) { return text == one || text == other; });
  };
  if (asks_for("--help", "-h")) {
    arguments.clear();
    return Verb::kHelp;
  }
  if (asks_for("--version", "-V")) {
    arguments.clear();
    return Verb::kVersion;
  }
  if (arguments.empty() || arguments.front().starts_with('-')) return Verb::kRun;
  const std::optional<Verb> verb = find_verb(arguments.front());
  if (verb) arguments.erase(arguments.begin());
  return verb;
}

}  // namespace

int run_command_line(const Arguments& arguments, const Environment& environment) {
  Arguments rest = arguments;
  const std::optional<Verb> verb = take_verb(rest);
  if (!verb) {
    std::vector<std::string> names;
    names.reserve(kVerbs.size());
    for (const auto& [name, known] : kVerbs)
      names.emplace_back(name);
    return usage_error("unknown verb \"" + rest.front() + "\"" + did_you_mean(rest.front(), names));
  }
  const ParsedFlags flags = parse_flags(*verb, rest);
  if (!flags.error.empty()) return usage_error(flags.error);
  switch (*verb) {
    case Verb::kRun:
      return run(flags, environment);
    case Verb::kCheck:
      return check(flags, environment);
    case Verb::kStatus:
      return status(flags, environment);
    case Verb::kDrain:
      return drain(flags, environment);
    case Verb::kHealthcheck:
      return healthcheck(flags, environment);
    case Verb::kVersion:
      return version(flags);
    case Verb::kHelp:
      return help(flags);
  }
  return kExitInternal;
}

}  // namespace ptth
