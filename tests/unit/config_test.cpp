#include "agent/config.h"

#include "agent/config_help.h"
#include "agent/config_table.h"

#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using ptth::Config;
using ptth::ConfigOption;
using ptth::ConfigSource;
using ptth::ConfigSources;
using ptth::LoadedConfig;
using ptth::Milliseconds;

using Flags = std::vector<ConfigSources::Flag>;
using Environment = std::map<std::string, std::string>;

const Flags kComplete{{"gateway", {"https://gw.example"}}, {"origin", {"3000"}}};

LoadedConfig load(const Flags& flags, const Environment& environment = {},
                  const std::string& file = "") {
  ConfigSources sources;
  sources.flags = flags;
  sources.environment = environment;
  if (!file.empty()) sources.file = {"agent.json", file};
  return ptth::load_config(sources);
}

std::string problems_of(const LoadedConfig& loaded) {
  std::string text;
  for (const ptth::ConfigProblem& problem : loaded.problems)
    text += problem.text + "\n";
  return text;
}

Flags complete_with(const Flags& more) {
  Flags flags = kComplete;
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

std::string source_of(const LoadedConfig& loaded, const std::string& key) {
  for (const ptth::EffectiveValue& value : loaded.effective) {
    if (value.key == key) return value.source;
  }
  return "absent";
}

}  // namespace

TEST_CASE("flags win over the environment, that over the file, that over the default") {
  const std::string file =
      R"({"capacity": 1, "drain": {"timeout": "1s"}, "log": {"level": "warn"}})";
  const Environment environment{{"PTTH_CAPACITY", "2"},
                                {"PTTH_DRAIN_TIMEOUT", "2s"},
                                {"PTTH_LIMIT_HTTP1_HEAD_TIMEOUT", "3s"}};
  const LoadedConfig loaded = load(complete_with({{"capacity", {"3"}}}), environment, file);
  REQUIRE(problems_of(loaded) == "");
  CHECK(loaded.config.admission.capacity.limit == 3);
  CHECK(loaded.config.drain_timeout == Milliseconds(2000));
  CHECK(loaded.config.log.level == ptth::LogLevel::kWarn);
  CHECK(loaded.config.startup_timeout == Milliseconds(0));
  CHECK(source_of(loaded, "capacity") == "--capacity");
  CHECK(source_of(loaded, "drain.timeout") == "PTTH_DRAIN_TIMEOUT");
  CHECK(source_of(loaded, "gateways[0].limits.http1_head_timeout") ==
        "PTTH_LIMIT_HTTP1_HEAD_TIMEOUT");
  CHECK(source_of(loaded, "log.level") == "agent.json:1: log.level");
  CHECK(source_of(loaded, "startup.timeout") == "default");
}

TEST_CASE("a wrong value is refused also where another source overrides it") {
  const LoadedConfig loaded =
      load(complete_with({{"capacity", {"3"}}}), {{"PTTH_CAPACITY", "many"}});
  CHECK(problems_of(loaded) == "PTTH_CAPACITY: \"many\" is not a whole number, and not auto\n");
  CHECK(loaded.problems.front().source == ConfigSource::kEnvironment);
}

TEST_CASE("the gateways of the highest source that names any are all that there are") {
  const std::string file = R"({"gateways": [{"url": "https://file.example"}]})";
  const Environment environment{{"PTTH_GATEWAY", "https://e1.example, https://e2.example"}};
  const Flags origin{{"origin", {"3000"}}};
  CHECK(load(origin, {}, file).config.gateways.at(0).host == "file.example");
  const LoadedConfig from_environment = load(origin, environment, file);
  REQUIRE(from_environment.config.gateways.size() == 2);
  CHECK(from_environment.config.gateways[1].host == "e2.example");
  const LoadedConfig from_flags = load(kComplete, environment, file);
  REQUIRE(from_flags.config.gateways.size() == 1);
  CHECK(from_flags.config.gateways[0].host == "gw.example");
}

TEST_CASE("a flag of gateways holds for each of them, whoever named it") {
  const std::string file = R"({
    "profile": "direct",
    "gateways": [{"url": "https://a.example", "connections": 2},
                 {"url": "https://b.example", "profile": "haproxy"}]})";
  const LoadedConfig loaded =
      load({{"origin", {"3000"}}, {"connections", {"5"}}}, {{"PTTH_CA_FILE", "/ca.pem"}}, file);
  REQUIRE(problems_of(loaded) == "");
  const auto& gateways = loaded.config.gateways;
  REQUIRE(gateways.size() == 2);
  CHECK(gateways[0].connections == 5);
  CHECK(gateways[1].connections == 5);
  CHECK(gateways[0].tls_options.ca_file == "/ca.pem");
  CHECK(gateways[0].profile == "direct");
  CHECK(gateways[1].profile == "haproxy");
}

TEST_CASE("several gateways with different settings fit into one variable") {
  const Environment environment{
      {"PTTH_GATEWAYS", R"([{"url": "https://a.example", "profile": "direct"},
                            {"url": "https://b.example:8443"}])"},
      {"PTTH_PROFILE", "haproxy"},
      {"PTTH_ORIGIN", "3000"}};
  const LoadedConfig loaded = load({}, environment);
  REQUIRE(problems_of(loaded) == "");
  REQUIRE(loaded.config.gateways.size() == 2);
  CHECK(loaded.config.gateways[0].profile == "direct");
  CHECK(loaded.config.gateways[1].profile == "haproxy");
  CHECK(loaded.config.gateways[1].port == 8443);
  CHECK(problems_of(load({}, {{"PTTH_GATEWAYS", "["}})).starts_with("PTTH_GATEWAYS:1: not JSON"));
  Environment both = environment;
  both["PTTH_GATEWAY"] = "https://c.example";
  CHECK(problems_of(load({}, both)) ==
        "PTTH_GATEWAY: PTTH_GATEWAYS is set too; keep one of them\n");
}

TEST_CASE("a gateway is called by its host and port unless it has a name") {
  const LoadedConfig loaded =
      load({{"gateway", {"https://a.example", "https://[::1]:8443"}}, {"origin", {"3000"}}});
  REQUIRE(problems_of(loaded) == "");
  CHECK(loaded.config.gateways[0].name == "a.example:443");
  CHECK(loaded.config.gateways[1].name == "[::1]:8443");
  CHECK(loaded.config.gateways[1].host == "::1");
}

TEST_CASE("the same gateway twice is refused") {
  const LoadedConfig loaded =
      load({{"gateway", {"https://a.example", "https://A.example:443"}}, {"origin", {"3000"}}});
  CHECK(problems_of(loaded) ==
        "--gateway: a second gateway called \"a.example:443\"; for more connections to one gateway "
        "there is --connections\n");
  CHECK(loaded.problems.front().source == ConfigSource::kFlag);
}

TEST_CASE("an unknown variable is refused with the nearest that exists") {
  CHECK(problems_of(load(kComplete, {{"PTTH_CAPACTIY", "3"}})) ==
        "PTTH_CAPACTIY: unknown variable; did you mean \"PTTH_CAPACITY\"?\n");
  CHECK(problems_of(load(kComplete, {{"PTTH_BANANAS", "3"}})) ==
        "PTTH_BANANAS: unknown variable\n");
}

TEST_CASE("variables of others are left alone") {
  const Environment environment{{"PATH", "/bin"},
                                {"PTTH_CAPACITY", ""},  // Empty as compose files leave it: unset.
                                {"PTTH_AGENT_SERVICE_HOST", "10.0.0.1"},
                                {"PTTH_AGENT_SERVICE_PORT", "9600"},
                                {"PTTH_AGENT_SERVICE_PORT_METRICS", "9600"},
                                {"PTTH_AGENT_PORT", "tcp://10.0.0.1:9600"},
                                {"PTTH_AGENT_PORT_9600_TCP", "tcp://10.0.0.1:9600"},
                                {"PTTH_AGENT_PORT_9600_TCP_PROTO", "tcp"},
                                {"PTTH_AGENT_PORT_9600_TCP_ADDR", "10.0.0.1"}};
  const LoadedConfig loaded = load(kComplete, environment);
  CHECK(problems_of(loaded) == "");
  CHECK(loaded.config.admission.capacity.limit == 100);
}

TEST_CASE("ALPN ids come as bytes, whether they were written as text or as hex") {
  const LoadedConfig loaded = load(complete_with({{"alpn", {"hex:d587c9a5,ph2", "h2"}}}));
  REQUIRE(problems_of(loaded) == "");
  CHECK(loaded.config.gateways[0].alpn ==
        std::vector<std::string>{"\xd5\x87\xc9\xa5", "ph2", "h2"});
}

TEST_CASE("cleartext to a gateway needs an option that says insecure") {
  const Flags flags{{"gateway", {"http://gw.example"}}, {"origin", {"3000"}}};
  CHECK(problems_of(load(flags)).find("--insecure-cleartext-gateway") != std::string::npos);
  Flags allowed = flags;
  allowed.push_back({"insecure-cleartext-gateway", {"true"}});
  const LoadedConfig loaded = load(allowed);
  REQUIRE(problems_of(loaded) == "");
  CHECK_FALSE(loaded.config.gateways[0].tls);
  CHECK(loaded.config.gateways[0].port == 80);
}

TEST_CASE("an agent that serves everything is told so") {
  CHECK(load(kComplete).config.warnings.size() == 1);
  const LoadedConfig loaded = load(complete_with({{"serve", {"https://app.example"}}}));
  CHECK(loaded.config.warnings.empty());
  CHECK_FALSE(loaded.config.serve.matches_all());
}

TEST_CASE("the default format of the log depends on where it goes") {
  ConfigSources sources;
  sources.flags = kComplete;
  sources.default_log_format = ptth::LogFormat::kHuman;
  CHECK(ptth::load_config(sources).config.log.format == ptth::LogFormat::kHuman);
  sources.environment["PTTH_LOG_FORMAT"] = "json";
  CHECK(ptth::load_config(sources).config.log.format == ptth::LogFormat::kJson);
}

TEST_CASE("every setting has one flag, one variable and one key of its own") {
  std::set<std::string> flags;
  std::set<std::string> keys;
  for (const ConfigOption& option : ptth::config_options()) {
    if (!option.flag.empty()) CHECK(flags.insert(std::string(option.flag)).second);
    if (!option.key.empty()) CHECK(keys.insert(std::string(option.key)).second);
    CHECK_FALSE(option.help.empty());
  }
}

TEST_CASE("the flags that others rely on have their names") {
  for (const char* flag :
       {"gateway", "profile", "alpn", "connections", "ca-file", "cert-file", "key-file",
        "server-name", "origin", "serve", "capacity", "admin", "config", "log-level", "log-format",
        "drain-timeout", "reconnect-min", "reconnect-max", "startup-timeout"}) {
    CAPTURE(flag);
    CHECK(ptth::find_option_by_flag(flag) != nullptr);
  }
}

TEST_CASE("every setting is in the help and in the table for the README") {
  const std::string help = ptth::options_help();
  const std::string markdown = ptth::options_markdown();
  for (const ConfigOption& option : ptth::config_options()) {
    CAPTURE(option.key);
    std::string key(option.key);
    if (option.scope == ptth::OptionScope::kEachClass) key.insert(key.find('.'), "[]");
    CHECK(markdown.find(key + "` |") != std::string::npos);
    if (option.flag.empty()) continue;
    const std::string flag = "--" + std::string(option.flag);
    CHECK(help.find("\n  " + flag + " ") != std::string::npos);
    const bool in_markdown = markdown.find("\n| `" + flag + " ") != std::string::npos ||
                             markdown.find("\n| `" + flag + "` |") != std::string::npos;
    CHECK(in_markdown);
    CHECK(markdown.find("| `" + ptth::environment_name(option) + "` |") != std::string::npos);
  }
}

TEST_CASE("every default can be given by hand") {
  Config config;
  ptth::GatewayOptions gateway;
  for (const ConfigOption& option : ptth::config_options()) {
    if (option.slot == nullptr || option.key == "url" || option.key == "origin.url") continue;
    const std::string text = ptth::show_option(option, config, gateway);
    if (text.empty()) continue;
    CAPTURE(option.key);
    CHECK(ptth::assign_option(option, {text}, config, gateway).ok());
    CHECK(ptth::show_option(option, config, gateway) == text);
  }
}
