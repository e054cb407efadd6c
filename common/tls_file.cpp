#include "common/tls_file.h"

#include "common/c_handle.h"
#include "common/tls_words.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

namespace ptth {

Error tls_file_error(std::string_view option, const std::string& path, const std::string& what) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::string(option) + " " + path + ": " + what};
}

Result<void> check_readable(std::string_view option, const std::string& path) {
  const std::unique_ptr<std::FILE, FreeWith<std::fclose>> file(std::fopen(path.c_str(), "re"));
  if (!file || std::fgetc(file.get()) == EOF) {
    const int code = errno;
    const bool empty = file && std::ferror(file.get()) == 0;
    return tls_file_error(option, path,
                          empty ? "the file is empty" : std::generic_category().message(code));
  }
  return {};
}

std::string pem_problem(std::string_view expected) {
  const OpenSslError error = take_openssl_error();
  if (error.library == ERR_LIB_PEM && error.reason == PEM_R_NO_START_LINE) {
    return "there is no " + std::string(expected) + " in PEM in it";
  }
  // What it says of keys instead.
  if (error.library == ERR_LIB_OSSL_DECODER && error.reason == ERR_R_UNSUPPORTED) {
    return "there is no " + std::string(expected) + " in PEM in it";
  }
  if (error.library == ERR_LIB_PEM && (error.reason == PEM_R_BAD_PASSWORD_READ ||
                                       error.reason == PEM_R_PROBLEMS_GETTING_PASSWORD)) {
    return "the key is encrypted with a pass phrase, which is not supported";
  }
  if (error.library == ERR_LIB_SSL && error.reason == SSL_R_EE_KEY_TOO_SMALL) {
    return "its key is too small";
  }
  return "not a usable " + std::string(expected) + ": " + error.text;
}

}  // namespace ptth
