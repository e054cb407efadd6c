#pragma once

// Operating errors are values. An Error is made where the fault happens, passed on unchanged,
// logged once by whoever ends its journey, and mapped to a status, a reset code or an exit code in
// exactly one place (agent/relay/verdict.h for exchanges, agent/link/link.h for links).

#include "common/check.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace ptth {

enum class ErrorKind {
  kResolve,        // The name has no usable address.
  kUnreachable,    // No connection could be made (refused, no route).
  kTimeout,        // A deadline passed.
  kClosed,         // The other side closed or reset an established connection.
  kProtocol,       // The other side broke the rules of its protocol.
  kAbuse,          // It did more of what the rules allow than a budget of ours does.
  kCertificate,    // Its certificate could not be verified, or TLS failed.
  kRefused,        // The other side refused our credentials.
  kUnavailable,    // The other side answers that it cannot serve us now.
  kOverload,       // A limit of ours is reached; nothing was sent to the origin.
  kDraining,       // We are leaving; nothing was sent to the origin.
  kTooLarge,       // A message or a part of it is over its limit.
  kBadRequest,     // The request breaks a rule that we enforce.
  kNotAllowed,     // The method is one that we do not relay.
  kMisdirected,    // The authority is not one that this agent serves.
  kLoop,           // The request has passed this agent before.
  kCancelled,      // The side that asked has gone away.
  kConfiguration,  // A setting is wrong.
  kInternal,       // Our own fault, or a resource of this host has run out.
};

enum class Side { kGateway, kOrigin, kLocal };

struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  Side side = Side::kLocal;
  std::string detail;      // For people: what, where, how to mend it. Never a secret.
  bool retryable = false;  // Nothing has reached the side that would have done the work.
  // What the other side asked us to wait before the next attempt, unbounded; 0: nothing.
  std::chrono::milliseconds retry_after{0};
};

[[nodiscard]] std::string_view to_string(ErrorKind kind);
[[nodiscard]] std::string_view to_string(Side side);

// Either a T or an Error.
template <class T>
class [[nodiscard]] Result {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): `return value;` is what it is for.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}

  // NOLINTNEXTLINE(google-explicit-constructor): so is `return error;`.
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool ok() const { return state_.index() == 0; }

  explicit operator bool() const { return ok(); }

  [[nodiscard]] T& value() & {
    CHECK_INVARIANT(ok());
    return *std::get_if<0>(&state_);
  }

  [[nodiscard]] const T& value() const& {
    CHECK_INVARIANT(ok());
    return *std::get_if<0>(&state_);
  }

  [[nodiscard]] T&& value() && {
    CHECK_INVARIANT(ok());
    return std::move(*std::get_if<0>(&state_));
  }

  [[nodiscard]] const Error& error() const {
    CHECK_INVARIANT(!ok());
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;

  Result(Error error) : error_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return !error_.has_value(); }

  explicit operator bool() const { return ok(); }

  [[nodiscard]] const Error& error() const {
    CHECK_INVARIANT(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace ptth
