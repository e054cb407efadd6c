#pragma once

// A credential in memory: prints as "***", is compared in constant time, and is wiped when it goes
// away. The bytes are reached only through reveal(), so that every use can be found.

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

class Secret {
 public:
  static constexpr std::string_view kMask = "***";

  Secret() = default;
  // Takes the text over and wipes the string that it came in.
  explicit Secret(std::string&& text);
  ~Secret();
  Secret(const Secret& other) = default;
  Secret& operator=(const Secret& other);
  Secret(Secret&& other) noexcept = default;
  Secret& operator=(Secret&& other) noexcept;

  // For the code that sends or checks it; never to be kept, logged or put into an Error.
  [[nodiscard]] std::string_view reveal() const { return {bytes_.data(), bytes_.size()}; }

  [[nodiscard]] bool empty() const { return bytes_.empty(); }

  [[nodiscard]] bool operator==(const Secret& other) const;

 private:
  void wipe();

  // Not a std::string: a short one would leave a copy behind when it is moved.
  std::vector<char> bytes_;
};

std::ostream& operator<<(std::ostream& out, const Secret& secret);
[[nodiscard]] std::string to_string(const Secret& secret);

}  // namespace ptth
