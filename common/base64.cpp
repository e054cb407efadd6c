#include "common/base64.h"

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

}  // namespace ptth
