#pragma once

// Address: an IP address and a port, as a value. What the dialer tries one after the other.

#include <cstdint>
#include <optional>
#include <string>
#include <sys/socket.h>

namespace ptth {

class Address {
 public:
  explicit Address(const sockaddr& raw);
  // "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0"; nothing for names.
  [[nodiscard]] static std::optional<Address> from_literal(const std::string& host, uint16_t port);

  [[nodiscard]] const sockaddr& raw() const;

  [[nodiscard]] int family() const { return storage_.ss_family; }

  // "192.0.2.1:443", "[2001:db8::1]:443".
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool operator==(const Address& other) const;
  // By the bytes of the address; says nothing about preference.
  [[nodiscard]] bool operator<(const Address& other) const;

 private:
  sockaddr_storage storage_{};
};

}  // namespace ptth
