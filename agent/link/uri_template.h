#pragma once

// UriTemplate: the URI of a gateway with places for what a worker serves (RFC 6570), as strict as
// the drafts want it (protocols.md section 2). Read from the configuration; expanded before a hello
// is sent.

#include "common/authority.h"
#include "common/error.h"
#include "common/http_uri.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// A name with its value. A list keeps its items apart, also when it has one; no items at all are as
// if the variable were not there.
struct UriVariable {
  enum class Kind : uint8_t { kText, kList };

  std::string name;
  Kind kind = Kind::kText;
  std::vector<std::string> values;
};

class UriTemplate {
 public:
  static constexpr size_t kBytesMax = 8192;
  static constexpr size_t kTargetBytesMax = 8000;  // RFC 9110 section 4.1.

  // kConfiguration, with what is wrong and where, unless the template is absolute (https or http),
  // of bytes 0x21 to 0x7e, has variables in path and query only, and none of the operators + # . /
  // and ; (of level 4 all else is understood: {a,b}, {a:3}, {a*}, {?a}, {&a}).
  [[nodiscard]] static Result<UriTemplate> parse(std::string_view text);

  // In their order; views of this template.
  [[nodiscard]] std::vector<std::string_view> variables() const;

  // Variables that the template has and the list has not leave nothing behind (RFC 6570 section
  // 2.3). kConfiguration: a prefix of a list, or a URI that is too long.
  [[nodiscard]] Result<HttpUri> expand(const std::vector<UriVariable>& variables) const;

 private:
  struct Term {
    std::string name;
    size_t prefix = 0;  // In characters; 0: all.
    bool exploded = false;
  };

  // Text, or an expression if it has terms.
  struct Part {
    std::string text;
    char form = 0;  // '?' and '&' of an expression.
    std::vector<Term> terms;
  };

  UriTemplate() = default;
  [[nodiscard]] static Result<Part> parse_expression(std::string_view inside);
  [[nodiscard]] static Result<Term> parse_term(std::string_view text);
  [[nodiscard]] static Result<void> expand_part(const Part& part,
                                                const std::vector<UriVariable>& variables,
                                                std::string& out);
  static void expand_term(char form, const Term& term, const UriVariable& variable, bool is_first,
                          std::string& out);
  [[nodiscard]] Result<void> check_places() const;

  std::vector<Part> parts_;
};

// The value of serialized_origin: each as RFC 6454 section 6.2 writes it, the scheme's own port
// left out. kConfiguration for none at all, for a wildcard that is not allowed, and for hosts that
// have no ASCII serialization.
enum class Wildcards { kRefused, kAllowed };
[[nodiscard]] Result<std::vector<std::string>> serialize_origins(
    const std::vector<ServedOrigin>& origins, Wildcards wildcards = Wildcards::kRefused);

}  // namespace ptth
