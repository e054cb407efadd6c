#include "common/base64.h"

#include <algorithm>

#include <openssl/evp.h>

namespace ptth {

void append_base64(std::string& out, std::string_view bytes) {
  const size_t begin = out.size();
  // EVP_EncodeBlock also writes a zero byte.
  out.resize(begin + (bytes.size() + 2) / 3 * 4 + 1);
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data() + begin),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  out.pop_back();
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : (text.ends_with('=') ? 1 : 0);
  // It pads with zero bytes, and skips space around the text.
  bytes.resize(static_cast<size_t>(size) - std::min(padding, static_cast<size_t>(size)));
  std::string again;
  append_base64(again, bytes);
  if (again != text) return std::nullopt;
  return bytes;
}

}  // namespace ptth
