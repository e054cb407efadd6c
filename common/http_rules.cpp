#include "common/http_rules.h"

#include <algorithm>
#include <cstring>

namespace ptth {

namespace {

constexpr bool is_value_byte(unsigned char byte) {
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

constexpr bool is_path_byte(unsigned char byte) {
  return byte > 0x20 && byte < 0x7f && byte != '#';
}

template <class Predicate>
constexpr std::array<bool, 256> byte_table(Predicate predicate) {
  std::array<bool, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte)
    table[byte] = predicate(static_cast<unsigned char>(byte));
  return table;
}

constexpr std::array<bool, 256> kValueBytes = byte_table(is_value_byte);
constexpr std::array<bool, 256> kPathBytes = byte_table(is_path_byte);

bool all_in(std::string_view text, const std::array<bool, 256>& table) {
  return std::all_of(text.begin(), text.end(),
                     [&table](char byte) { return table[static_cast<unsigned char>(byte)]; });
}

// Not 0 if one of eight bytes is below 0x20 or is 0x7f. May also be so for bytes behind such a one,
// which changes nothing for "is there any".
constexpr uint64_t control_bytes_in(uint64_t eight) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  constexpr uint64_t kHighs = 0x8080808080808080;
  const uint64_t below_space = (eight - kOnes * 0x20) & ~eight & kHighs;
  const uint64_t delete_as_zero = eight ^ (kOnes * 0x7f);
  const uint64_t deletes = (delete_as_zero - kOnes) & ~delete_as_zero & kHighs;
  return below_space | deletes;
}

struct KnownField {
  std::string_view name;
  FieldRules rules;
};

constexpr FieldRules kHop{FieldId::kOther, true, true, false};
constexpr FieldRules kNotInTrailers{FieldId::kOther, false, true, false};
constexpr FieldRules kLookalike{FieldId::kOther, false, true, true};

constexpr std::array kKnownFields{
    KnownField{"connection", {FieldId::kConnection, true, true, false}},
    KnownField{"transfer-encoding", {FieldId::kTransferEncoding, true, true, false}},
    KnownField{"te", {FieldId::kTe, true, true, false}},
    KnownField{"keep-alive", kHop},
    KnownField{"proxy-connection", kHop},
    KnownField{"upgrade", {FieldId::kUpgrade, true, true, false}},
    KnownField{"http2-settings", kHop},
    KnownField{"proxy-authenticate", kHop},
    KnownField{"proxy-authorization", kHop},
    KnownField{"proxy-authentication-info", kHop},
    KnownField{"content-length", {FieldId::kContentLength, false, true, false}},
    KnownField{"host", {FieldId::kHost, false, true, false}},
    KnownField{"expect", {FieldId::kExpect, false, true, false}},
    KnownField{"content_length", kLookalike},
    KnownField{"transfer_encoding", kLookalike},
    // Routing.
    KnownField{"max-forwards", kNotInTrailers},
    KnownField{"forwarded", kNotInTrailers},
    KnownField{"x-forwarded-for", kNotInTrailers},
    KnownField{"x-forwarded-host", kNotInTrailers},
    KnownField{"x-forwarded-proto", kNotInTrailers},
    KnownField{"x-forwarded-port", kNotInTrailers},
    KnownField{"x-real-ip", kNotInTrailers},
    KnownField{"via", kNotInTrailers},
    KnownField{"cdn-loop", kNotInTrailers},
    KnownField{"alt-svc", kNotInTrailers},
    // Authentication.
    KnownField{"authorization", kNotInTrailers},
    KnownField{"www-authenticate", kNotInTrailers},
    KnownField{"authentication-info", kNotInTrailers},
    KnownField{"cookie", kNotInTrailers},
    KnownField{"set-cookie", kNotInTrailers},
    KnownField{"client-cert", kNotInTrailers},
    KnownField{"client-cert-chain", kNotInTrailers},
    // Request modifiers.
    KnownField{"cache-control", kNotInTrailers},
    KnownField{"pragma", kNotInTrailers},
    KnownField{"range", kNotInTrailers},
    KnownField{"if-match", kNotInTrailers},
    KnownField{"if-none-match", kNotInTrailers},
    KnownField{"if-modified-since", kNotInTrailers},
    KnownField{"if-unmodified-since", kNotInTrailers},
    KnownField{"if-range", kNotInTrailers},
    KnownField{"priority", kNotInTrailers},
    // Response control.
    KnownField{"age", kNotInTrailers},
    KnownField{"expires", kNotInTrailers},
    KnownField{"date", kNotInTrailers},
    KnownField{"location", kNotInTrailers},
    KnownField{"retry-after", kNotInTrailers},
    KnownField{"vary", kNotInTrailers},
    KnownField{"warning", kNotInTrailers},
    // Content. Not content-digest, which is made for trailers (RFC 9530).
    KnownField{"content-encoding", kNotInTrailers},
    KnownField{"content-type", kNotInTrailers},
    KnownField{"content-range", kNotInTrailers},
    KnownField{"content-language", kNotInTrailers},
    KnownField{"content-location", kNotInTrailers},
    KnownField{"content-disposition", kNotInTrailers},
    KnownField{"trailer", kNotInTrailers},
};

constexpr size_t kSlots = 256;
constexpr uint8_t kEmptySlot = 0xff;

constexpr size_t slot_of(std::string_view name) {
  const auto byte = [name](size_t index) {
    return static_cast<size_t>(static_cast<unsigned char>(name[index]));
  };
  return (name.size() * 57 + byte(0) * 13 + byte(name.size() - 1) * 31 +
          byte(name.size() / 2) * 7) %
         kSlots;
}

// Open addressing: a name is at its slot or in the occupied ones behind it.
constexpr std::array<uint8_t, kSlots> kSlotTable = [] {
  std::array<uint8_t, kSlots> table{};
  for (uint8_t& slot : table)
    slot = kEmptySlot;
  for (size_t index = 0; index < kKnownFields.size(); ++index) {
    size_t slot = slot_of(kKnownFields[index].name);
    while (table[slot] != kEmptySlot)
      slot = (slot + 1) % kSlots;
    table[slot] = static_cast<uint8_t>(index);
  }
  return table;
}();

constexpr FieldRules kDefaultRules{};

}  // namespace

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(),
                                      [](char byte) { return lower_token_byte(byte) != 0; });
}

bool is_lower_case_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char byte) {
    return byte != 0 && lower_token_byte(byte) == byte;
  });
}

bool is_field_value(std::string_view text) {
  if (text.size() < 8) return all_in(text, kValueBytes);
  const auto is_good = [text](size_t index) {
    uint64_t eight = 0;
    std::memcpy(&eight, text.data() + index, 8);
    // HTAB is allowed: look closer.
    return control_bytes_in(eight) == 0 || all_in(text.substr(index, 8), kValueBytes);
  };
  const size_t last = text.size() - 8;
  for (size_t index = 0; index < last; index += 8) {
    if (!is_good(index)) return false;
  }
  return is_good(last);
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(),
                    [](char left, char right) { return ascii_lower(left) == right; });
}

std::optional<std::string_view> take_list_member(std::string_view& list) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view member = trim_whitespace(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
    if (!member.empty()) return member;
  }
  return std::nullopt;
}

std::optional<uint64_t> parse_content_length(std::string_view text) {
  constexpr uint64_t kMax = INT64_MAX;
  if (text.empty()) return std::nullopt;
  uint64_t length = 0;
  for (const char byte : text) {
    if (byte < '0' || byte > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(byte - '0');
    if (length > (kMax - digit) / 10) return std::nullopt;
    length = length * 10 + digit;
  }
  return length;
}

bool is_request_path(std::string_view path, std::string_view method) {
  if (path == "*") return method == "OPTIONS";
  return !path.empty() && path.front() == '/' && all_in(path, kPathBytes);
}

std::optional<Scheme> parse_scheme(std::string_view text) {
  if (equals_ignoring_case(text, "https")) return Scheme::kHttps;
  if (equals_ignoring_case(text, "http")) return Scheme::kHttp;
  return std::nullopt;
}

std::string_view to_string(Scheme scheme) {
  return scheme == Scheme::kHttps ? "https" : "http";
}

uint16_t default_port(Scheme scheme) {
  return scheme == Scheme::kHttps ? 443 : 80;
}

const FieldRules& field_rules(std::string_view lower_case_name) {
  if (lower_case_name.empty()) return kDefaultRules;
  for (size_t slot = slot_of(lower_case_name); kSlotTable[slot] != kEmptySlot;
       slot = (slot + 1) % kSlots) {
    const KnownField& known = kKnownFields[kSlotTable[slot]];
    if (known.name == lower_case_name) return known.rules;
  }
  return kDefaultRules;
}

bool ConnectionOptions::add(std::string_view value) {
  while (true) {
    const size_t comma = value.find(',');
    const std::string_view option = trim_whitespace(value.substr(0, comma));
    // Empty list members are legal and mean nothing (RFC 9110 section 5.6.1.2).
    if (equals_ignoring_case(option, "close")) {
      close_ = true;
    } else if (equals_ignoring_case(option, "keep-alive")) {
      keep_alive_ = true;
    } else if (!is_token(option)) {
      // Names no field. Whoever writes so is not trusted with another message.
      if (!option.empty()) close_ = true;
    } else if (equals_ignoring_case(option, "upgrade")) {
      upgrade_ = true;
    } else {
      if (nominated_count_ == kNominatedMax) return false;
      ++nominated_count_;
      for (const char byte : option)
        nominated_.push_back(ascii_lower(byte));
      nominated_.push_back(',');
    }
    if (comma == std::string_view::npos) return true;
    value.remove_prefix(comma + 1);
  }
}

void ConnectionOptions::clear() {
  nominated_.clear();
  nominated_count_ = 0;
  close_ = false;
  keep_alive_ = false;
  upgrade_ = false;
}

bool ConnectionOptions::nominates(std::string_view lower_case_name) const {
  std::string_view rest = nominated_;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    if (rest.substr(0, comma) == lower_case_name) return true;
    rest.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace ptth
