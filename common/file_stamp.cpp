#include "common/file_stamp.h"

#include <ctime>
#include <sys/stat.h>

namespace ptth {

namespace {

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileStamp FileStamp::of(const std::string& path) {
  struct stat file {};

  if (path.empty() || ::stat(path.c_str(), &file) != 0) return {};
  return {uint64_t{file.st_dev}, uint64_t{file.st_ino}, int64_t{file.st_size},
          nanoseconds(file.st_mtim), nanoseconds(file.st_ctim)};
}

bool FileStamp::settled(std::chrono::nanoseconds settle_time) const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return changed_ns <= nanoseconds(now) - settle_time.count();
}

}  // namespace ptth
