#pragma once

// The event loop of one thread: libuv for sockets, our own timers, end-of-turn work and safe
// disposal. Everything that hangs on a Loop lives on its thread; only post() may be called from
// others. Tests use ClockMode::kManual: time then moves by advance() only, and turn() runs what is
// ready without waiting.

#include "common/byte_queue.h"
#include "common/error.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include <uv.h>

namespace ptth {

using Milliseconds = std::chrono::milliseconds;

class Loop;

// Runs a function once after a delay. May be restarted and stopped at any time, also from its own
// function; restarting it to a later time is cheap (no reordering), so that it can guard every step
// of an exchange.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_expired);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  Timer(Timer&&) = delete;
  Timer& operator=(Timer&&) = delete;

  void start(Milliseconds delay);
  void stop();

  [[nodiscard]] bool running() const { return deadline_ms_ != kNever; }

 private:
  friend class Loop;
  static constexpr uint64_t kNever = UINT64_MAX;
  static constexpr size_t kNotQueued = SIZE_MAX;

  Loop& loop_;
  std::function<void()> on_expired_;
  uint64_t deadline_ms_ = kNever;
  // Where the loop's heap has it: never later than deadline_ms_.
  uint64_t queued_ms_ = 0;
  size_t heap_index_ = kNotQueued;
};

// Work that is done once at the end of the loop turn in which schedule() was called, however often
// it was called.
class EndOfTurn {
 public:
  EndOfTurn(Loop& loop, std::function<void()> work);
  ~EndOfTurn();
  EndOfTurn(const EndOfTurn&) = delete;
  EndOfTurn& operator=(const EndOfTurn&) = delete;
  EndOfTurn(EndOfTurn&&) = delete;
  EndOfTurn& operator=(EndOfTurn&&) = delete;

  void schedule();
  void cancel();

 private:
  friend class Loop;
  Loop& loop_;
  std::function<void()> work_;
  EndOfTurn* previous_ = nullptr;
  EndOfTurn* next_ = nullptr;
  bool scheduled_ = false;
};

enum class ClockMode { kReal, kManual };

class Loop {
 public:
  explicit Loop(ClockMode clock = ClockMode::kReal);
  // Closes what is still open on the loop. Objects that use the loop must be gone before.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  Loop(Loop&&) = delete;
  Loop& operator=(Loop&&) = delete;

  // Runs until stop().
  void run();
  void stop();
  // One turn without waiting: ready sockets, due timers, end-of-turn work.
  void turn();
  // One turn that waits for the next event, at most for so long (real time). For tests that use
  // sockets.
  void turn_waiting(Milliseconds at_most);
  // kManual only: moves the clock, firing each timer at its own time, and runs end-of-turn work.
  void advance(Milliseconds by);
  // kManual only: the current turn takes so long.
  void linger(Milliseconds by);

  // Monotonic; the time at which the current turn began.
  [[nodiscard]] uint64_t now_ms() const;
  // The same clock, read now: for how long a turn takes.
  [[nodiscard]] uint64_t exact_now_ms() const;

  // Destroys the object at the end of the turn: the way to let go of something from inside its own
  // callback.
  template <class T>
  void retire(std::unique_ptr<T> object) {
    if (!object) return;
    retire_raw(object.release(), [](void* raw) { delete static_cast<T*>(raw); });
  }

  // Runs the function on the loop's thread. The only call that other threads may make.
  void post(std::function<void()> work);

  // Scratch memory for reads: one buffer per loop, valid during the read callback.
  [[nodiscard]] uv_buf_t read_buffer() {
    return {read_buffer_.get(), is_round_full() ? kLateReadSize : kReadBufferSize};
  }

  // The sockets that were ready have brought much already: whoever is heard now takes little, so
  // that the last of them need not wait for all that the others have. Nobody is left out: the
  // kernel would report the same ones first again.
  [[nodiscard]] bool is_round_full() const { return round_input_bytes_ >= kRoundInputMax; }

  static constexpr size_t kReadBufferSize = size_t{64} * 1024;

  // For streams, as the last thing in libuv's read callback: so many bytes came. A turn that has
  // brought more than fits the processor's caches ends here, so that bytes leave while they are
  // still there, and buffers do not grow with the number of sockets that were ready at once.
  void note_input(size_t count);

  // Memory for bytes that wait for the end of the turn: an empty queue that may have memory
  // already, given back when it is empty again. A connection without such bytes then holds none.
  // The first bytes to be appended say how large it should be.
  [[nodiscard]] ByteQueue take_queue(size_t first_bytes);
  void give_queue(ByteQueue queue);

  // Grows with every turn: lets work that feeds itself notice that the turn has not ended.
  [[nodiscard]] uint64_t turn_number() const { return turn_number_; }

  [[nodiscard]] uv_loop_t* uv() { return &uv_; }

 private:
  friend class Timer;
  friend class EndOfTurn;

  // Queues that were given back, the last one first, because its memory is still in the caches.
  class SpareQueues {
   public:
    SpareQueues(size_t count_max, size_t bytes_max)
        : count_max_(count_max), bytes_max_(bytes_max) {}

    [[nodiscard]] ByteQueue take();
    void give(ByteQueue queue);

   private:
    size_t count_max_;
    size_t bytes_max_;
    size_t bytes_ = 0;
    std::vector<ByteQueue> queues_;
  };

  // A message head fits into a small queue; with many sockets in one turn there are many of them.
  // One that a turn's records have made huge is not to be spent on a body of ten kilobytes.
  static constexpr size_t kSmallQueueBytes = 4096;
  static constexpr size_t kSmallQueuesMax = 256;
  static constexpr size_t kSmallQueueBytesMax = kSmallQueuesMax * kSmallQueueBytes;
  static constexpr size_t kLargeQueueBytes = size_t{16} * 1024;
  static constexpr size_t kLargeQueuesMax = 32;
  static constexpr size_t kLargeQueueBytesMax = kLargeQueuesMax * kLargeQueueBytes;
  static constexpr size_t kHugeQueuesMax = 16;
  static constexpr size_t kHugeQueueBytesMax = size_t{1} * 1024 * 1024;

  struct Retired {
    void* object;
    void (*destroy)(void*);
  };

  static constexpr size_t kTurnInputMax = kReadBufferSize;
  static constexpr size_t kRoundInputMax = 4 * kReadBufferSize;
  static constexpr size_t kLateReadSize = size_t{16} * 1024;

  [[nodiscard]] SpareQueues& queues_of(size_t bytes);
  void retire_raw(void* object, void (*destroy)(void*));
  void run_end_of_turn();
  void run_posted();
  void run_due_timers();
  void arm_uv_timer();
  void heap_push(Timer& timer);
  void heap_remove(Timer& timer);
  void sift_up(size_t index);
  void sift_down(size_t index);
  void heap_put(size_t index, Timer* timer);

  ClockMode clock_;
  uint64_t manual_now_ms_ = 1;
  uv_loop_t uv_{};
  uv_prepare_t end_of_turn_{};
  uv_timer_t uv_timer_{};
  uint64_t uv_timer_due_ms_ = UINT64_MAX;
  uv_async_t wake_{};
  std::vector<Timer*> timers_;
  EndOfTurn* first_work_ = nullptr;
  EndOfTurn* last_work_ = nullptr;
  std::vector<Retired> retired_;
  std::vector<Retired> being_destroyed_;  // Empty between turns; keeps its memory.
  SpareQueues small_queues_{kSmallQueuesMax, kSmallQueueBytesMax};
  SpareQueues large_queues_{kLargeQueuesMax, kLargeQueueBytesMax};
  SpareQueues huge_queues_{kHugeQueuesMax, kHugeQueueBytesMax};
  uint64_t turn_number_ = 0;
  size_t turn_input_bytes_ = 0;
  size_t round_input_bytes_ = 0;
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
  std::unique_ptr<char[]> read_buffer_;
};

}  // namespace ptth
