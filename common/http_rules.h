#pragma once

// What HTTP allows in names, values, paths and lengths (RFC 9110, RFC 9112), as pure functions. The
// parsers, the writer and the relay ask here, so that one rule has one place.

#include "common/ascii.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

namespace http_tables {

// Token bytes (RFC 9110 section 5.6.2) map to themselves in lower case, all others to 0.
inline constexpr std::array<char, 256> kLowerToken = [] {
  std::array<char, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c)
    table[c] = static_cast<char>(c);
  for (unsigned c = 'a'; c <= 'z'; ++c) {
    table[c] = static_cast<char>(c);
    table[c - 'a' + 'A'] = static_cast<char>(c);
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
    table[static_cast<unsigned char>(c)] = c;
  return table;
}();

}  // namespace http_tables

// The byte in lower case if it may stand in a token, else 0.
[[nodiscard]] inline char lower_token_byte(char byte) {
  return http_tables::kLowerToken[static_cast<unsigned char>(byte)];
}

// One or more token bytes: a method, a field name.
[[nodiscard]] bool is_token(std::string_view text);
// A field name as HTTP/2 demands it: a token without upper-case letters.
[[nodiscard]] bool is_lower_case_token(std::string_view text);
// No control byte but HTAB; bytes above 0x7f are allowed (RFC 9110 section 5.5). May be empty.
[[nodiscard]] bool is_field_value(std::string_view text);

// Without leading and trailing SP and HTAB.
[[nodiscard]] inline std::string_view trim_whitespace(std::string_view text) {
  size_t from = 0;
  size_t to = text.size();
  while (from < to && (text[from] == ' ' || text[from] == '\t'))
    ++from;
  while (to > from && (text[to - 1] == ' ' || text[to - 1] == '\t'))
    --to;
  return text.substr(from, to - from);
}

// lower_case is expected to be in lower case.
[[nodiscard]] bool equals_ignoring_case(std::string_view text, std::string_view lower_case);

// Takes the next member off the front of a list of tokens (RFC 9110 section 5.6.1), without the
// whitespace around it; empty members are skipped. Nothing: the list has ended.
[[nodiscard]] std::optional<std::string_view> take_list_member(std::string_view& list);

// Decimal digits only, at most 2^63-1. "5, 5", "+5", "0x5", "" and overflow give nothing.
[[nodiscard]] std::optional<uint64_t> parse_content_length(std::string_view text);

[[nodiscard]] inline std::string_view without_query(std::string_view path) {
  return path.substr(0, path.find('?'));
}

// Origin form: "/" first, then bytes 0x21-0x7e without '#'; or "*", for OPTIONS only. Paths are
// never normalised: "//x" and "/../" are the origin's business.
[[nodiscard]] bool is_request_path(std::string_view path, std::string_view method);

enum class Scheme { kHttp, kHttps };
// Ignoring case (RFC 3986 section 3.1).
[[nodiscard]] std::optional<Scheme> parse_scheme(std::string_view text);
[[nodiscard]] std::string_view to_string(Scheme scheme);
[[nodiscard]] uint16_t default_port(Scheme scheme);

// Fields on which we act; all others are kOther.
enum class FieldId : uint8_t {
  kOther,
  kConnection,
  kContentLength,
  kTransferEncoding,
  kHost,
  kExpect,
  kTe,
  kUpgrade,
};

struct FieldRules {
  FieldId id = FieldId::kOther;
  // For this connection only (RFC 9110 section 7.6.1): never forwarded.
  bool hop_by_hop = false;
  // RFC 9110 section 6.5.1: framing, routing, authentication, request modifiers, response control,
  // content. Such a trailer is dropped.
  bool forbidden_in_trailers = false;
  // "content_length", "transfer_encoding": CGI-style origins take '_' for '-'. Dropped everywhere.
  bool framing_lookalike = false;
};

// Unknown names have the default rules. One hash and at most a few comparisons.
[[nodiscard]] const FieldRules& field_rules(std::string_view lower_case_name);

// The options of the Connection fields of one message (RFC 9110 section 7.6.1).
class ConnectionOptions {
 public:
  // One field value. False if there are too many options. What is no list of tokens means close.
  [[nodiscard]] bool add(std::string_view value);
  void clear();

  [[nodiscard]] bool close() const { return close_; }

  [[nodiscard]] bool keep_alive() const { return keep_alive_; }

  [[nodiscard]] bool upgrade() const { return upgrade_; }

  // Options besides close, keep-alive and upgrade name fields that end here.
  [[nodiscard]] bool nominates_fields() const { return nominated_count_ > 0; }

  [[nodiscard]] bool nominates(std::string_view lower_case_name) const;

  static constexpr size_t kNominatedMax = 16;

 private:
  std::string nominated_;  // In lower case, a comma behind each.
  size_t nominated_count_ = 0;
  bool close_ = false;
  bool keep_alive_ = false;
  bool upgrade_ = false;
};

}  // namespace ptth
