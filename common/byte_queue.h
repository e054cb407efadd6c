#pragma once

// A first-in first-out queue of bytes that keeps its memory: append at the back, look at and
// consume from the front. Moves bytes only when the free space in front outgrows the content. For
// buffers between a reader and a writer of one thread.

#include "common/check.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace ptth {

class ByteQueue {
 public:
  [[nodiscard]] size_t size() const { return end_ - begin_; }

  [[nodiscard]] bool empty() const { return begin_ == end_; }

  [[nodiscard]] std::span<const uint8_t> front() const { return {memory_.data() + begin_, size()}; }

  void append(std::span<const uint8_t> bytes) {
    if (bytes.empty()) return;
    std::memcpy(grow(bytes.size()), bytes.data(), bytes.size());
    end_ += bytes.size();
  }

  // Room for count bytes at the back; they become content with commit().
  [[nodiscard]] uint8_t* grow(size_t count) {
    if (memory_.size() - end_ < count) make_room(count);
    return memory_.data() + end_;
  }

  void commit(size_t count) { end_ += count; }

  void consume(size_t count) {
    CHECK_INVARIANT(count <= size());
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  void clear() { begin_ = end_ = 0; }

  // Gives memory above the limit back when the queue is empty, so that one burst does not stay for
  // ever.
  void shrink(size_t keep) {
    if (empty() && memory_.size() > keep) {
      memory_.resize(keep);
      memory_.shrink_to_fit();
      begin_ = end_ = 0;
    }
  }

 private:
  void make_room(size_t count) {
    const size_t content = size();
    if (begin_ > 0 && begin_ >= content && memory_.size() - content >= count) {
      std::memmove(memory_.data(), memory_.data() + begin_, content);
    } else {
      size_t capacity = memory_.size() < 256 ? 256 : memory_.size();
      while (capacity - content < count)
        capacity *= 2;
      std::vector<uint8_t> larger(capacity);
      if (content > 0) std::memcpy(larger.data(), memory_.data() + begin_, content);
      memory_.swap(larger);
    }
    begin_ = 0;
    end_ = content;
  }

  std::vector<uint8_t> memory_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace ptth
