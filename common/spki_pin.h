#pragma once

// Pins of public keys: the SHA-256 of a certificate's SubjectPublicKeyInfo (RFC 7469 section 2.4),
// so that only a chain with that key in it is believed, whoever issued it.

#include "common/error.h"

#include <array>
#include <cstdint>
#include <string>

struct x509_st;

namespace ptth {

using SpkiPin = std::array<uint8_t, 32>;

// "sha256//" and 44 characters of base64, as curl writes it.
[[nodiscard]] Result<SpkiPin> parse_spki_pin(const std::string& text);
[[nodiscard]] std::string to_string(const SpkiPin& pin);
[[nodiscard]] SpkiPin spki_pin_of(const x509_st* certificate);

}  // namespace ptth
