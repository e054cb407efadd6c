// From the JSON file to settings: which key is which option, and whether the value has the shape
// that it needs.

#include "agent/config_json.h"
#include "agent/config_setting.h"
#include "agent/config_value.h"
#include "agent/nearest_match.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace ptth {

namespace {

using Kind = JsonValue::Kind;

constexpr std::string_view kGateways = "gateways";
constexpr std::string_view kClasses = "classes";

// Sections that may be written as one value: "origin": "http://localhost:3000".
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kShortSections{
    {{"origin", "origin.url"}, {"admin", "admin.listen"}}};

std::string_view short_section_key(std::string_view path) {
  for (const auto& [section, key] : kShortSections) {
    if (section == path) return key;
  }
  return {};
}

std::string describe(Kind kind) {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kSwitch:
      return "true or false";
    case Kind::kNumber:
      return "a number";
    case Kind::kText:
      return "text";
    case Kind::kArray:
      return "a list";
    case Kind::kObject:
      return "an object";
  }
  return {};
}

std::string snake_case(std::string_view flag) {
  std::string name(flag);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::string_view last_segment(std::string_view key) {
  return key.substr(key.rfind('.') + 1);
}

// What is wrong with the shape of a single value, if anything: its text may still be.
std::optional<std::string> shape_error(const ConfigOption& option, const JsonValue& value) {
  const bool is_amount = option.kind == ValueKind::kCount || option.kind == ValueKind::kDuration ||
                         option.kind == ValueKind::kSize || option.kind == ValueKind::kCapacity;
  // A port may stand for an address, and 0 needs no unit.
  const bool number_allowed =
      is_amount || option.kind == ValueKind::kOriginUrl || option.kind == ValueKind::kListenAddress;
  switch (value.kind) {
    case Kind::kNull:
      return "null is no value; leave the key out";
    case Kind::kArray:
      return "one value is needed here, not a list";
    case Kind::kObject:
      return "a value is needed here, not an object";
    case Kind::kSwitch:
      if (option.kind == ValueKind::kSwitch) return std::nullopt;
      return value.text + " is not " + value_name(option);
    case Kind::kNumber:
      if (number_allowed) return std::nullopt;
      return value.text + " needs quotes: \"" + value.text + "\"";
    case Kind::kText:
      if (option.kind == ValueKind::kCount ||
          (option.kind == ValueKind::kCapacity && parse_count(value.text)))
        return in_quotes(value.text) + " is a number: no quotes";
      if (option.kind == ValueKind::kSwitch) {
        return in_quotes(value.text) + " must be true or false, without quotes";
      }
      return std::nullopt;
  }
  return std::nullopt;
}

class FileReader {
 public:
  FileReader(std::string name, ConfigSource source, std::vector<ConfigProblem>& problems)
      : name_(std::move(name)), source_(source), problems_(problems) {}

  // False: nothing can be read from it.
  bool parse(std::string_view text, JsonDocument& document) {
    document = parse_json(text);
    if (document.error.empty()) return true;
    const std::string line =
        document.error_line == 0 ? "" : std::to_string(document.error_line) + ": ";
    problems_.push_back({source_, name_ + ":" + (line.empty() ? " " : line) + document.error});
    return false;
  }

  void read_root(const JsonValue& root, SourceSettings& out) {
    if (root.kind != Kind::kObject) {
      problem(root, "", "the file must hold one object: { ... }");
      return;
    }
    for (const JsonValue& member : root.children) {
      if (member.key == kGateways) {
        read_gateways(member, out.gateways);
      } else if (member.key == kClasses) {
        read_classes(member, out.classes);
      } else {
        read_member(member, {"", "", OptionScope::kProcess}, out.settings);
      }
    }
  }

  void read_gateways(const JsonValue& list, std::vector<GatewaySettings>& out) {
    if (list.kind != Kind::kArray) {
      problem(list, kGateways, "a list is needed here: [{\"url\": \"https://...\"}]");
      return;
    }
    for (const JsonValue& item : list.children) {
      const std::string shown = std::string(kGateways) + "[" + std::to_string(out.size()) + "]";
      GatewaySettings& gateway = out.emplace_back(GatewaySettings{where(item, shown), {}});
      if (item.kind != Kind::kObject) {
        problem(item, shown, "an object is needed here: {\"url\": \"https://...\"}");
        continue;
      }
      for (const JsonValue& member : item.children) {
        read_member(member, {"", shown + ".", OptionScope::kEachGateway}, gateway.settings);
      }
    }
  }

  void read_classes(const JsonValue& list, std::vector<ClassSettings>& out) {
    if (list.kind != Kind::kArray) {
      problem(list, kClasses, "a list is needed here: [{\"name\": \"export\", ...}]");
      return;
    }
    const std::string prefix = std::string(kClasses) + ".";
    for (const JsonValue& item : list.children) {
      const std::string shown = std::string(kClasses) + "[" + std::to_string(out.size()) + "]";
      ClassSettings& each = out.emplace_back(ClassSettings{where(item, shown), {}});
      if (item.kind != Kind::kObject) {
        problem(item, shown, "an object is needed here: {\"name\": \"export\", ...}");
        continue;
      }
      for (const JsonValue& member : item.children) {
        read_member(member, {prefix, shown + ".", OptionScope::kEachClass}, each.settings);
      }
    }
  }

 private:
  // Where in the tree we are: the key so far, what stands before it for people, and whether this is
  // the file's top, one gateway or one class.
  struct Place {
    std::string prefix;
    std::string shown_prefix;
    OptionScope scope;
  };

  static bool allowed(const ConfigOption& option, OptionScope scope) {
    if (option.key.empty()) return false;
    const bool is_in_list = scope != OptionScope::kProcess;
    if (is_in_list || option.scope == OptionScope::kEachClass) return option.scope == scope;
    // An address and a name are of one gateway.
    return option.kind != ValueKind::kGatewayUrl && option.kind != ValueKind::kGatewayName;
  }

  static bool is_section(std::string_view path, OptionScope scope) {
    const std::string prefix = std::string(path) + ".";
    const auto options = config_options();
    return std::any_of(options.begin(), options.end(), [&](const ConfigOption& option) {
      return allowed(option, scope) && option.key.starts_with(prefix);
    });
  }

  std::string where(const JsonValue& value, std::string_view shown) const {
    std::string text = name_ + ":" + std::to_string(value.line);
    if (!shown.empty()) text.append(": ").append(shown);
    return text;
  }

  // A path for people: the keys of a class stand behind its place.
  static std::string shown_path(const Place& place, std::string_view path) {
    if (place.scope == OptionScope::kEachClass) path.remove_prefix(kClasses.size() + 1);
    return place.shown_prefix + std::string(path);
  }

  void problem(const JsonValue& value, std::string_view shown, std::string_view what) {
    problems_.push_back({source_, where(value, shown).append(": ").append(what)});
  }

  void read_member(const JsonValue& member, const Place& place, std::vector<Setting>& out) {
    const std::string path = place.prefix + member.key;
    const ConfigOption* option = find_option_by_key(path);
    if (option != nullptr && allowed(*option, place.scope)) {
      read_value(member, *option, shown_path(place, path), out);
      return;
    }
    if (!is_section(path, place.scope)) {
      unknown_key(member, place, path);
      return;
    }
    if (member.kind == Kind::kObject) {
      for (const JsonValue& inner : member.children) {
        read_member(inner, {path + ".", place.shown_prefix, place.scope}, out);
      }
      return;
    }
    const std::string_view short_key = short_section_key(path);
    if (short_key.empty() || member.kind == Kind::kArray) {
      problem(member, shown_path(place, path),
              "an object is needed here, not " + describe(member.kind));
      return;
    }
    read_value(member, *find_option_by_key(short_key), shown_path(place, path), out);
  }

  void read_value(const JsonValue& value, const ConfigOption& option, const std::string& shown,
                  std::vector<Setting>& out) {
    Setting setting{&option, {}, source_, where(value, shown)};
    const bool list = is_list(option) && option.kind != ValueKind::kGatewayUrl;
    if (list && value.kind == Kind::kArray) {
      for (const JsonValue& item : value.children) {
        if (!add_text(item, option, shown, setting)) return;
      }
    } else if (!add_text(value, option, shown, setting)) {
      return;
    }
    out.push_back(std::move(setting));
  }

  bool add_text(const JsonValue& value, const ConfigOption& option, const std::string& shown,
                Setting& setting) {
    if (const auto wrong = shape_error(option, value)) {
      problem(value, shown, *wrong);
      return false;
    }
    setting.values.push_back(value.text);
    return true;
  }

  void unknown_key(const JsonValue& member, const Place& place, const std::string& path) {
    problem(member, shown_path(place, path), "unknown key" + suggestion(member.key, place));
  }

  static std::string suggestion(std::string_view typed, const Place& place) {
    // The right word in the wrong place, or the flag's name.
    for (const ConfigOption& option : config_options()) {
      if (option.key.empty()) continue;
      if (snake_case(option.flag) != snake_case(typed) && last_segment(option.key) != typed) {
        continue;
      }
      const bool is_of_process = option.scope == OptionScope::kProcess;
      if (place.scope != OptionScope::kProcess && is_of_process) {
        return "; \"" + std::string(option.key) + "\" belongs at the top of the file";
      }
      if (option.scope == OptionScope::kEachClass) {
        return "; did you mean \"classes[]." + std::string(option.key.substr(kClasses.size() + 1)) +
               "\"?";
      }
      const bool only_gateway = !allowed(option, OptionScope::kProcess);
      return "; did you mean \"" + std::string(only_gateway ? "gateways[]." : "") +
             std::string(option.key) + "\"?";
    }
    return did_you_mean(typed, keys_at(place));
  }

  // What could stand at that place.
  static std::vector<std::string> keys_at(const Place& place) {
    std::vector<std::string> keys;
    if (place.scope == OptionScope::kProcess && place.prefix.empty()) {
      keys.emplace_back(kGateways);
      keys.emplace_back(kClasses);
    }
    for (const ConfigOption& option : config_options()) {
      if (!allowed(option, place.scope) || !option.key.starts_with(place.prefix)) continue;
      const std::string_view rest = option.key.substr(place.prefix.size());
      keys.emplace_back(rest.substr(0, rest.find('.')));
    }
    return keys;
  }

  std::string name_;
  ConfigSource source_;
  std::vector<ConfigProblem>& problems_;
};

// Kubernetes gives each pod variables for the Services of its namespace: one called "ptth-agent"
// makes PTTH_AGENT_SERVICE_HOST, PTTH_AGENT_PORT=tcp://..., PTTH_AGENT_PORT_9600_TCP_ADDR. They are
// nobody's mistake.
bool is_service_link(std::string_view name, std::string_view value) {
  if (name.find("_SERVICE_HOST") != name.npos || name.find("_SERVICE_PORT") != name.npos) {
    return true;
  }
  for (const std::string_view protocol : {"tcp://", "udp://", "sctp://"}) {
    if (name.find("_PORT") != name.npos && value.starts_with(protocol)) return true;
  }
  for (const std::string_view protocol : {"_TCP_", "_UDP_", "_SCTP_"}) {
    if (name.find("_PORT_") != name.npos && name.find(protocol) != name.npos) return true;
  }
  return false;
}

// They tell the project's tests where programs are; a developer's shell may have them.
bool is_for_tests(std::string_view name) {
  return name == "PTTH_HAPROXY" || name == "PTTH_BUILD_DIR" || name.starts_with("PTTH_TEST_");
}

}  // namespace

void read_file(const ConfigSources::File& file, SourceSettings& settings,
               std::vector<ConfigProblem>& problems) {
  FileReader reader(file.name, ConfigSource::kFile, problems);
  JsonDocument document;
  if (reader.parse(file.text, document)) reader.read_root(document.root, settings);
}

void read_environment(const std::map<std::string, std::string>& environment,
                      SourceSettings& settings, std::vector<ConfigProblem>& problems) {
  constexpr std::string_view kPrefix = "PTTH_";
  constexpr std::string_view kGatewaysName = "PTTH_GATEWAYS";
  std::map<std::string, const ConfigOption*, std::less<>> known;
  std::vector<std::string> names{std::string(kGatewaysName)};
  for (const ConfigOption& option : config_options()) {
    if (option.flag.empty()) continue;
    known[environment_name(option)] = &option;
    names.push_back(environment_name(option));
  }
  for (const auto& [name, value] : environment) {
    if (!name.starts_with(kPrefix) || value.empty()) continue;
    if (name == kGatewaysName) {
      FileReader reader(name, ConfigSource::kEnvironment, problems);
      JsonDocument document;
      if (reader.parse(value, document)) reader.read_gateways(document.root, settings.gateways);
      continue;
    }
    const auto option = known.find(name);
    if (option == known.end()) {
      if (is_service_link(name, value) || is_for_tests(name)) continue;
      problems.push_back(
          {ConfigSource::kEnvironment, name + ": unknown variable" + did_you_mean(name, names)});
      continue;
    }
    settings.settings.push_back({option->second,
                                 is_list(*option->second) ? split_values(*option->second, value)
                                                          : std::vector<std::string>{value},
                                 ConfigSource::kEnvironment, name});
  }
}

void read_flags(const std::vector<ConfigSources::Flag>& flags, SourceSettings& settings) {
  for (const ConfigSources::Flag& flag : flags) {
    const ConfigOption* option = find_option_by_flag(flag.name);
    CHECK_INVARIANT(option != nullptr);
    Setting setting{option, flag.values, ConfigSource::kFlag, "--" + flag.name};
    if (is_list(*option)) {
      setting.values.clear();
      for (const std::string& value : flag.values) {
        for (std::string& item : split_values(*option, value))
          setting.values.push_back(std::move(item));
      }
    }
    settings.settings.push_back(std::move(setting));
  }
}

}  // namespace ptth
