#include "common/errand.h"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <pthread.h>
#include <utility>

namespace ptth {

struct Errand::Task {
  Work work;
  std::mutex mutex;
  std::condition_variable over;
  bool is_over = false;
  // Null once nobody waits for it. Changed on the loop's thread only, under the mutex.
  Loop* loop = nullptr;
};

namespace {

int start_thread(void* (*run)(void*) noexcept, void* argument) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  // Signals are for the loop's thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread{};
  const int failed = pthread_create(&thread, &attributes, run, argument);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_attr_destroy(&attributes);
  return failed;
}

}  // namespace

Errand::Errand(std::shared_ptr<Task> task) : task_(std::move(task)) {}

Errand::~Errand() {
  const std::lock_guard lock(task_->mutex);
  task_->loop = nullptr;
}

std::unique_ptr<Errand> Errand::start(Loop& loop, Work work) {
  auto task = std::make_shared<Task>();
  task->work = std::move(work);
  task->loop = &loop;
  auto for_thread = std::make_unique<std::shared_ptr<Task>>(task);
  if (start_thread(run, for_thread.get()) != 0) return nullptr;
  static_cast<void>(for_thread.release());
  return std::unique_ptr<Errand>(new Errand(std::move(task)));
}

void Errand::wait(Milliseconds at_most) {
  std::unique_lock lock(task_->mutex);
  task_->over.wait_for(lock, at_most, [&] { return task_->is_over; });
}

void* Errand::run(void* argument) noexcept {
  const std::unique_ptr<std::shared_ptr<Task>> owned(static_cast<std::shared_ptr<Task>*>(argument));
  const std::shared_ptr<Task> task = *owned;
  Done done = task->work();
  const std::lock_guard lock(task->mutex);
  task->is_over = true;
  task->over.notify_all();
  if (task->loop == nullptr) return nullptr;
  task->loop->post([task, done = std::move(done)] {
    if (task->loop != nullptr) done();
  });
  return nullptr;
}

}  // namespace ptth
