#include "agent/process_metrics.h"

#include "agent/version.h"
#include "common/c_handle.h"

#include <array>
#include <charconv>
#include <chrono>
#include <dirent.h>
#include <fcntl.h>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ptth {

namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The second number of /proc/self/statm, in pages.
double resident_bytes() {
  const int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return kUnknown;
  std::array<char, 128> bytes{};
  const ssize_t count = read(file, bytes.data(), bytes.size());
  close(file);
  if (count <= 0) return kUnknown;
  std::string_view text(bytes.data(), static_cast<size_t>(count));
  const size_t space = text.find(' ');
  if (space == std::string_view::npos) return kUnknown;
  text.remove_prefix(space + 1);
  uint64_t pages = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), pages).ec != std::errc()) {
    return kUnknown;
  }
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double open_descriptors() {
  struct stat status {};

  // Linux 6.2 and later tell the number as the size of the directory.
  if (stat("/proc/self/fd", &status) == 0 && status.st_size > 0) {
    return static_cast<double>(status.st_size);
  }
  const std::unique_ptr<DIR, FreeWith<closedir>> directory(opendir("/proc/self/fd"));
  if (!directory) return kUnknown;
  double count = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this DIR.
  while (const dirent* entry = readdir(directory.get())) {
    if (entry->d_name[0] != '.') ++count;
  }
  return count - 1;  // Without the one that reads.
}

double descriptors_max() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kUnknown;
  return static_cast<double>(limit.rlim_cur);
}

}  // namespace

void register_process_metrics(Metrics& metrics, const Log& log) {
  metrics.counter_from("ptth_process_cpu_seconds", "CPU time of the process, user and system.",
                       cpu_seconds);
  metrics.counter_from("ptth_log_lines_dropped",
                       "Log lines lost because their destination did not take them.",
                       [&log] { return static_cast<double>(log.dropped()); });
  Gauge& resident = metrics.gauge("ptth_process_resident_memory_bytes", "Resident memory.");
  Gauge& open_now = metrics.gauge("ptth_process_open_fds", "Open file descriptors.");
  Gauge& open_max = metrics.gauge("ptth_process_max_fds", "The limit on open file descriptors.");
  metrics.on_collect([&resident, &open_now, &open_max] {
    resident.set(resident_bytes());
    open_now.set(open_descriptors());
    open_max.set(descriptors_max());
  });
  metrics
      .gauge("ptth_build_info", "1; the labels say which build this is.",
             {{"version", kVersion}, {"commit", kCommit}})
      .set(1);
  const auto since_epoch = std::chrono::system_clock::now().time_since_epoch();
  metrics
      .gauge("ptth_process_start_time_seconds", "When the process started, as seconds since 1970.")
      .set(std::chrono::duration<double>(since_epoch).count());
}

LoopLag::LoopLag(Loop& loop, Metrics& metrics)
    : loop_(loop),
      lag_(metrics.histogram("ptth_loop_lag_seconds",
                             "How late a timer fired: how long an event may have had to wait.",
                             latency_bounds())),
      timer_(loop, [this] { on_expired(); }) {
  start();
}

void LoopLag::start() {
  due_ms_ = loop_.now_ms() + static_cast<uint64_t>(kInterval.count());
  timer_.start(kInterval);
}

void LoopLag::on_expired() {
  lag_.observe(static_cast<double>(loop_.now_ms() - due_ms_) / 1e3);
  start();
}

}  // namespace ptth
