#pragma once

// Keys for HTTP message signatures: those of RFC 9421 appendix B.1, and fresh ones.

#include <fstream>
#include <string>

namespace ptth::test {

inline constexpr const char* kRfcEd25519Private =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n"
    "-----END PRIVATE KEY-----\n";
inline constexpr const char* kRfcEd25519Public =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n"
    "-----END PUBLIC KEY-----\n";
inline constexpr const char* kRfcP256Public =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lf\n"
    "w0EkjqF7xB4FivAxzic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ==\n"
    "-----END PUBLIC KEY-----\n";

enum class KeyKind { kEd25519, kP256, kP384, kRsa };

// PEM, of a key made now.
struct KeyPair {
  std::string private_pem;
  std::string public_pem;
};

[[nodiscard]] KeyPair make_key_pair(KeyKind kind);

inline std::string write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  return path;
}

}  // namespace ptth::test
