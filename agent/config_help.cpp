#include "agent/config_help.h"

#include "agent/config_table.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kLineWidth = 100;
constexpr size_t kTextColumn = 38;

struct Group {
  OptionGroup group;
  std::string_view title;
  std::string_view note;
};

constexpr std::array<Group, 5> kGroups{
    {{OptionGroup::kGateway, "Gateways",
      "Each gateway has its own. What stands at the top of the file, without `gateways[].`, holds "
      "for every gateway that does not say otherwise; a flag or a variable holds for all.\n\n"},
     {OptionGroup::kOrigin, "Origin",
      "`\"origin\": \"http://...\"` is short for `origin.url`.\n\n"},
     {OptionGroup::kServing, "Serving",
      "Heavy requests have a concurrency and a queue of their own: `classes` in the file, the "
      "first "
      "one that matches counts.\n\n"},
     {OptionGroup::kOperation, "Operation",
      "`\"admin\": \"off\"` is short for `admin.listen`.\n\n"},
     {OptionGroup::kLimits, "Limits",
      "But for the first, a gateway may have its own: `gateways[].limits.*`.\n\n"}}};

std::string default_of(const ConfigOption& option) {
  if (!option.default_text.empty()) return std::string(option.default_text);
  const bool required =
      option.kind == ValueKind::kGatewayUrl || option.kind == ValueKind::kOriginUrl;
  if (required || option.slot == nullptr) return {};
  Config config;
  GatewayOptions gateway;
  return show_option(option, config, gateway);
}

// Appends words to out, each new line starting at the text column.
void append_wrapped(std::string& out, std::string_view text) {
  size_t column = kTextColumn;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (column != kTextColumn && column + 1 + word.size() > kLineWidth) {
      out.append("\n").append(kTextColumn, ' ');
      column = kTextColumn;
    } else if (column != kTextColumn) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

// "gateways[].name", "classes[].concurrency".
std::string listed_key(const ConfigOption& option) {
  constexpr std::string_view kClasses = "classes.";
  if (option.scope == OptionScope::kEachClass) {
    return "classes[]." + std::string(option.key.substr(kClasses.size()));
  }
  return "gateways[]." + std::string(option.key);
}

// Breaks a list of choices that is too long for a line behind one of them.
std::string fold_choices(std::string line) {
  if (line.size() <= kLineWidth) return line;
  const size_t bar = line.rfind('|', kLineWidth - 1);
  if (bar == std::string::npos) return line;
  const size_t value = line.find(' ', line.find("--")) + 1;
  return line.substr(0, bar + 1) + '\n' + std::string(value, ' ') + line.substr(bar + 1);
}

std::string help_line(const ConfigOption& option) {
  const std::string value = value_name(option);
  std::string line = "  --" + std::string(option.flag);
  if (option.flag.empty()) line = "  " + listed_key(option) + " (file)";
  if (!value.empty()) line += " " + value;
  if (line.size() + 2 > kTextColumn) {
    line = fold_choices(std::move(line));
    line += '\n';
    line.append(kTextColumn, ' ');
  } else {
    line.append(kTextColumn - line.size(), ' ');
  }
  std::string text(option.help);
  const std::string value_default = default_of(option);
  if (!value_default.empty() && !value.empty()) text += " [" + value_default + "]";
  append_wrapped(line, text);
  return line;
}

std::string code(std::string_view text) {
  std::string out;
  if (text.empty()) return out;
  out += '`';
  for (const char c : text) {
    if (c == '|') out += '\\';  // A bar would end the cell.
    out += c;
  }
  return out + '`';
}

std::string markdown_key(const ConfigOption& option) {
  if (option.key.empty()) return {};
  const bool is_of_gateway =
      option.group != OptionGroup::kLimits && option.scope == OptionScope::kEachGateway;
  const bool is_listed = is_of_gateway || option.scope == OptionScope::kEachClass;
  return code(is_listed ? listed_key(option) : std::string(option.key));
}

std::string markdown_row(const ConfigOption& option) {
  std::string flag;
  if (!option.flag.empty()) {
    const std::string value = value_name(option);
    flag = code("--" + std::string(option.flag) + (value.empty() ? "" : " " + value));
  }
  std::string value_default = default_of(option);
  if (option.default_text.empty()) value_default = code(value_default);
  return "| " + flag + " | " + code(environment_name(option)) + " | " + markdown_key(option) +
         " | " + value_default + " | " + std::string(option.help) + " |\n";
}

}  // namespace

std::string options_help() {
  std::string out;
  for (const Group& group : kGroups) {
    out.append("\n").append(group.title).append(":\n");
    for (const ConfigOption& option : config_options()) {
      if (option.group == group.group) out += help_line(option);
    }
  }
  return out;
}

std::string options_markdown() {
  std::string out;
  for (const auto& [group, title, note] : kGroups) {
    if (!out.empty()) out += '\n';
    out.append("### ").append(title).append("\n\n").append(note);
    out += "| Flag | Environment | JSON key | Default | Meaning |\n|---|---|---|---|---|\n";
    for (const ConfigOption& option : config_options()) {
      if (option.group == group) out += markdown_row(option);
    }
  }
  return out;
}

}  // namespace ptth
