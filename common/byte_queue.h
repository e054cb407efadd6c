#pragma once

// A first-in first-out queue of bytes that keeps its memory: append at the back, look at and
// consume from the front. Moves bytes only when the free space in front outgrows the content. For
// buffers between a reader and a writer of one thread.

#include "common/check.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace ptth {

class ByteQueue {
 public:
  ByteQueue() = default;
  ~ByteQueue() = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  // The content stays where it is in memory; the other queue is empty and without memory after it.
  ByteQueue(ByteQueue&& other) noexcept
      : memory_(std::move(other.memory_)),
        capacity_(std::exchange(other.capacity_, 0)),
        begin_(std::exchange(other.begin_, 0)),
        end_(std::exchange(other.end_, 0)) {}

  ByteQueue& operator=(ByteQueue&& other) noexcept {
    memory_ = std::move(other.memory_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    return *this;
  }

  [[nodiscard]] size_t size() const { return end_ - begin_; }

  // Bytes of memory held.
  [[nodiscard]] size_t capacity() const { return capacity_; }

  [[nodiscard]] bool empty() const { return begin_ == end_; }

  [[nodiscard]] std::span<const uint8_t> front() const { return {memory_.get() + begin_, size()}; }

  void append(std::span<const uint8_t> bytes) {
    if (bytes.empty()) return;
    std::memcpy(grow(bytes.size()), bytes.data(), bytes.size());
    end_ += bytes.size();
  }

  // Count bytes before the front are to be free for the caller: only while empty, and not for sure.
  void leave_headroom(size_t count) {
    CHECK_INVARIANT(empty());
    if (capacity_ > count) begin_ = end_ = count;
  }

  // The count bytes before the front, to write what belongs before it; nullptr if they are not
  // free.
  [[nodiscard]] uint8_t* headroom(size_t count) {
    return begin_ >= count ? memory_.get() + begin_ - count : nullptr;
  }

  // Room for count bytes at the back; they become content with commit().
  [[nodiscard]] uint8_t* grow(size_t count) {
    if (capacity_ - end_ < count) make_room(count);
    return memory_.get() + end_;
  }

  void commit(size_t count) { end_ += count; }

  // Never moves what remains.
  void consume(size_t count) {
    CHECK_INVARIANT(count <= size());
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  void clear() { begin_ = end_ = 0; }

  // Gives the memory back when the queue is empty and holds more than the limit, so that one burst
  // does not stay for ever.
  void shrink(size_t keep) {
    if (empty() && capacity_ > keep) {
      memory_.reset();
      capacity_ = 0;
    }
  }

 private:
  static constexpr size_t kCapacityMin = 256;

  void make_room(size_t count) {
    const size_t content = size();
    if (begin_ > 0 && begin_ >= content && capacity_ - content >= count) {
      std::memmove(memory_.get(), memory_.get() + begin_, content);
    } else {
      size_t capacity = capacity_ < kCapacityMin ? kCapacityMin : capacity_;
      while (capacity - content < count)
        capacity *= 2;
      auto larger = std::make_unique_for_overwrite<uint8_t[]>(capacity);
      if (content > 0) std::memcpy(larger.get(), memory_.get() + begin_, content);
      memory_ = std::move(larger);
      capacity_ = capacity;
    }
    begin_ = 0;
    end_ = content;
  }

  std::unique_ptr<uint8_t[]> memory_;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace ptth
