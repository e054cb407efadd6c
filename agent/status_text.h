#pragma once

// The document of /status for a terminal.

#include "common/error.h"

#include <cstdint>
#include <optional>
#include <string>

namespace ptth {

struct DrainReceipt {
  uint64_t cut = 0;
  std::string text;
};

// What a drain came to; nothing as long as it is not over.
[[nodiscard]] std::optional<DrainReceipt> find_receipt(const std::string& json);

// kProtocol: that is no such document.
[[nodiscard]] Result<std::string> status_text(const std::string& json);

}  // namespace ptth
