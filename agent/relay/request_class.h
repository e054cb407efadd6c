#pragma once

// Classes of requests: which requests have a concurrency and a queue of their own, because they are
// heavy. A class is chosen by what a request says of itself, or by what its route has cost so far.

#include "agent/relay/codel.h"
#include "common/http_message.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ptth {

struct QueueOptions {
  uint32_t length_max = 100;                    // 0: nothing waits.
  Milliseconds age_max{2'000};                  // Who has waited so long is refused.
  size_t bytes_max = size_t{16} * 1024 * 1024;  // Of the bodies of what waits.
  CoDelOptions codel;

  [[nodiscard]] bool operator==(const QueueOptions&) const = default;
};

// What a class asks for; all of it must hold. In patterns * stands for any text.
struct ClassMatch {
  struct FieldPattern {
    std::string name;  // In lower case.
    std::string value;

    [[nodiscard]] bool operator==(const FieldPattern&) const = default;
  };

  std::vector<std::string> paths;    // One of them, without the query; empty: any.
  std::vector<std::string> methods;  // One of them; empty: any.
  std::vector<FieldPattern> fields;
  uint64_t body_size_min = 0;   // As declared by content-length.
  Milliseconds latency_min{0};  // Learned: the route's usual time to the first byte. 0: not asked.

  [[nodiscard]] bool operator==(const ClassMatch&) const = default;
};

struct RequestClass {
  std::string name;
  ClassMatch match;
  uint32_t concurrency = 1;  // Exchanges that the origin may have of it.
  QueueOptions queue;

  [[nodiscard]] bool operator==(const RequestClass&) const = default;
};

[[nodiscard]] bool matches_pattern(std::string_view pattern, std::string_view text);

// How long the routes of the application take, each by itself. A route is a method and the first
// two segments of a path. So many are known at most; then the one not seen for longest is
// forgotten.
class RouteLatencies {
 public:
  explicit RouteLatencies(size_t routes_max) : routes_max_(routes_max) {}

  void add(const RequestHead& head, uint64_t latency_us);
  // Smoothed; 0: not known, or not often enough.
  [[nodiscard]] uint64_t latency_us(const RequestHead& head) const;

  [[nodiscard]] size_t size() const { return routes_.size(); }

 private:
  struct Route {
    double latency_us = 0;
    uint32_t samples = 0;
    uint64_t last_used = 0;
  };

  void forget_one();

  size_t routes_max_;
  uint64_t uses_ = 0;
  std::unordered_map<size_t, Route> routes_;  // By hash: two routes that share one share a latency.
};

class RequestClasses {
 public:
  static constexpr size_t kNone = 0;  // The index of requests in no class.

  RequestClasses(std::vector<RequestClass> classes, size_t routes_max);

  [[nodiscard]] size_t size() const { return classes_.size(); }

  // index: 1 to size().
  [[nodiscard]] const RequestClass& at(size_t index) const { return classes_[index - 1]; }

  // The first class that matches, or kNone.
  [[nodiscard]] size_t class_of(const RequestHead& head) const;

  // Some class goes by latency.
  [[nodiscard]] bool learns() const { return learns_; }

  void add_latency(const RequestHead& head, uint64_t latency_us) { routes_.add(head, latency_us); }

 private:
  [[nodiscard]] bool matches(const ClassMatch& match, const RequestHead& head) const;

  std::vector<RequestClass> classes_;
  bool learns_ = false;
  RouteLatencies routes_;
};

}  // namespace ptth
