#include "agent/link/hello_spec.h"

#include "common/percent_encoding.h"

#include <algorithm>
#include <array>
#include <utility>

namespace ptth {

namespace {

constexpr std::string_view kSerializedOrigin = "serialized_origin";

Error wrong(std::string what) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(what), false};
}

std::string or_default(const std::string& configured, std::string_view otherwise) {
  return configured.empty() ? std::string(otherwise) : configured;
}

std::vector<std::string> or_default(const std::vector<std::string>& configured,
                                    const std::vector<std::string_view>& otherwise) {
  if (!configured.empty()) return configured;
  return {otherwise.begin(), otherwise.end()};
}

std::string host_in_uri(std::string_view host) {
  const bool is_ipv6 = host.find(':') != std::string_view::npos;
  return is_ipv6 ? "[" + std::string(host) + "]" : to_lower_case(host);
}

// Scheme, host and port of the gateway, the scheme's own port left out.
std::string place_text(const HelloPlace& place) {
  const std::string_view host = place.server_name.empty() ? place.host : place.server_name;
  std::string text = std::string(to_string(place.scheme)) + "://" + host_in_uri(host);
  if (place.port != default_port(place.scheme)) text += ":" + std::to_string(place.port);
  return text;
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Those of the configuration, and the origins if the template wants them.
Result<std::vector<UriVariable>> variables_for(const UriTemplate& uri_template,
                                               const HelloOptions& options,
                                               const ServedAuthorities& served) {
  std::vector<UriVariable> variables;
  for (const std::string& text : options.variables) {
    auto variable = parse_hello_variable(text);
    if (!variable) return variable.error();
    variables.push_back({std::move(variable.value().name),
                         UriVariable::Kind::kText,
                         {std::move(variable.value().value)}});
  }
  if (!contains(uri_template.variables(), kSerializedOrigin)) return variables;
  const ServedAuthorities& named = options.origins.matches_all() ? served : options.origins;
  auto origins = serialize_origins(named.origins());
  if (!origins) {
    return wrong(origins.error().detail + ": --serve https://app.example, or --hello-origin");
  }
  variables.push_back(
      {std::string(kSerializedOrigin), UriVariable::Kind::kList, std::move(origins).value()});
  return variables;
}

// A template of the configuration may have variables of which we know nothing; one of ours not.
Result<void> check_variables(const HelloDefaults& defaults, const HelloOptions& options,
                             const UriTemplate& uri_template,
                             const std::vector<UriVariable>& variables) {
  const auto names = uri_template.variables();
  if (!defaults.required_variable.empty() && !contains(names, defaults.required_variable)) {
    return wrong("--hello-template: {" + std::string(defaults.required_variable) +
                 "} is missing; a URI that was arranged otherwise is --hello-uri");
  }
  if (!options.uri_template.empty()) return {};
  for (const std::string_view name : names) {
    const bool known = std::any_of(variables.begin(), variables.end(),
                                   [&](const UriVariable& one) { return one.name == name; });
    if (known) continue;
    return wrong("the profile " + std::string(defaults.profile) +
                 " does not know what to ask the gateway for: give --hello-uri, --hello-template "
                 "or --hello-variable " +
                 std::string(name) + "=...");
  }
  return {};
}

Result<HttpUri> uri_of(const HelloDefaults& defaults, const HelloOptions& options,
                       const HelloPlace& place, const ServedAuthorities& served) {
  if (!options.uri.empty()) {
    if (!options.uri_template.empty()) return wrong("--hello-uri and --hello-template: keep one");
    auto uri = parse_http_uri(options.uri);
    if (!uri) return wrong("--hello-uri: " + uri.error().detail);
    return uri;
  }
  auto parsed = UriTemplate::parse(
      or_default(options.uri_template, place_text(place) + std::string(defaults.path_template)));
  if (!parsed) return wrong("--hello-template: " + parsed.error().detail);
  auto variables = variables_for(parsed.value(), options, served);
  if (!variables) return variables.error();
  const auto checked = check_variables(defaults, options, parsed.value(), variables.value());
  if (!checked) return checked.error();
  auto uri = parsed.value().expand(variables.value());
  if (!uri) return wrong("--hello-template: " + uri.error().detail);
  return uri;
}

// The URI names who is asked; TLS must have shown that it is them.
Result<void> check_place(const HttpUri& uri, const HelloPlace& place) {
  if (uri.scheme != place.scheme) {
    return wrong("the hello's URI is " + std::string(to_string(uri.scheme)) +
                 "://, but the gateway is " + std::string(to_string(place.scheme)) + "://");
  }
  for (const std::string_view host : {place.host, place.server_name}) {
    if (!host.empty() && uri.authority.host == host_in_uri(host)) return {};
  }
  return wrong("the hello's URI names " + uri.authority.host + ", but the gateway is " +
               std::string(place.host) + "; dial " + std::string(to_string(uri.scheme)) + "://" +
               uri.authority.host + ", or give --server-name " + uri.authority.host);
}

Result<void> take_lists(const HelloOptions& options, const HelloDefaults& defaults,
                        HelloSpec& spec) {
  const std::vector<std::string_view> usual = {defaults.status};
  for (const std::string& text : or_default(options.statuses, usual)) {
    if (text.empty()) continue;
    const auto status = parse_hello_status(text);
    if (!status) return status.error();
    spec.statuses.push_back(status.value());
  }
  for (const std::string& text : options.fields) {
    const auto field = parse_hello_field(text);
    if (!field) return field.error();
    spec.fields.add(field.value().name, field.value().value);
  }
  for (const std::string& name : or_default(options.choice_fields, defaults.choice_fields))
    spec.choice_fields.push_back(to_lower_case(name));
  for (const std::string& host : options.redirect_hosts)
    spec.redirect_hosts.push_back(host_in_uri(host));
  spec.redirect_hosts.push_back(spec.uri.authority.host);
  return {};
}

}  // namespace

Result<HelloSpec> make_hello_spec(const HelloDefaults& defaults, const HelloOptions& options,
                                  const HelloPlace& place, const ServedAuthorities& served) {
  auto uri = uri_of(defaults, options, place, served);
  if (!uri) return uri.error();
  if (const auto checked = check_place(uri.value(), place); !checked) return checked.error();
  HelloSpec spec;
  spec.uri = std::move(uri).value();
  spec.method = or_default(options.method, defaults.method);
  spec.token = or_default(options.token, defaults.token);
  spec.offer_field = to_lower_case(or_default(options.offer_field, defaults.offer_field));
  spec.channels = or_default(options.channels, defaults.channels);
  spec.redirects_max = options.redirects_max;
  spec.interim_answers = options.interim_answers;
  spec.states_no_body = defaults.states_no_body;
  spec.is_poll = defaults.is_poll;
  spec.poll_timeout = options.poll_timeout;
  if (const auto taken = take_lists(options, defaults, spec); !taken) return taken.error();
  return spec;
}

Result<NameAndValue> parse_hello_field(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string name = to_lower_case(text.substr(0, colon));
  if (colon == std::string_view::npos || !is_token(name)) {
    return wrong("a field of the hello is written \"Name: value\"");
  }
  const std::string_view value = trim_whitespace(text.substr(colon + 1));
  if (!is_field_value(value)) return wrong("the value of " + name + " has a control byte");
  const FieldRules& rules = field_rules(name);
  if (name == "authorization" || name == "proxy-authorization" || name == "cookie") {
    return wrong(name + " is a credential, and would be shown with the other settings");
  }
  if (rules.hop_by_hop || rules.framing_lookalike || rules.id != FieldId::kOther) {
    return wrong(name + " is written by the hello itself");
  }
  return NameAndValue{name, std::string(value)};
}

Result<NameAndValue> parse_hello_variable(std::string_view text) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return wrong("a variable is written name=value");
  }
  if (text.substr(0, equals) == kSerializedOrigin) {
    return wrong("serialized_origin is a list of origins: --serve, or --hello-origin");
  }
  return NameAndValue{std::string(text.substr(0, equals)), std::string(text.substr(equals + 1))};
}

Result<int> parse_hello_status(std::string_view text) {
  const auto number = parse_content_length(text);
  const bool is_status = number && text.size() == 3 && *number <= 599 && *number >= 101 &&
                         (*number == 101 || *number >= 200);
  if (!is_status) return wrong("\"" + std::string(text.substr(0, 20)) + "\" is no final status");
  return static_cast<int>(*number);
}

bool is_protocol(std::string_view text) {
  const size_t slash = text.find('/');
  return is_token(text.substr(0, slash)) &&
         (slash == std::string_view::npos || is_token(text.substr(slash + 1)));
}

std::string encode_alpn_id(std::string_view id) {
  std::string out;
  for (const char byte : id) {
    if (byte != '%' && lower_token_byte(byte) != 0) {
      out += byte;
    } else {
      append_percent_encoded(out, byte);
    }
  }
  return out;
}

std::optional<std::string> decode_alpn_id(std::string_view text) {
  if (!is_token(text)) return std::nullopt;
  std::string id;
  while (!text.empty()) {
    if (text.front() != '%') {
      id += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (text.size() < 3) return std::nullopt;
    const int high = hex_value(text[1]);
    const int low = hex_value(text[2]);
    if (high < 0 || low < 0) return std::nullopt;
    id += static_cast<char>(high * 16 + low);
    text.remove_prefix(3);
  }
  return id;
}

}  // namespace ptth
