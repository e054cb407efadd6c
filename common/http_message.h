#pragma once

// HTTP messages as values, independent of the version that carried them (RFC 9110).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

struct Field {
  std::string_view name;
  std::string_view value;
};

// Header or trailer fields in their order, repeated names kept apart. All bytes are in one piece of
// memory: views are valid until the next add() or clear(). Names are stored as given; who fills the
// list gives them in lower case.
class FieldList {
 public:
  class Iterator {
   public:
    Iterator(const FieldList& list, size_t index) : list_(&list), index_(index) {}

    Field operator*() const { return (*list_)[index_]; }

    Iterator& operator++() {
      ++index_;
      return *this;
    }

    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    const FieldList* list_;
    size_t index_;
  };

  void add(std::string_view name, std::string_view value) {
    entries_.push_back({static_cast<uint32_t>(bytes_.size()), static_cast<uint32_t>(name.size()),
                        static_cast<uint32_t>(value.size())});
    bytes_.append(name).append(value);
  }

  void clear() {
    entries_.clear();
    bytes_.clear();
  }

  void reserve(size_t fields, size_t bytes) {
    entries_.reserve(fields);
    bytes_.reserve(bytes);
  }

  [[nodiscard]] size_t size() const { return entries_.size(); }

  [[nodiscard]] bool empty() const { return entries_.empty(); }

  // The size that RFC 9113 section 6.5.2 counts against MAX_HEADER_LIST_SIZE: names + values + 32
  // per field.
  [[nodiscard]] size_t list_size() const { return bytes_.size() + 32 * entries_.size(); }

  [[nodiscard]] Field operator[](size_t index) const {
    const Entry& entry = entries_[index];
    const std::string_view all = bytes_;
    return {all.substr(entry.offset, entry.name_size),
            all.substr(entry.offset + entry.name_size, entry.value_size)};
  }

  // The first field of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const {
    for (const Field field : *this) {
      if (field.name == name) return field.value;
    }
    return std::nullopt;
  }

  [[nodiscard]] Iterator begin() const { return {*this, 0}; }

  [[nodiscard]] Iterator end() const { return {*this, entries_.size()}; }

 private:
  struct Entry {
    uint32_t offset;
    uint32_t name_size;
    uint32_t value_size;
  };

  std::string bytes_;
  std::vector<Entry> entries_;
};

enum class BodyKind {
  kNone,     // There is no body.
  kLength,   // Of a length that is known: content_length.
  kUnknown,  // It ends when it ends.
};

struct RequestHead {
  std::string method;
  std::string scheme;
  std::string authority;  // May be empty: a gateway's health check has none.
  std::string path;       // Origin form ("/a?b"), or "*" for OPTIONS.
  FieldList fields;
  BodyKind body = BodyKind::kNone;
  uint64_t content_length = 0;
  // The gateway that sent it (for logs, fairness and quotas); a name from the configuration, never
  // from the wire.
  std::string_view gateway;
};

struct ResponseHead {
  int status = 0;
  FieldList fields;
  BodyKind body = BodyKind::kNone;
  uint64_t content_length = 0;
};

}  // namespace ptth
