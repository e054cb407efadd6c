#include "agent/config.h"

#include "agent/config_address.h"
#include "agent/config_discovery.h"
#include "agent/config_setting.h"
#include "agent/config_value.h"
#include "agent/found_gateway.h"
#include "agent/profiles.h"
#include "agent/proxy_environment.h"
#include "common/check.h"
#include "common/http_uri.h"

#include <algorithm>
#include <set>
#include <utility>

namespace ptth {

namespace {

using Winners = std::map<const ConfigOption*, const Setting*>;

bool is_gateway_url(const Setting& setting) {
  return setting.option->kind == ValueKind::kGatewayUrl;
}

// The places of two settings that contradict each other, as one text.
std::string both(const Setting* one, const Setting* other) {
  std::string text;
  for (const Setting* setting : {one, other}) {
    if (setting == nullptr) continue;
    if (!text.empty()) text += ", ";
    text += setting->where;
  }
  return text;
}

// Merges the sources in the order of their precedence, and remembers who won.
class ConfigMerger {
 public:
  explicit ConfigMerger(const ConfigSources& sources) : variables_(sources.environment) {
    if (sources.file) read_file(*sources.file, file_, loaded_.problems);
    read_environment(sources.environment, environment_, loaded_.problems);
    read_flags(sources.flags, flags_);
    loaded_.config.log.format = sources.default_log_format;
    loaded_.config.environment = sources.environment;
  }

  LoadedConfig merge() {
    check_values();
    choose_gateways();
    apply_process_settings();
    for (const GatewaySettings& gateway : gateways_)
      apply_gateway(gateway);
    for (const ClassSettings& each : file_.classes)
      apply_class(each);
    if (loaded_.problems.empty()) {
      check_completeness();
      check_capacity();
      for (size_t i = 0; i < gateways_.size(); ++i) {
        check_gateway(i);
        check_profile(i);
      }
    }
    list_effective();
    for (ConfigProblem& wrong : loaded_.problems)
      wrong.text = printable(wrong.text);
    return std::move(loaded_);
  }

 private:
  void problem(ConfigSource source, std::string text) {
    loaded_.problems.push_back({source, std::move(text)});
  }

  // Of settings that are right one by one and wrong together. The command line is to blame if it
  // gave one of them.
  void contradiction(const Winners& winners, std::string_view one_flag, std::string_view other_flag,
                     std::string_view what) {
    const Setting* one = winner(winners, one_flag);
    const Setting* other = winner(winners, other_flag);
    ConfigSource source = ConfigSource::kDefault;
    for (const Setting* setting : {one, other}) {
      if (setting != nullptr) source = std::max(source, setting->source);
    }
    problem(source, both(one, other).append(": ").append(what));
  }

  static const Setting* winner(const Winners& winners, std::string_view flag) {
    const auto found = winners.find(find_option_by_flag(flag));
    return found == winners.end() ? nullptr : found->second;
  }

  // Every value that was given must make sense, also one that another source overrides.
  void check_values() {
    for (const SourceSettings* source : {&file_, &environment_, &flags_}) {
      check_values_of(source->settings);
      for (const GatewaySettings& gateway : source->gateways)
        check_values_of(gateway.settings);
      for (const ClassSettings& each : source->classes)
        check_values_of(each.settings);
    }
  }

  void check_values_of(const std::vector<Setting>& settings) {
    Config config;
    GatewayOptions gateway;
    for (const Setting& setting : settings) {
      // A list of URLs makes several gateways of one value each.
      std::vector<std::vector<std::string>> each{setting.values};
      if (is_gateway_url(setting)) {
        each.clear();
        for (const std::string& value : setting.values)
          each.push_back({value});
      }
      for (const std::vector<std::string>& values : each) {
        const Result<void> stored = assign_option(*setting.option, values, config, gateway);
        if (!stored) problem(setting.source, setting.where + ": " + stored.error().detail);
      }
    }
  }

  // The highest source that names gateways names them all.
  void choose_gateways() {
    for (const SourceSettings* source : {&flags_, &environment_, &file_}) {
      gateways_ = source->gateways;
      for (const Setting& setting : source->settings) {
        if (!is_gateway_url(setting)) continue;
        if (!source->gateways.empty()) {
          problem(setting.source, setting.where + ": PTTH_GATEWAYS is set too; keep one of them");
        }
        for (const std::string& url : setting.values) {
          Setting one = setting;
          one.values = {url};
          gateways_.push_back({setting.where, {std::move(one)}});
        }
      }
      gateways_source_ = source;
      if (!gateways_.empty()) return;
    }
  }

  // A value that is wrong was reported by check_values, and changes nothing here.
  void apply(const Setting& setting, GatewayOptions& gateway, Winners& winners) {
    const Result<void> stored =
        assign_option(*setting.option, setting.values, loaded_.config, gateway);
    if (stored) winners[setting.option] = &setting;
  }

  void apply_process_settings() {
    GatewayOptions unused;
    for (const SourceSettings* source : {&file_, &environment_, &flags_}) {
      for (const Setting& setting : source->settings) {
        if (setting.option->scope != OptionScope::kProcess) continue;
        apply(setting, unused, process_winners_);
      }
    }
  }

  // What the file says of credentials and CA holds for the environment's proxy, too.
  void choose_proxy(const std::string& host, uint16_t port, bool tls, ProxyOptions& proxy) {
    if (proxy.mode != ProxyOptions::Mode::kFromEnvironment) return;
    auto found = proxy_from_environment(variables_, host, port, tls);
    if (!found) {
      problem(ConfigSource::kEnvironment, found.error().detail);
      return;
    }
    found.value().ca_file = proxy.ca_file;
    found.value().credentials_file = proxy.credentials_file;
    proxy = std::move(found).value();
  }

  // A proxy that was named for the gateway is the way out for its token endpoint, too; that of the
  // environment depends on the host.
  static void share_proxy(const ProxyOptions& with, ProxyOptions& proxy) {
    if (proxy.mode == ProxyOptions::Mode::kFromEnvironment) proxy = with;
    proxy.ca_file = with.ca_file;
    proxy.credentials_file = with.credentials_file;
  }

  void choose_oauth_proxy(GatewayOptions& gateway) {
    OauthOptions& oauth = gateway.auth.oauth;
    const auto uri = parse_http_uri(oauth.token_url);
    if (!uri) return;
    share_proxy(gateway.proxy, oauth.proxy);
    choose_proxy(uri.value().authority.host, uri.value().port(),
                 uri.value().scheme == Scheme::kHttps, oauth.proxy);
  }

  void apply_gateway(const GatewaySettings& own) {
    GatewayOptions gateway;
    Winners winners;
    for (const SourceSettings* source : {&file_, &environment_, &flags_}) {
      for (const Setting& setting : source->settings) {
        const bool common =
            setting.option->scope == OptionScope::kEachGateway && !is_gateway_url(setting);
        if (common) apply(setting, gateway, winners);
      }
      if (source != gateways_source_) continue;
      for (const Setting& setting : own.settings)
        apply(setting, gateway, winners);
    }
    choose_oauth_proxy(gateway);
    if (gateway.discovery.kind == DiscoveryOptions::Kind::kNone) {
      choose_proxy(gateway.host, gateway.port, gateway.tls, gateway.proxy);
      if (gateway.name.empty()) gateway.name = show_host_port(gateway.host, gateway.port);
    } else if (gateway.name.empty()) {
      gateway.name = discovery_host(gateway.discovery);
    }
    loaded_.config.gateways.push_back(std::move(gateway));
    gateway_winners_.push_back(std::move(winners));
  }

  void apply_class(const ClassSettings& own) {
    GatewayOptions unused;
    Winners& winners = class_winners_.emplace_back();
    loaded_.config.admission.classes.emplace_back();
    for (const Setting& setting : own.settings)
      apply(setting, unused, winners);
  }

  void check_capacity() {
    const GradientOptions& gradient = loaded_.config.admission.capacity.gradient;
    if (gradient.floor > gradient.ceiling) {
      contradiction(process_winners_, "capacity-floor", "capacity-ceiling",
                    "the least capacity (" + std::to_string(gradient.floor) +
                        ") is larger than the most (" + std::to_string(gradient.ceiling) + ")");
    }
    std::set<std::string> names{"none"};
    for (size_t i = 0; i < file_.classes.size(); ++i) {
      const std::string& name = loaded_.config.admission.classes[i].name;
      const std::string& where = file_.classes[i].where;
      if (name.empty()) {
        problem(ConfigSource::kFile, where + ": \"name\" is missing");
      } else if (!names.insert(name).second) {
        problem(ConfigSource::kFile, where + ": " + in_quotes(name) +
                                         (name == "none" ? " means requests in no class"
                                                         : " is the name of another class"));
      }
    }
  }

  void check_completeness() {
    if (gateways_.empty()) {
      problem(ConfigSource::kDefault,
              "no gateway: give --gateway https://..., PTTH_GATEWAY, or \"gateways\" in the file");
    }
    if (!process_winners_.contains(find_option_by_flag("origin"))) {
      problem(ConfigSource::kDefault,
              "no origin: give --origin http://localhost:3000, PTTH_ORIGIN, or \"origin\" in the "
              "file");
    }
    std::set<std::string> names;
    for (size_t i = 0; i < gateways_.size(); ++i) {
      const GatewayOptions& gateway = loaded_.config.gateways[i];
      if (gateway.host.empty() && gateway.discovery.kind == DiscoveryOptions::Kind::kNone) {
        problem(ConfigSource::kFile, gateways_[i].where + ": \"url\" is missing");
      } else if (!names.insert(gateway.name).second) {
        problem(gateways_source_ == &flags_ ? ConfigSource::kFlag : ConfigSource::kFile,
                gateways_[i].where + ": a second gateway called " + in_quotes(gateway.name) +
                    "; for more connections to one gateway there is --connections");
      }
    }
    if (loaded_.config.serve.matches_all()) {
      loaded_.config.warnings.emplace_back(
          "every authority is relayed: name those that this origin serves with --serve");
    }
  }

  void check_gateway(size_t index) {
    const GatewayOptions& gateway = loaded_.config.gateways[index];
    const Winners& winners = gateway_winners_[index];
    if (!gateway.tls && !loaded_.config.insecure_cleartext_gateway) {
      contradiction(winners, "gateway", {},
                    "http:// is not encrypted; use https://, or, if nobody else is on the way, "
                    "--insecure-cleartext-gateway");
    }
    if (!gateway.tls_options.key_file.empty() && gateway.tls_options.cert_file.empty()) {
      contradiction(winners, "key-file", "cert-file",
                    "a private key without its certificate; give --cert-file");
    }
    if (gateway.backoff.min > gateway.backoff.max) {
      contradiction(winners, "reconnect-min", "reconnect-max",
                    "the shortest wait (" + show_duration(gateway.backoff.min) +
                        ") is longer than the longest (" + show_duration(gateway.backoff.max) +
                        ")");
    }
    if (gateway.discovery.refresh_min > gateway.discovery.refresh_max) {
      contradiction(winners, "discovery-refresh-min", "discovery-refresh-max",
                    "the shortest time (" + show_duration(gateway.discovery.refresh_min) +
                        ") is longer than the longest (" +
                        show_duration(gateway.discovery.refresh_max) + ")");
    }
    const SessionLimits& limits = gateway.session;
    if (limits.stream_window_bytes > limits.stream_window_bytes_max) {
      contradiction(winners, "limit-stream-window-bytes", "limit-stream-window-bytes-max",
                    "the window at the start (" + show_size(limits.stream_window_bytes) +
                        ") is larger than the largest (" +
                        show_size(limits.stream_window_bytes_max) + ")");
    }
    if (limits.stream_window_bytes > limits.link_window_bytes) {
      contradiction(winners, "limit-stream-window-bytes", "limit-link-window-bytes",
                    "the window of an upload (" + show_size(limits.stream_window_bytes) +
                        ") is larger than that of its link (" +
                        show_size(limits.link_window_bytes) + ")");
    }
  }

  // A hello that the gateway would have to refuse is not begun.
  void check_profile(size_t index) {
    const GatewayOptions& gateway = loaded_.config.gateways[index];
    const auto profiles = make_profiles(example_gateway(gateway), loaded_.config.serve);
    if (profiles) return;
    ConfigSource source = ConfigSource::kDefault;
    for (const Winners* winners : {&process_winners_, &gateway_winners_[index]}) {
      for (const char* flag : {"serve",
                               "gateway",
                               "profile",
                               "auto-profile",
                               "http1-alpn",
                               "hello-token",
                               "hello-channel",
                               "alpn",
                               "revision",
                               "cert-file",
                               "server-name",
                               "hello-uri",
                               "hello-template",
                               "hello-origin",
                               "hello-variable",
                               "token-file",
                               "token-env",
                               "basic-file",
                               "header-file",
                               "oauth-token-url",
                               "oauth-client-id",
                               "oauth-client-secret-file",
                               "oauth-client-assertion-file",
                               "oauth-client-auth",
                               "oauth-subject-token-file",
                               "oauth-cert-file",
                               "oauth-key-file",
                               "challenge-path",
                               "challenge-token-file",
                               "challenge-key-file",
                               "challenge-key-id",
                               "challenge-prefix",
                               "worker-document-path",
                               "envoy-node-id",
                               "envoy-cluster-id",
                               "envoy-tenant-id",
                               "envoy-cert-file",
                               "envoy-key-file"}) {
        const Setting* setting = winner(*winners, flag);
        if (setting != nullptr) source = std::max(source, setting->source);
      }
    }
    problem(source, gateways_[index].where + ": " + profiles.error().detail);
  }

  void list_effective() {
    GatewayOptions unused;
    for (const ConfigOption& option : config_options()) {
      if (option.scope != OptionScope::kProcess || option.key.empty()) continue;
      add_effective(option, "", process_winners_, unused);
    }
    list_effective_classes();
    for (size_t i = 0; i < gateways_.size(); ++i) {
      const std::string prefix = "gateways[" + std::to_string(i) + "].";
      for (const ConfigOption& option : config_options()) {
        if (option.scope != OptionScope::kEachGateway) continue;
        add_effective(option, prefix, gateway_winners_[i], loaded_.config.gateways[i]);
      }
    }
  }

  // The table shows the last class: each is that for once.
  void list_effective_classes() {
    constexpr std::string_view kPrefix = "classes.";
    GatewayOptions unused;
    std::vector<RequestClass> all = std::exchange(loaded_.config.admission.classes, {});
    for (size_t i = 0; i < all.size(); ++i) {
      loaded_.config.admission.classes = {all[i]};
      for (const ConfigOption& option : config_options()) {
        if (option.scope != OptionScope::kEachClass) continue;
        add_effective(option, "", class_winners_[i], unused);
        std::string& key = loaded_.effective.back().key;
        key = "classes[" + std::to_string(i) + "]." + key.substr(kPrefix.size());
      }
    }
    loaded_.config.admission.classes = std::move(all);
  }

  void add_effective(const ConfigOption& option, const std::string& prefix, const Winners& winners,
                     GatewayOptions& gateway) {
    const auto found = winners.find(&option);
    std::string value = show_option(option, loaded_.config, gateway);
    if (value.empty()) value = option.default_text.empty() ? "none" : option.default_text;
    const bool unset_origin = option.kind == ValueKind::kOriginUrl && found == winners.end();
    loaded_.effective.push_back({prefix + std::string(option.key), unset_origin ? "none" : value,
                                 found == winners.end() ? "default" : found->second->where});
  }

  LoadedConfig loaded_;
  SourceSettings file_;
  const std::map<std::string, std::string>& variables_;
  SourceSettings environment_;
  SourceSettings flags_;
  std::vector<GatewaySettings> gateways_;
  const SourceSettings* gateways_source_ = nullptr;
  // The settings that hold: they point into the members above.
  Winners process_winners_;
  std::vector<Winners> gateway_winners_;
  std::vector<Winners> class_winners_;
};

}  // namespace

LoadedConfig load_config(const ConfigSources& sources) {
  ConfigMerger merger(sources);
  return merger.merge();
}

}  // namespace ptth
