#include "agent/admin_capacity.h"

#include "agent/config_json.h"
#include "agent/config_value.h"
#include "common/http_rules.h"

#include <utility>

namespace ptth {

namespace {

constexpr uint32_t kCapacityMax = 1'000'000;
constexpr std::string_view kHowTo = "write {\"capacity\": 20}, or {\"capacity\": null}\n";

bool is_json(const RequestHead& request) {
  const auto type = request.fields.find("content-type");
  if (!type) return false;
  const std::string_view essence = trim_whitespace(type->substr(0, type->find(';')));
  return equals_ignoring_case(essence, "application/json");
}

// A browser names the page that asks; scripts name nothing.
bool is_from_elsewhere(const RequestHead& request) {
  const auto origin = request.fields.find("origin");
  return origin && *origin != "http://" + request.authority;
}

AdminPage report_page(const AdminCapacity& capacity) {
  const AdminCapacity::Report report = capacity.report();
  AdminPage page;
  page.content_type = "application/json";
  page.body.append("{\"capacity\": ").append(std::to_string(report.capacity));
  page.body.append(", \"source\": \"").append(report.source);
  page.body.append("\", \"in_flight\": ").append(std::to_string(report.in_flight));
  page.body.append(", \"queued\": ").append(std::to_string(report.queued)).append("}\n");
  return page;
}

AdminPage put_page(std::string_view body, AdminCapacity& capacity) {
  const JsonDocument document = parse_json(body);
  const JsonValue& root = document.root;
  const bool has_shape = document.error.empty() && root.kind == JsonValue::Kind::kObject &&
                         root.children.size() == 1 && root.children[0].key == "capacity";
  if (!has_shape) return {.status = 400, .body = std::string(kHowTo)};
  const JsonValue& value = root.children[0];
  if (value.kind == JsonValue::Kind::kNull) {
    capacity.set(std::nullopt);
    return report_page(capacity);
  }
  const Result<uint64_t> number = parse_count(value.text);
  if (value.kind != JsonValue::Kind::kNumber || !number || number.value() < 1 ||
      number.value() > kCapacityMax) {
    return {.status = 422, .body = "a whole number from 1 to 1000000; " + std::string(kHowTo)};
  }
  capacity.set(static_cast<uint32_t>(number.value()));
  return report_page(capacity);
}

}  // namespace

std::optional<AdminPage> refuse_change(const RequestHead& request) {
  if (is_from_elsewhere(request)) {
    return AdminPage{.status = 403, .body = "not from a page of another place\n"};
  }
  if (!is_json(request)) {
    return AdminPage{.status = 415, .body = "content-type must be application/json\n"};
  }
  return std::nullopt;
}

AdminPage capacity_page(const RequestHead& request, std::string_view body,
                        AdminCapacity& capacity) {
  if (request.method == "GET" || request.method == "HEAD") return report_page(capacity);
  if (request.method != "PUT") {
    return {.status = 405, .body = "only GET, HEAD and PUT\n", .allow = "GET, HEAD, PUT"};
  }
  if (const auto refused = refuse_change(request)) return *refused;
  return put_page(body, capacity);
}

}  // namespace ptth
