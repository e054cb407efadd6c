#include "common/lookup.h"

#include <csignal>
#include <mutex>
#include <netdb.h>
#include <pthread.h>
#include <utility>

namespace ptth {

struct Lookup::Question {
  std::string host;
  std::string service;
  Done done;
  std::mutex mutex;
  // Null once nobody waits for the answer. Changed on the loop's thread only, under the mutex.
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

Lookup::Lookup(std::shared_ptr<Question> question) : question_(std::move(question)) {}

Lookup::~Lookup() {
  const std::lock_guard lock(question_->mutex);
  question_->loop = nullptr;
}

std::unique_ptr<Lookup> Lookup::start(Loop& loop, const std::string& host, uint16_t port,
                                      Done done) {
  auto question = std::make_shared<Question>();
  question->host = host;
  question->service = std::to_string(port);
  question->done = std::move(done);
  question->loop = &loop;
  auto for_thread = std::make_unique<std::shared_ptr<Question>>(question);
  if (start_thread(run, for_thread.get()) != 0) return nullptr;
  static_cast<void>(for_thread.release());
  return std::unique_ptr<Lookup>(new Lookup(std::move(question)));
}

void* Lookup::run(void* argument) noexcept {
  const std::unique_ptr<std::shared_ptr<Question>> owned(
      static_cast<std::shared_ptr<Question>*>(argument));
  const std::shared_ptr<Question> question = *owned;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  // No AI_ADDRCONFIG: it hides loopback addresses on hosts without a network, and an address
  // without a route fails at once anyway.
  addrinfo* found = nullptr;
  const int status = getaddrinfo(question->host.c_str(), question->service.c_str(), &hints, &found);
  // A function must be copyable, so the list is shared by its copies.
  const std::shared_ptr<addrinfo> list(found, [](addrinfo* entries) {
    if (entries != nullptr) freeaddrinfo(entries);
  });
  const std::lock_guard lock(question->mutex);
  if (question->loop == nullptr) return nullptr;
  question->loop->post([question, status, list] {
    if (question->loop != nullptr) question->done(status, list.get());
  });
  return nullptr;
}

}  // namespace ptth
