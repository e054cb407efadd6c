#include "common/secret_file.h"

#include "common/http_rules.h"

#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <openssl/crypto.h>

namespace ptth {

namespace {

class File {
 public:
  explicit File(const std::string& path)
      // A pipe would let us wait for ever.
      : number_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}

  ~File() {
    if (number_ >= 0) close(number_);
  }

  File(const File&) = delete;
  File& operator=(const File&) = delete;
  File(File&&) = delete;
  File& operator=(File&&) = delete;

  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

// Wiped whatever happens to it.
struct WipedText {
  std::string text;

  WipedText() = default;
  WipedText(const WipedText&) = delete;
  WipedText& operator=(const WipedText&) = delete;
  WipedText(WipedText&&) = delete;
  WipedText& operator=(WipedText&&) = delete;

  ~WipedText() { OPENSSL_cleanse(text.data(), text.size()); }
};

Error unusable(const std::string& path, const std::string& why) {
  return {ErrorKind::kConfiguration, Side::kLocal, "the secret in " + path + ": " + why};
}

}  // namespace

Result<Secret> read_secret_file(const std::string& path) {
  const File file(path);

  struct stat status {};

  if (file.number() < 0 || fstat(file.number(), &status) != 0) {
    return unusable(path, std::generic_category().message(errno));
  }
  if (!S_ISREG(status.st_mode)) return unusable(path, "not a file");
  WipedText content;
  // One allocation, so that no copy is left behind; one byte more tells a file that is too large.
  content.text.resize(kSecretBytesMax + 1);
  size_t size = 0;
  while (size < content.text.size()) {
    const ssize_t count =
        read(file.number(), content.text.data() + size, content.text.size() - size);
    if (count < 0) return unusable(path, std::generic_category().message(errno));
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  if (size > kSecretBytesMax) {
    return unusable(path, "over " + std::to_string(kSecretBytesMax / 1024) + " KiB");
  }
  std::string_view secret = std::string_view(content.text).substr(0, size);
  if (!secret.empty() && secret.back() == '\n') secret.remove_suffix(1);
  if (!secret.empty() && secret.back() == '\r') secret.remove_suffix(1);
  if (secret.empty()) return unusable(path, "empty");
  if (!is_field_value(secret)) {
    return unusable(path, "it has line breaks or control characters");
  }
  return Secret(std::string(secret));
}

}  // namespace ptth
