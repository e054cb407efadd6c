#pragma once

// /capacity on the admin listener: what the origin is given at once and who says so, and the word
// of whoever runs the application, {"capacity": 20} or {"capacity": null} to take it back.

#include "agent/admin_pages.h"
#include "common/http_message.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

class AdminCapacity {
 public:
  struct Report {
    uint32_t capacity = 0;
    std::string_view source;
    uint32_t in_flight = 0;
    size_t queued = 0;
  };

  [[nodiscard]] virtual Report report() const = 0;
  // Nothing: the others decide again.
  virtual void set(std::optional<uint32_t> capacity) = 0;

 protected:
  ~AdminCapacity() = default;
};

// What a request that changes something must be: JSON, so that no form of a web page makes one, and
// not from a page of another place. Nothing: it is.
[[nodiscard]] std::optional<AdminPage> refuse_change(const RequestHead& request);

// GET and PUT. A PUT has to be JSON, and must not come from a web page of another place.
[[nodiscard]] AdminPage capacity_page(const RequestHead& request, std::string_view body,
                                      AdminCapacity& capacity);

}  // namespace ptth
