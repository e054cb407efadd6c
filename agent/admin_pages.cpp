#include "agent/admin_pages.h"

#include "agent/admin_capacity.h"
#include "agent/status_page.h"
#include "common/authority.h"
#include "common/http_rules.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace ptth {

namespace {

constexpr std::string_view kOpenMetricsType =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";
constexpr std::string_view kPrometheusTextType = "text/plain; version=0.0.4; charset=utf-8";

// Cuts the text in front of the separator off, or all of it.
std::string_view cut_front(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view front = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return trim_whitespace(front);
}

bool has_verbose(std::string_view query) {
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (cut_front(pair, '=') == "verbose") return true;
  }
  return false;
}

// Details may quote what a gateway or an origin said; on a terminal they stay one line.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(),
      [](char byte) { return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f; }, '?');
  return text;
}

AdminPage checks_page(const std::vector<Check>& checks, std::string_view query) {
  const auto passes = [](const Check& check) { return check.state == Check::State::kPassing; };
  const bool all_pass = std::all_of(checks.begin(), checks.end(), passes);
  AdminPage page;
  page.status = all_pass ? 200 : 503;
  if (!has_verbose(query)) {
    page.body = all_pass ? "ok\n" : "not ok:";
    for (const Check& check : checks) {
      if (!passes(check)) page.body.append(" ").append(check.name);
    }
    if (!all_pass) page.body += '\n';
    return page;
  }
  for (const Check& check : checks) {
    page.body.append(passes(check) ? "[+] " : "[-] ").append(check.name);
    if (!check.detail.empty()) page.body.append(": ").append(one_line(check.detail));
    page.body += '\n';
  }
  page.body += all_pass ? "ok\n" : "not ok\n";
  return page;
}

bool is_loopback_name(std::string_view host) {
  const Result<Authority> authority = parse_authority(host);
  if (!authority.ok()) return false;
  const std::string& name = authority.value().host;
  // "127.example" is a name, and anybody's.
  const bool in_digits = name.find_first_not_of("0123456789.") == std::string::npos;
  return name == "localhost" || name == "[::1]" || (in_digits && name.starts_with("127."));
}

// How much a client wants each of the two formats, 0 to 1.
struct Preferences {
  double open_metrics = 0;
  double text = 0;
  int open_metrics_precision = -1;  // How exactly it was named; the most exact one counts.
  int text_precision = -1;
};

double quality_of(std::string_view parameters) {
  while (!parameters.empty()) {
    std::string_view value = cut_front(parameters, ';');
    if (!equals_ignoring_case(cut_front(value, '='), "q")) continue;
    double quality = 0;
    const auto parsed = std::from_chars(value.data(), value.data() + value.size(), quality,
                                        std::chars_format::fixed);
    return parsed.ec == std::errc() ? quality : 0;
  }
  return 1;
}

// Several ranges of one precision (versions of a format): the best counts.
void prefer(double& quality, int& known_precision, double offered, int precision) {
  if (precision < known_precision) return;
  quality = precision > known_precision ? offered : std::max(quality, offered);
  known_precision = precision;
}

void add_range(Preferences& preferences, std::string_view range) {
  const std::string_view type = cut_front(range, ';');
  const double quality = quality_of(range);
  const bool any = type == "*/*";
  if (any || equals_ignoring_case(type, "application/*") ||
      equals_ignoring_case(type, "application/openmetrics-text")) {
    const int precision = any ? 0 : type.ends_with("*") ? 1 : 2;
    prefer(preferences.open_metrics, preferences.open_metrics_precision, quality, precision);
  }
  if (any || equals_ignoring_case(type, "text/*") || equals_ignoring_case(type, "text/plain")) {
    const int precision = any ? 0 : type.ends_with("*") ? 1 : 2;
    prefer(preferences.text, preferences.text_precision, quality, precision);
  }
}

}  // namespace

HostCheck host_check_for(std::string_view listen) {
  const bool loopback = listen.starts_with("127.") || listen.starts_with("[::1]:");
  return loopback ? HostCheck::kLoopbackNames : HostCheck::kNone;
}

Exposition choose_exposition(const FieldList& fields) {
  Preferences preferences;
  for (const Field field : fields) {
    if (field.name != "accept") continue;
    std::string_view ranges = field.value;
    while (!ranges.empty())
      add_range(preferences, cut_front(ranges, ','));
  }
  return preferences.text > preferences.open_metrics ? Exposition::kPrometheusText
                                                     : Exposition::kOpenMetrics;
}

AdminPages::AdminPages(AdminSource& source, Metrics& metrics, HostCheck host_check,
                       AdminCapacity* capacity)
    : source_(source), metrics_(metrics), host_check_(host_check), capacity_(capacity) {}

bool AdminPages::takes_body(const RequestHead& request) {
  return request.method == "PUT" && path_of(request.path) == Path::kCapacity;
}

AdminPage AdminPages::page_for(const RequestHead& request, AdminClient from,
                               std::string_view body) {
  const Path path = path_of(request.path);
  AdminPage page;
  if (!may_be_named(path, request.authority)) {
    page = {.status = 421, .body = "this name is not served here; use localhost\n"};
  } else if (path == Path::kUnknown) {
    page = {.status = 404, .body = "not found\n"};
  } else if (from == AdminClient::kElsewhere &&
             (is_for_this_machine(path) || request.method == "PUT")) {
    page = {.status = 403, .body = "only from this machine\n"};
  } else if (path == Path::kCapacity && capacity_ != nullptr) {
    page = capacity_page(request, body, *capacity_);
  } else if (path == Path::kDrain) {
    page = drain_page(request);
  } else if (request.method != "GET" && request.method != "HEAD") {
    page = {.status = 405, .body = "only GET and HEAD\n"};
  } else {
    page = make_page(path, request);
  }
  count(path, page.status);
  return page;
}

// An HTTP/1.0 client need not send Host; a browser always does.
bool AdminPages::may_be_named(Path path, const std::string& host) const {
  const bool anybody = host_check_ == HostCheck::kNone && !is_for_this_machine(path);
  return anybody || host.empty() || is_loopback_name(host);
}

bool AdminPages::is_for_this_machine(Path path) {
  return path == Path::kStatus || path == Path::kPage || path == Path::kDrain;
}

AdminPage AdminPages::error_page(int status, std::string_view text) {
  count(Path::kUnknown, status);
  return {.status = status, .body = std::string(text) + '\n'};
}

AdminPages::Path AdminPages::path_of(std::string_view path) {
  const std::string_view page = without_query(path);
  if (page == "/") return Path::kPage;
  for (const Path known : {Path::kLive, Path::kReady, Path::kStartup, Path::kMetrics,
                           Path::kCapacity, Path::kStatus, Path::kDrain}) {
    if (page.starts_with('/') && page.substr(1) == name_of(known)) return known;
  }
  return Path::kUnknown;
}

std::string_view AdminPages::name_of(Path path) {
  switch (path) {
    case Path::kLive:
      return "livez";
    case Path::kReady:
      return "readyz";
    case Path::kStartup:
      return "startupz";
    case Path::kMetrics:
      return "metrics";
    case Path::kCapacity:
      return "capacity";
    case Path::kStatus:
      return "status";
    case Path::kPage:
      return "page";
    case Path::kDrain:
      return "drain";
    case Path::kUnknown:
      break;
  }
  return "other";
}

AdminPage AdminPages::make_page(Path path, const RequestHead& request) {
  const size_t question = request.path.find('?');
  const std::string_view query = question == std::string::npos
                                     ? std::string_view()
                                     : std::string_view(request.path).substr(question + 1);
  switch (path) {
    case Path::kLive:
      return {.body = "ok\n"};
    case Path::kReady:
      return checks_page(source_.readiness(), query);
    case Path::kStartup:
      return checks_page(source_.startup(), query);
    case Path::kMetrics:
      return metrics_page(request);
    case Path::kCapacity:
    case Path::kStatus:
      return {.content_type = "application/json", .body = source_.status()};
    case Path::kPage:
      return {.content_type = "text/html; charset=utf-8", .body = std::string(kStatusPage)};
    case Path::kDrain:  // Has a method of its own.
    case Path::kUnknown:
      break;
  }
  return {.status = 404, .body = "not found\n"};
}

AdminPage AdminPages::drain_page(const RequestHead& request) {
  if (request.method != "POST") {
    return {.status = 405, .body = "only POST\n", .allow = "POST"};
  }
  if (const auto refused = refuse_change(request)) return *refused;
  source_.begin_drain();
  return {.status = 202, .body = "draining; /status tells when it is over\n"};
}

AdminPage AdminPages::metrics_page(const RequestHead& request) {
  const Exposition exposition = choose_exposition(request.fields);
  const bool open_metrics = exposition == Exposition::kOpenMetrics;
  return {.content_type = open_metrics ? kOpenMetricsType : kPrometheusTextType,
          .body = metrics_.expose(exposition)};
}

void AdminPages::count(Path path, int status) {
  metrics_
      .counter("ptth_admin_requests", "Requests to the admin listener.",
               {{"path", std::string(name_of(path))}, {"code", std::to_string(status)}})
      .add();
}

}  // namespace ptth
