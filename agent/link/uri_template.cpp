#include "agent/link/uri_template.h"

#include "common/percent_encoding.h"
#include "common/utf8.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kPrefixDigitsMax = 4;  // RFC 6570 section 2.4.1.
constexpr size_t kEchoMax = 60;

Error wrong(std::string what) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(what), false};
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char byte : text.substr(0, kEchoMax))
    out += byte >= 0x20 && byte <= 0x7e ? byte : '?';
  return out + (text.size() > kEchoMax ? "...\"" : "\"");
}

bool is_escape(std::string_view text) {
  return text.size() >= 3 && text[0] == '%' && hex_value(text[1]) >= 0 && hex_value(text[2]) >= 0;
}

// varname of RFC 6570 section 2.3.
bool is_variable_name(std::string_view text) {
  bool after_dot = true;
  while (!text.empty()) {
    const bool is_dot = text.front() == '.';
    if (is_dot && after_dot) return false;
    after_dot = is_dot;
    size_t size = 1;
    if (text.front() == '%') {
      if (!is_escape(text)) return false;
      size = 3;
    } else if (!is_dot && text.front() != '_' && !is_digit(text.front()) &&
               !is_letter(text.front())) {
      return false;
    }
    text.remove_prefix(size);
  }
  return !after_dot;
}

// RFC 6570 section 2.1, of which only ASCII is allowed here.
Result<void> check_literal(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (byte == '#') return wrong("the template has a fragment (#), which no request can carry");
    if (byte == '}') return wrong("a } without its {");
    const bool stray_percent = byte == '%' && !is_escape(text.substr(at));
    if (stray_percent || std::string_view("\"<>\\^`|").find(byte) != std::string_view::npos) {
      return wrong(in_quotes(text.substr(at, 1)) + " must be percent-encoded in a template");
    }
  }
  return {};
}

// Characters, not bytes (RFC 6570 section 2.4.1).
std::string_view first_characters(std::string_view text, size_t count) {
  size_t size = 0;
  for (; count > 0 && size < text.size(); --count)
    size += std::max<size_t>(decode_utf8(text.substr(size)).size, 1);
  return text.substr(0, size);
}

// The host in letters, digits, '-', '_' and '.', or an address: what an ASCII serialization has
// (RFC 6454 section 6.2, RFC 5890 section 2.3.1).
bool has_ascii_serialization(const Authority& authority) {
  if (authority.host.starts_with('[')) return true;
  return std::all_of(authority.host.begin(), authority.host.end(), [](char byte) {
    return is_digit(byte) || is_letter(byte) || byte == '-' || byte == '.' || byte == '_';
  });
}

Error prefix_of_list(const std::string& name, size_t prefix) {
  return wrong("{" + name + ":" + std::to_string(prefix) + "}: " + name +
               " is a list, of which there is no prefix (RFC 6570 section 2.4.1)");
}

}  // namespace

Result<UriTemplate> UriTemplate::parse(std::string_view text) {
  if (text.empty()) return wrong("the template is empty");
  if (text.size() > kBytesMax) {
    return wrong("the template has more than " + std::to_string(kBytesMax) + " bytes");
  }
  for (const char byte : text) {
    if (byte < 0x21 || byte > 0x7e) {
      return wrong(
          "a template is made of visible ASCII characters only; others are "
          "percent-encoded");
    }
  }
  UriTemplate made;
  while (!text.empty()) {
    const size_t literal_size = std::min(text.find('{'), text.size());
    if (literal_size > 0) {
      const std::string_view literal = text.substr(0, literal_size);
      if (auto good = check_literal(literal); !good) return good.error();
      made.parts_.push_back({std::string(literal), 0, {}});
      text.remove_prefix(literal_size);
      continue;
    }
    const size_t end = text.find('}');
    if (end == std::string_view::npos) return wrong(in_quotes(text) + " has no closing }");
    auto expression = parse_expression(text.substr(1, end - 1));
    if (!expression) return expression.error();
    made.parts_.push_back(std::move(expression).value());
    text.remove_prefix(end + 1);
  }
  if (auto good = made.check_places(); !good) return good.error();
  return made;
}

Result<UriTemplate::Part> UriTemplate::parse_expression(std::string_view inside) {
  const std::string shown = in_quotes("{" + std::string(inside) + "}");
  if (inside.empty()) return wrong("{} names no variable");
  Part part;
  if (std::string_view("+#./;").find(inside.front()) != std::string_view::npos) {
    return wrong(shown + ": the operator " + in_quotes(inside.substr(0, 1)) +
                 " is not allowed in a gateway's template; ? and & are");
  }
  if (std::string_view("=,!@|").find(inside.front()) != std::string_view::npos) {
    return wrong(shown + ": RFC 6570 has no meaning for the operator " +
                 in_quotes(inside.substr(0, 1)));
  }
  if (inside.front() == '?' || inside.front() == '&') {
    part.form = inside.front();
    inside.remove_prefix(1);
  }
  while (true) {
    const size_t comma = inside.find(',');
    auto term = parse_term(inside.substr(0, comma));
    if (!term) return wrong(shown + ": " + term.error().detail);
    part.terms.push_back(std::move(term).value());
    if (comma == std::string_view::npos) return part;
    inside.remove_prefix(comma + 1);
  }
}

Result<UriTemplate::Term> UriTemplate::parse_term(std::string_view text) {
  Term term;
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view digits = text.substr(colon + 1);
    const bool is_number = !digits.empty() && digits.size() <= kPrefixDigitsMax &&
                           digits.front() != '0' &&
                           std::all_of(digits.begin(), digits.end(), is_digit);
    if (!is_number) return wrong(in_quotes(digits) + " is no length of a prefix (1 to 9999)");
    for (const char digit : digits)
      term.prefix = term.prefix * 10 + static_cast<size_t>(digit - '0');
    text = text.substr(0, colon);
  } else if (text.ends_with('*')) {
    term.exploded = true;
    text.remove_suffix(1);
  }
  if (!is_variable_name(text)) return wrong(in_quotes(text) + " is no name of a variable");
  term.name = text;
  return term;
}

// Scheme and authority are the first literal's.
Result<void> UriTemplate::check_places() const {
  const Part& first = parts_.front();
  constexpr std::string_view kNotAbsolute =
      "a template is absolute, like https://gw.example/.well-known/ptth/{serialized_origin}/";
  const size_t separator = first.terms.empty() ? first.text.find("://") : std::string::npos;
  if (separator == std::string::npos || !parse_scheme(first.text.substr(0, separator))) {
    return wrong(std::string(kNotAbsolute));
  }
  const std::string_view rest = std::string_view(first.text).substr(separator + 3);
  const size_t authority_size = std::min(rest.find_first_of("/?"), rest.size());
  // Nothing behind it: when it stays empty, that would be the authority's.
  const bool query_follows = parts_.size() == 2 && parts_[1].form == '?';
  if (authority_size == rest.size() && parts_.size() > 1 && !query_follows) {
    return wrong("a variable stands in the authority; the path begins with a / of its own");
  }
  const auto authority = parse_authority(rest.substr(0, authority_size));
  if (!authority) return wrong(authority.error().detail);
  return {};
}

std::vector<std::string_view> UriTemplate::variables() const {
  std::vector<std::string_view> names;
  for (const Part& part : parts_) {
    for (const Term& term : part.terms)
      names.emplace_back(term.name);
  }
  return names;
}

Result<HttpUri> UriTemplate::expand(const std::vector<UriVariable>& variables) const {
  std::string text;
  for (const Part& part : parts_) {
    if (auto expanded = expand_part(part, variables, text); !expanded) return expanded.error();
  }
  auto uri = parse_http_uri(text);
  if (uri && uri.value().target.size() > kTargetBytesMax) {
    return wrong("path and query are longer than " + std::to_string(kTargetBytesMax) +
                 " bytes once the template is filled in");
  }
  return uri;
}

// RFC 6570 section 3.2.1, for the three forms that are allowed here.
Result<void> UriTemplate::expand_part(const Part& part, const std::vector<UriVariable>& variables,
                                      std::string& out) {
  out += part.text;
  bool is_first = true;
  for (const Term& term : part.terms) {
    const auto found = std::find_if(variables.begin(), variables.end(),
                                    [&](const UriVariable& one) { return one.name == term.name; });
    if (found == variables.end() || found->values.empty()) continue;
    if (found->kind == UriVariable::Kind::kList && term.prefix > 0) {
      return prefix_of_list(term.name, term.prefix);
    }
    expand_term(part.form, term, *found, is_first, out);
    is_first = false;
  }
  return {};
}

void UriTemplate::expand_term(char form, const Term& term, const UriVariable& variable,
                              bool is_first, std::string& out) {
  const bool each_apart = variable.kind == UriVariable::Kind::kList && term.exploded;
  for (size_t index = 0; index < variable.values.size(); ++index) {
    if (index > 0 && !each_apart) {
      out += ',';
    } else {
      if (!is_first || index > 0) {
        out += form == 0 ? ',' : '&';
      } else if (form != 0) {
        out += form;
      }
      if (form != 0) out.append(term.name).append("=");
    }
    const std::string_view value = variable.values[index];
    append_percent_encoded(out, term.prefix == 0 ? value : first_characters(value, term.prefix));
  }
}

Result<std::vector<std::string>> serialize_origins(const std::vector<ServedOrigin>& origins,
                                                   Wildcards wildcards) {
  if (origins.empty()) return wrong("no origin is named, and the gateway has to be told which");
  std::vector<std::string> serialized;
  for (const ServedOrigin& origin : origins) {
    const std::string text = to_string(origin);
    if (origin.is_wildcard && wildcards == Wildcards::kRefused) {
      return wrong(in_quotes(text) +
                   ": a wildcard cannot be told to this kind of gateway; name each "
                   "origin");
    }
    if (!has_ascii_serialization(origin.authority)) {
      return wrong(in_quotes(text) +
                   ": this host has no ASCII form (letters, digits, - and dots; xn-- "
                   "for other letters)");
    }
    serialized.push_back(text);
  }
  return serialized;
}

}  // namespace ptth
