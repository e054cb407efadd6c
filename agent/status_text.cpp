#include "agent/status_text.h"

#include "agent/config_value.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace ptth {

namespace {

using Json = nlohmann::json;
using Row = std::vector<std::string>;

constexpr size_t kWarningsShown = 8;

// What another version of the agent does not say is empty here, never an error.
std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? printable(found->get<std::string>())
                                                     : std::string();
}

double number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

std::string count_of(const Json& object, const char* key) {
  return std::to_string(static_cast<uint64_t>(std::max(0.0, number_of(object, key))));
}

const Json& part_of(const Json& object, const char* key) {
  static const Json kNothing = Json::object();
  const auto found = object.find(key);
  return found == object.end() ? kNothing : *found;
}

// "12s", "3m20s", "2h05m", "4d03h".
std::string duration_text(double seconds) {
  struct Unit {
    uint64_t seconds;
    const char* format;
  };

  static constexpr std::array<Unit, 3> kUnits = {
      {{86400, "%llud%02lluh"}, {3600, "%lluh%02llum"}, {60, "%llum%02llus"}}};
  static constexpr std::array<uint64_t, 3> kSmaller = {3600, 60, 1};
  const auto whole = static_cast<uint64_t>(std::max(0.0, seconds));
  std::array<char, 48> text{};
  for (size_t index = 0; index < kUnits.size(); ++index) {
    const Unit& unit = kUnits[index];
    if (whole < unit.seconds) continue;
    std::snprintf(text.data(), text.size(), unit.format,
                  static_cast<unsigned long long>(whole / unit.seconds),
                  static_cast<unsigned long long>(whole % unit.seconds / kSmaller[index]));
    return text.data();
  }
  return std::to_string(whole) + "s";
}

std::string latency_text(double seconds) {
  std::array<char, 32> text{};
  if (seconds < 1) {
    std::snprintf(text.data(), text.size(), "%.1f ms", seconds * 1e3);
  } else {
    std::snprintf(text.data(), text.size(), "%.2f s", seconds);
  }
  return text.data();
}

// Columns as wide as their widest cell; the last one is not padded.
std::string table(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], row[column].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t column = 0; column < row.size(); ++column) {
      line += row[column];
      if (column + 1 < row.size()) line.append(widths[column] + 2 - row[column].size(), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string summary(const Json& document) {
  const Json& now = part_of(document, "now");
  std::string text = text_of(document, "worker") + ", " + text_of(document, "version") + ", " +
                     text_of(document, "phase") + ", up " +
                     duration_text(number_of(document, "uptime_seconds")) + "\n";
  text += count_of(now, "in_flight") + " of " + count_of(now, "capacity") + " in flight, " +
          count_of(now, "queued") + " queued, " + count_of(now, "exchanges") + " ended, " +
          count_of(now, "failures") + " failed\n";
  for (const Json& check : part_of(document, "checks")) {
    const auto state = check.find("passing");
    const bool passing = state != check.end() && *state == true;
    text += (passing ? "[+] " : "[-] ") + text_of(check, "name");
    const std::string detail = text_of(check, "detail");
    text += (detail.empty() ? "" : ": " + detail) + "\n";
  }
  return text;
}

std::string links(const Json& document) {
  std::vector<Row> rows = {
      {"GATEWAY", "PROFILE", "LINK", "STATE", "SINCE", "IN FLIGHT", "LAST ERROR"}};
  for (const Json& gateway : part_of(document, "gateways")) {
    for (const Json& link : part_of(gateway, "links")) {
      rows.push_back({text_of(gateway, "name"), text_of(gateway, "profile"), count_of(link, "id"),
                      text_of(link, "state"), duration_text(number_of(link, "state_seconds")),
                      count_of(link, "in_flight"), text_of(link, "last_error")});
    }
  }
  return table(rows);
}

std::string latencies(const Json& document) {
  std::vector<Row> rows = {{"LATENCY", "COUNT", "P50", "P90", "P99"}};
  for (const Json& phase : part_of(document, "phases")) {
    if (number_of(phase, "count") == 0) continue;
    rows.push_back({text_of(phase, "name"), count_of(phase, "count"),
                    latency_text(number_of(phase, "p50_seconds")),
                    latency_text(number_of(phase, "p90_seconds")),
                    latency_text(number_of(phase, "p99_seconds"))});
  }
  return rows.size() == 1 ? std::string() : "\n" + table(rows);
}

std::string verdicts(const Json& document) {
  std::vector<Row> rows = {{"GATEWAY", "VERDICT", "EXCHANGES"}};
  for (const Json& gateway : part_of(document, "gateways")) {
    const Json& counts = part_of(gateway, "verdicts");
    for (const auto& [verdict, count] : counts.items()) {
      if (count.is_number()) {
        rows.push_back(
            {text_of(gateway, "name"), printable(verdict), count_of(counts, verdict.c_str())});
      }
    }
  }
  return rows.size() == 1 ? std::string() : "\n" + table(rows);
}

std::string warnings(const Json& document) {
  const Json& lines = part_of(document, "warnings");
  if (!lines.is_array() || lines.empty()) return {};
  std::string text = "\nlast warnings\n";
  const size_t first = lines.size() > kWarningsShown ? lines.size() - kWarningsShown : 0;
  for (size_t index = first; index < lines.size(); ++index) {
    const Json& line = lines[index];
    text += "  " + text_of(line, "time") + "  " + text_of(line, "message");
    for (const char* key : {"gateway", "reason", "detail"}) {
      const std::string value = text_of(line, key);
      if (!value.empty()) text += ", " + std::string(key) + ": " + value;
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::optional<DrainReceipt> find_receipt(const std::string& json) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto found = document.find("receipt");
  if (!document.is_object() || found == document.end()) return std::nullopt;
  return DrainReceipt{static_cast<uint64_t>(std::max(0.0, number_of(*found, "cut"))),
                      "served " + count_of(*found, "served") + ", refused_replayable " +
                          count_of(*found, "refused_replayable") + ", cut " +
                          count_of(*found, "cut")};
}

Result<std::string> status_text(const std::string& json) {
  const Json document = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) {
    return Error{ErrorKind::kProtocol, Side::kLocal, "the answer is no status document"};
  }
  return summary(document) + "\n" + links(document) + latencies(document) + verdicts(document) +
         warnings(document);
}

}  // namespace ptth
