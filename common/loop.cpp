#include "common/loop.h"

#include <algorithm>
#include <csignal>
#include <utility>

namespace ptth {

namespace {

Loop& loop_of(const uv_handle_t* handle) {
  return *static_cast<Loop*>(handle->data);
}

template <class Handle>
uv_handle_t* as_handle(Handle& handle) {
  return reinterpret_cast<uv_handle_t*>(&handle);
}

}  // namespace

Timer::Timer(Loop& loop, std::function<void()> on_expired)
    : loop_(loop), on_expired_(std::move(on_expired)) {}

Timer::~Timer() {
  if (heap_index_ != kNotQueued) loop_.heap_remove(*this);
}

void Timer::start(Milliseconds delay) {
  const auto wait = static_cast<uint64_t>(std::max<int64_t>(delay.count(), 0));
  deadline_ms_ = loop_.now_ms() + wait;
  if (heap_index_ != kNotQueued) {
    // A later deadline stays where it is and is put back when the heap reaches it.
    if (queued_ms_ <= deadline_ms_) return;
    loop_.heap_remove(*this);
  }
  loop_.heap_push(*this);
}

void Timer::stop() {
  deadline_ms_ = kNever;
}

EndOfTurn::EndOfTurn(Loop& loop, std::function<void()> work)
    : loop_(loop), work_(std::move(work)) {}

EndOfTurn::~EndOfTurn() {
  cancel();
}

void EndOfTurn::schedule() {
  if (scheduled_) return;
  scheduled_ = true;
  previous_ = loop_.last_work_;
  next_ = nullptr;
  (previous_ != nullptr ? previous_->next_ : loop_.first_work_) = this;
  loop_.last_work_ = this;
}

void EndOfTurn::cancel() {
  if (!scheduled_) return;
  scheduled_ = false;
  (previous_ != nullptr ? previous_->next_ : loop_.first_work_) = next_;
  (next_ != nullptr ? next_->previous_ : loop_.last_work_) = previous_;
}

Loop::Loop(ClockMode clock) : clock_(clock), read_buffer_(new char[kReadBufferSize]) {
  // libuv writes without MSG_NOSIGNAL: without this a connection that the other side has closed
  // ends the process, and not just the write.
  std::signal(SIGPIPE, SIG_IGN);
  CHECK_INVARIANT(uv_loop_init(&uv_) == 0);
  uv_prepare_init(&uv_, &end_of_turn_);
  end_of_turn_.data = this;
  uv_prepare_start(&end_of_turn_, [](uv_prepare_t* handle) noexcept {
    Loop& loop = loop_of(as_handle(*handle));
    loop.round_input_bytes_ = 0;
    loop.run_end_of_turn();
  });
  uv_timer_init(&uv_, &uv_timer_);
  uv_timer_.data = this;
  uv_async_init(&uv_, &wake_,
                [](uv_async_t* handle) noexcept { loop_of(as_handle(*handle)).run_posted(); });
  wake_.data = this;
}

Loop::~Loop() {
  run_end_of_turn();
  uv_walk(
      &uv_,
      [](uv_handle_t* handle, void*) noexcept {
        if (uv_is_closing(handle) == 0) uv_close(handle, nullptr);
      },
      nullptr);
  uv_run(&uv_, UV_RUN_DEFAULT);
  run_end_of_turn();
  CHECK_INVARIANT(uv_loop_close(&uv_) == 0);
}

void Loop::run() {
  uv_run(&uv_, UV_RUN_DEFAULT);
}

void Loop::stop() {
  uv_stop(&uv_);
}

void Loop::turn() {
  uv_run(&uv_, UV_RUN_NOWAIT);
  run_end_of_turn();
}

void Loop::turn_waiting(Milliseconds at_most) {
  uv_timer_t bound{};
  uv_timer_init(&uv_, &bound);
  uv_timer_start(
      &bound, [](uv_timer_t*) noexcept {}, static_cast<uint64_t>(at_most.count()), 0);
  uv_run(&uv_, UV_RUN_ONCE);
  uv_close(as_handle(bound), nullptr);
  uv_run(&uv_, UV_RUN_NOWAIT);
  run_end_of_turn();
}

void Loop::advance(Milliseconds by) {
  CHECK_INVARIANT(clock_ == ClockMode::kManual);
  const uint64_t target = manual_now_ms_ + static_cast<uint64_t>(by.count());
  run_end_of_turn();
  while (!timers_.empty() && timers_.front()->queued_ms_ <= target) {
    manual_now_ms_ = std::max(manual_now_ms_, timers_.front()->queued_ms_);
    run_due_timers();
    run_end_of_turn();
  }
  manual_now_ms_ = target;
  turn();
}

void Loop::linger(Milliseconds by) {
  CHECK_INVARIANT(clock_ == ClockMode::kManual);
  manual_now_ms_ += static_cast<uint64_t>(by.count());
}

uint64_t Loop::now_ms() const {
  return clock_ == ClockMode::kManual ? manual_now_ms_ : uv_now(&uv_);
}

uint64_t Loop::exact_now_ms() const {
  constexpr uint64_t kNanosecondsPerMillisecond = 1'000'000;
  return clock_ == ClockMode::kManual ? manual_now_ms_ : uv_hrtime() / kNanosecondsPerMillisecond;
}

ByteQueue Loop::SpareQueues::take() {
  if (queues_.empty()) return {};
  ByteQueue queue = std::move(queues_.back());
  queues_.pop_back();
  bytes_ -= queue.capacity();
  return queue;
}

void Loop::SpareQueues::give(ByteQueue queue) {
  if (queues_.size() >= count_max_ || bytes_ + queue.capacity() > bytes_max_) return;
  bytes_ += queue.capacity();
  queues_.push_back(std::move(queue));
}

ByteQueue Loop::take_queue(size_t first_bytes) {
  return queues_of(first_bytes).take();
}

Loop::SpareQueues& Loop::queues_of(size_t bytes) {
  if (bytes <= kSmallQueueBytes) return small_queues_;
  return bytes <= kLargeQueueBytes ? large_queues_ : huge_queues_;
}

void Loop::give_queue(ByteQueue queue) {
  CHECK_INVARIANT(queue.empty());
  if (queue.capacity() == 0) return;
  queues_of(queue.capacity()).give(std::move(queue));
}

void Loop::retire_raw(void* object, void (*destroy)(void*)) {
  retired_.push_back({object, destroy});
}

void Loop::run_end_of_turn() {
  while (first_work_ != nullptr || !retired_.empty()) {
    while (first_work_ != nullptr) {
      EndOfTurn* work = first_work_;
      work->cancel();
      work->work_();
    }
    // Destructors may retire more.
    being_destroyed_.swap(retired_);
    for (const Retired& entry : being_destroyed_)
      entry.destroy(entry.object);
    being_destroyed_.clear();
  }
  ++turn_number_;
  turn_input_bytes_ = 0;
}

void Loop::note_input(size_t count) {
  turn_input_bytes_ += count;
  round_input_bytes_ += count;
  if (turn_input_bytes_ >= kTurnInputMax) run_end_of_turn();
}

void Loop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
  }
  uv_async_send(&wake_);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(posted_mutex_);
    work.swap(posted_);
  }
  for (const auto& function : work)
    function();
}

void Loop::run_due_timers() {
  const uint64_t now = now_ms();
  while (!timers_.empty() && timers_.front()->queued_ms_ <= now) {
    Timer& timer = *timers_.front();
    heap_remove(timer);
    if (timer.deadline_ms_ == Timer::kNever) continue;
    if (timer.deadline_ms_ > now) {
      heap_push(timer);
      continue;
    }
    timer.deadline_ms_ = Timer::kNever;
    timer.on_expired_();
  }
  arm_uv_timer();
}

void Loop::arm_uv_timer() {
  if (clock_ == ClockMode::kManual || timers_.empty()) return;
  const uint64_t due = timers_.front()->queued_ms_;
  if (uv_is_active(as_handle(uv_timer_)) != 0 && uv_timer_due_ms_ <= due) return;
  uv_timer_due_ms_ = due;
  const uint64_t now = uv_now(&uv_);
  uv_timer_start(
      &uv_timer_, [](uv_timer_t* handle) noexcept { loop_of(as_handle(*handle)).run_due_timers(); },
      due > now ? due - now : 0, 0);
}

void Loop::heap_push(Timer& timer) {
  timer.queued_ms_ = timer.deadline_ms_;
  timers_.push_back(&timer);
  timer.heap_index_ = timers_.size() - 1;
  sift_up(timer.heap_index_);
  if (timer.heap_index_ == 0) arm_uv_timer();
}

void Loop::heap_remove(Timer& timer) {
  const size_t index = timer.heap_index_;
  Timer* last = timers_.back();
  timers_.pop_back();
  timer.heap_index_ = Timer::kNotQueued;
  if (last == &timer) return;
  heap_put(index, last);
  sift_down(index);
  sift_up(last->heap_index_);
}

void Loop::heap_put(size_t index, Timer* timer) {
  timers_[index] = timer;
  timer->heap_index_ = index;
}

void Loop::sift_up(size_t index) {
  Timer* timer = timers_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (timers_[parent]->queued_ms_ <= timer->queued_ms_) break;
    heap_put(index, timers_[parent]);
    index = parent;
  }
  heap_put(index, timer);
}

void Loop::sift_down(size_t index) {
  Timer* timer = timers_[index];
  for (;;) {
    size_t child = 2 * index + 1;
    if (child >= timers_.size()) break;
    if (child + 1 < timers_.size() && timers_[child + 1]->queued_ms_ < timers_[child]->queued_ms_) {
      ++child;
    }
    if (timer->queued_ms_ <= timers_[child]->queued_ms_) break;
    heap_put(index, timers_[child]);
    index = child;
  }
  heap_put(index, timer);
}

}  // namespace ptth
