#include "common/loop_rounds.h"

#include <utility>

namespace ptth {

// On the heap by themselves, because libuv uses them until both are closed.
struct LoopRounds::Handles {
  uv_check_t check{};
  uv_idle_t idle{};
  std::function<void()> on_round;
  int open = 2;
};

void LoopRounds::CloseHandles::operator()(Handles* handles) const noexcept {
  handles->on_round = nullptr;
  const auto closed = [](uv_handle_t* handle) noexcept {
    auto* both = static_cast<Handles*>(handle->data);
    if (--both->open == 0) const std::unique_ptr<Handles> freed(both);
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->check), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&handles->idle), closed);
}

LoopRounds::LoopRounds(Loop& loop, std::function<void()> on_round) : handles_(new Handles) {
  handles_->on_round = std::move(on_round);
  uv_check_init(loop.uv(), &handles_->check);
  uv_idle_init(loop.uv(), &handles_->idle);
  handles_->check.data = handles_->idle.data = handles_.get();
  uv_check_start(&handles_->check, [](uv_check_t* handle) noexcept {
    auto& handles = *static_cast<Handles*>(handle->data);
    uv_idle_stop(&handles.idle);
    if (handles.on_round) handles.on_round();
  });
}

LoopRounds::~LoopRounds() = default;

void LoopRounds::come_soon() {
  uv_idle_start(&handles_->idle, [](uv_idle_t*) noexcept {});
}

}  // namespace ptth
