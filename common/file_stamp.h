#pragma once

// FileStamp: what stat(2) says of a file, to notice that another is there now. Symbolic links are
// followed, so that a link that was swapped (as Kubernetes does with mounted secrets) is noticed.

#include <chrono>
#include <cstdint>
#include <string>

namespace ptth {

struct FileStamp {
  // All zero when there is no such file.
  [[nodiscard]] static FileStamp of(const std::string& path);

  // File systems count time in steps: a file that was changed so short ago may change again without
  // its stamp telling.
  [[nodiscard]] bool settled(std::chrono::nanoseconds settle_time) const;

  [[nodiscard]] bool operator==(const FileStamp&) const = default;

  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;
};

}  // namespace ptth
