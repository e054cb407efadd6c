#include "common/signals.h"

#include <utility>
#include <vector>

namespace ptth {

namespace {

class UvSignals;

// Outlives its Signals until libuv has closed it.
struct Watch {
  uv_signal_t handle{};
  UvSignals* owner = nullptr;
};

class UvSignals final : public Signals {
 public:
  UvSignals(Loop& loop, std::initializer_list<int> numbers, std::function<void(int)> on_signal)
      : on_signal_(std::move(on_signal)) {
    for (const int number : numbers) {
      auto watch = std::make_unique<Watch>();
      watch->owner = this;
      watch->handle.data = watch.get();
      CHECK_INVARIANT(uv_signal_init(loop.uv(), &watch->handle) == 0);
      CHECK_INVARIANT(uv_signal_start(&watch->handle, &UvSignals::arrived, number) == 0);
      watches_.push_back(std::move(watch));
    }
  }

  ~UvSignals() override {
    for (std::unique_ptr<Watch>& watch : watches_) {
      watch->owner = nullptr;
      Watch* closing = watch.release();
      uv_close(reinterpret_cast<uv_handle_t*>(&closing->handle), [](uv_handle_t* handle) noexcept {
        const std::unique_ptr<Watch> closed(static_cast<Watch*>(handle->data));
      });
    }
  }

  UvSignals(const UvSignals&) = delete;
  UvSignals& operator=(const UvSignals&) = delete;
  UvSignals(UvSignals&&) = delete;
  UvSignals& operator=(UvSignals&&) = delete;

 private:
  static void arrived(uv_signal_t* handle, int number) noexcept {
    const UvSignals* owner = static_cast<Watch*>(handle->data)->owner;
    if (owner != nullptr) owner->on_signal_(number);
  }

  std::function<void(int)> on_signal_;
  std::vector<std::unique_ptr<Watch>> watches_;
};

}  // namespace

std::unique_ptr<Signals> Signals::watch(Loop& loop, std::initializer_list<int> numbers,
                                        std::function<void(int)> on_signal) {
  return std::make_unique<UvSignals>(loop, numbers, std::move(on_signal));
}

}  // namespace ptth
