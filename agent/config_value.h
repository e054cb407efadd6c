#pragma once

// Values as people write them in flags, environment and file: durations and sizes with their unit,
// rates, ALPN ids. Errors say what to write instead; they never name the setting, which the caller
// knows.

#include "common/error.h"
#include "common/loop.h"
#include "common/token_bucket.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

[[nodiscard]] Error configuration_error(std::string detail);

// In quotes, cut when long.
[[nodiscard]] std::string in_quotes(std::string_view text);
// Control bytes and what is no UTF-8 as \xNN: safe for a terminal.
[[nodiscard]] std::string printable(std::string_view text);

// "500ms", "1.5s", "1m30s", "0".
[[nodiscard]] Result<Milliseconds> parse_duration(std::string_view text);
[[nodiscard]] std::string show_duration(Milliseconds duration);

// "512B", "64KiB", "1.5MiB", "0".
[[nodiscard]] Result<uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string show_size(uint64_t bytes);

// Decimal digits only.
[[nodiscard]] Result<uint64_t> parse_count(std::string_view text);

// "200+50/s": 200 at once, and 50 more each second.
[[nodiscard]] Result<Rate> parse_rate(std::string_view text);
[[nodiscard]] std::string show_rate(const Rate& rate);

[[nodiscard]] Result<bool> parse_switch(std::string_view text);

// "h2" as it stands, or "hex:d587c9a5" for ids that are no text. Gives the bytes.
[[nodiscard]] Result<std::string> parse_alpn_id(std::string_view text);
[[nodiscard]] std::string show_alpn_id(std::string_view bytes);

// One text with commas, as flags and environment variables carry lists; or with line ends, where
// values have commas of their own.
[[nodiscard]] std::vector<std::string> split_list(std::string_view text, char separator = ',');

}  // namespace ptth
