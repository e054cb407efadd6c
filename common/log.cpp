#include "common/log.h"

#include "common/log_formatter.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <mutex>
#include <poll.h>
#include <pthread.h>
#include <stdexcept>
#include <unistd.h>

#include <climits>

namespace ptth {

namespace {

using namespace std::chrono_literals;

// Of a line that is kept for those who look later.
constexpr size_t kRecentFieldBytesMax = 512;
constexpr size_t kThreadStackBytes = size_t{128} * 1024;
constexpr size_t kWriteBytesMax = size_t{64} * 1024;
// A buffer that a burst has made larger is given back.
constexpr size_t kKeepBytes = size_t{128} * 1024;
// After a write the writer sleeps so long before it looks again: many lines, few wake-ups.
constexpr auto kBatchInterval = 5ms;
constexpr auto kRetryInterval = 1s;

timespec wall_clock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

uint64_t monotonic_ms() {
  const auto since_start = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(since_start).count());
}

LogColour colour_for(int descriptor) {
  // The convention of no-color.org. Read once, at start-up.
  const char* no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
  if (no_colour != nullptr && *no_colour != '\0') return LogColour::kNever;
  return isatty(descriptor) == 1 ? LogColour::kAlways : LogColour::kNever;
}

// What the loop and the writer thread share.
class LineBuffer {
 public:
  explicit LineBuffer(const Log::Options& options)
      : descriptor_(options.descriptor),
        buffered_bytes_max_(options.buffered_bytes_max),
        formatter_(options.format, colour_for(options.descriptor), options.field_bytes_max) {}

  // On the loop. Never waits for the destination.
  void append(std::string_view line) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (pending_.size() + in_flight_bytes_ + line.size() > buffered_bytes_max_) {
        ++lost_;
        dropped_.fetch_add(1, std::memory_order_relaxed);
      } else {
        pending_ += line;
      }
      const bool pressing = pending_.size() > buffered_bytes_max_ / 2;
      wake = writer_ == WriterState::kIdle || (writer_ == WriterState::kResting && pressing);
      if (wake) writer_ = WriterState::kWoken;
    }
    if (wake) changed_.notify_all();
  }

  // On the loop. Whether everything is written, or given up, within the time.
  [[nodiscard]] bool finish(Milliseconds at_most) {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
    const bool finished = changed_.wait_for(lock, at_most, [this] { return finished_; });
    abandoned_.store(!finished, std::memory_order_relaxed);
    return finished;
  }

  [[nodiscard]] uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

  // The writer thread.
  void run() {
    std::unique_lock lock(mutex_);
    for (;;) {
      writer_ = WriterState::kIdle;
      changed_.wait(lock, [this] { return stopping_ || lost_ > 0 || !pending_.empty(); });
      writer_ = WriterState::kBusy;
      if (lost_ == 0 && pending_.empty()) break;
      take_batch();
      lock.unlock();
      write_batch();
      lock.lock();
      in_flight_bytes_ = 0;
      if (abandoned_.load(std::memory_order_relaxed)) break;
      if (stopping_) continue;
      writer_ = WriterState::kResting;
      changed_.wait_for(lock, kBatchInterval,
                        [this] { return stopping_ || writer_ == WriterState::kWoken; });
    }
    finished_ = true;
    changed_.notify_all();
  }

 private:
  enum class WriterState { kBusy, kIdle, kResting, kWoken };

  // Holds the lock. The lines that did not fit came after those that are pending, so the line that
  // tells of the loss stands where they are missing.
  void take_batch() {
    batch_.clear();
    if (batch_.capacity() > kKeepBytes) batch_.shrink_to_fit();
    batch_.swap(pending_);
    if (lost_ > 0) {
      const std::array<LogField, 1> fields = {LogField("lines", lost_)};
      batch_ += formatter_.format(wall_clock(), LogLevel::kWarn, "log lines lost", fields);
      lost_ = 0;
    }
    in_flight_bytes_ = batch_.size();
  }

  void write_batch() {
    size_t written = 0;
    while (written < batch_.size() && !abandoned_.load(std::memory_order_relaxed)) {
      const size_t count = std::min(batch_.size() - written, kWriteBytesMax);
      const ssize_t result = ::write(descriptor_, batch_.data() + written, count);
      if (result > 0) {
        written += static_cast<size_t>(result);
      } else if (result < 0 && errno == EINTR) {
        continue;
      } else if (result < 0 && errno == EAGAIN) {
        // Somebody who shares the descriptor made it non-blocking.
        pollfd poll_entry = {.fd = descriptor_, .events = POLLOUT, .revents = 0};
        poll(&poll_entry, 1, 100);
      } else if (!wait_to_retry()) {
        break;
      }
    }
    const auto rest =
        std::count(batch_.begin() + static_cast<ptrdiff_t>(written), batch_.end(), '\n');
    dropped_.fetch_add(static_cast<uint64_t>(rest), std::memory_order_relaxed);
  }

  // Full disk, closed pipe: what is buffered is kept and tried again. False when we are leaving.
  bool wait_to_retry() {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, kRetryInterval, [this] { return stopping_; });
  }

  const int descriptor_;
  const size_t buffered_bytes_max_;
  std::atomic<uint64_t> dropped_{0};
  std::atomic<bool> abandoned_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string pending_;
  size_t in_flight_bytes_ = 0;
  uint64_t lost_ = 0;  // Not told of yet.
  WriterState writer_ = WriterState::kBusy;
  bool stopping_ = false;
  bool finished_ = false;

  // Only the writer thread uses these.
  std::string batch_;
  LogFormatter formatter_;
};

void* run_writer(void* raw) noexcept {
  const std::unique_ptr<std::shared_ptr<LineBuffer>> lines(
      static_cast<std::shared_ptr<LineBuffer>*>(raw));
  (*lines)->run();
  return nullptr;
}

}  // namespace

// Owns the thread. The buffer is shared with it, because a thread that is stuck in write() cannot
// be joined: it is then left behind with the buffer, and ends with the process.
class Log::Writer {
 public:
  explicit Writer(const Options& options)
      : lines_(std::make_shared<LineBuffer>(options)), farewell_(options.farewell) {
    auto lines = std::make_unique<std::shared_ptr<LineBuffer>>(lines_);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes,
                              std::max(kThreadStackBytes, static_cast<size_t>(PTHREAD_STACK_MIN)));
    // Signals are for the loop's thread; and a closed pipe is an error of write(), not SIGPIPE.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&thread_, &attributes, run_writer, lines.get());
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (failed != 0) throw std::runtime_error("cannot start the thread that writes the log");
    static_cast<void>(lines.release());
    pthread_setname_np(thread_, "ptth-log");
  }

  ~Writer() {
    if (lines_->finish(farewell_)) {
      pthread_join(thread_, nullptr);
    } else {
      pthread_detach(thread_);
    }
  }

  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  Writer(Writer&&) = delete;
  Writer& operator=(Writer&&) = delete;

  [[nodiscard]] LineBuffer& lines() const { return *lines_; }

 private:
  std::shared_ptr<LineBuffer> lines_;
  Milliseconds farewell_;
  pthread_t thread_{};
};

Log::Log(const Options& options)
    : level_(options.level),
      formatter_(std::make_unique<LogFormatter>(options.format, colour_for(options.descriptor),
                                                options.field_bytes_max)),
      writer_(std::make_unique<Writer>(options)),
      recent_formatter_(std::make_unique<LogFormatter>(LogFormat::kJson, LogColour::kNever,
                                                       kRecentFieldBytesMax)) {}

Log::~Log() = default;

void Log::write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  write_line(level, message, {fields.begin(), fields.size()});
}

void Log::warn_limited(std::string_view message, std::string_view gateway,
                       std::initializer_list<LogField> fields) {
  if (!enabled(LogLevel::kWarn)) return;
  const std::optional<uint64_t> held_back = limiter(message, gateway).admit(monotonic_ms());
  if (!held_back) return;
  limited_fields_.clear();
  limited_fields_.emplace_back("gateway", gateway);
  limited_fields_.insert(limited_fields_.end(), fields.begin(), fields.end());
  if (*held_back > 0) limited_fields_.emplace_back("held_back", *held_back);
  write_line(LogLevel::kWarn, message, limited_fields_);
}

uint64_t Log::dropped() const {
  return writer_->lines().dropped();
}

void Log::write_line(LogLevel level, std::string_view message, std::span<const LogField> fields) {
  const timespec now = wall_clock();
  writer_->lines().append(formatter_->format(now, level, message, fields));
  if (level < LogLevel::kWarn) return;
  std::string_view line = recent_formatter_->format(now, level, message, fields);
  line.remove_suffix(1);  // The end of the line.
  if (recent_.size() == kRecentMax) recent_.pop_front();
  recent_.emplace_back(line);
}

RepeatLimiter& Log::limiter(std::string_view message, std::string_view gateway) {
  for (Limiter& known : limiters_) {
    if (known.message == message && known.gateway == gateway) return known.repeats;
  }
  if (limiters_.size() == kLimitersMax) return other_repeats_;
  return limiters_.emplace_back(Limiter{std::string(message), std::string(gateway), {}}).repeats;
}

Result<LogLevel> parse_log_level(std::string_view text) {
  if (text == "trace") return LogLevel::kTrace;
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warn") return LogLevel::kWarn;
  if (text == "error") return LogLevel::kError;
  if (text == "off") return LogLevel::kOff;
  return Error{ErrorKind::kConfiguration, Side::kLocal,
               "unknown log level \"" + std::string(text) +
                   "\"; one of trace, debug, info, warn, error, off"};
}

Result<LogFormat> parse_log_format(std::string_view text) {
  if (text == "json") return LogFormat::kJson;
  if (text == "human") return LogFormat::kHuman;
  return Error{ErrorKind::kConfiguration, Side::kLocal,
               "unknown log format \"" + std::string(text) + "\"; one of json, human"};
}

}  // namespace ptth
