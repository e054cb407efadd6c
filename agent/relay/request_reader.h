#pragma once

// Collects the fields of one HTTP/2 request and makes a RequestHead of them that is safe to write
// as HTTP/1.1 (RFC 9113 section 8; security.md, "Requests: HTTP/2 to HTTP/1.1"). All rules of HTTP
// messages are kept here: nghttp2's own checks are off, because they refuse what HAProxy's health
// checks look like (neither authority nor host).

#include "common/error.h"
#include "common/http_message.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace ptth {

// What to do with the fields that say where a request came from.
enum class ForwardedPolicy {
  kTrust,    // Passed on as the gateway sent them.
  kReplace,  // Dropped, and x-forwarded-proto and x-forwarded-host set from the request itself.
  kStrip,    // Dropped.
};

struct RequestRules {
  uint32_t header_list_bytes = 64 * 1024;  // The session sets these two from its own limits.
  uint32_t header_fields = 128;
  ForwardedPolicy forwarded = ForwardedPolicy::kTrust;
  bool allow_trace = false;
  bool drop_underscore_names = false;
  // Names this agent in Via and CDN-Loop; a request that carries it has been here before.
  std::string worker_id = "ptth-agent";
  std::string via_entry = "2.0 ptth-agent";  // The session makes it of worker_id.

  [[nodiscard]] bool operator==(const RequestRules&) const = default;
};

class RequestReader {
 public:
  explicit RequestReader(const RequestRules& rules) : rules_(rules) {
    head_.fields.reserve(kUsualFields, kUsualBytes);
  }

  // Bytes are copied. Beyond the limits nothing more is kept.
  void add(std::string_view name, std::string_view value);

  [[nodiscard]] bool over_limit() const { return over_limit_; }

  // What is malformed (RFC 9113 section 8.1.1: a stream error); nullptr: nothing so far.
  [[nodiscard]] const char* malformed() const { return malformed_; }

  // The same for a trailer section.
  void begin_trailers();

  [[nodiscard]] const FieldList& trailers() const { return trailers_; }

  // After the last field of the head: malformed() if a pseudo field is missing.
  void end_head();

  enum class Ending { kEndOfRequest, kBodyFollows };

  // After the last field of the head. The reader's fields are moved out.
  [[nodiscard]] Result<RequestHead> take_head(Ending ending);
  // Who and what was asked for, as far as it was understood, for the log line of a refused request.
  [[nodiscard]] RequestHead description() const;

  [[nodiscard]] uint32_t fields_dropped() const { return fields_dropped_; }

 private:
  // Most requests need no second allocation for their fields.
  static constexpr size_t kUsualFields = 16;
  static constexpr size_t kUsualBytes = 512;

  void add_pseudo(std::string_view name, std::string_view value);
  void add_field(std::string_view name, std::string_view value);
  void add_trailer(std::string_view name, std::string_view value);
  [[nodiscard]] Result<void> check_target();
  [[nodiscard]] Result<void> settle_authority();
  [[nodiscard]] Result<void> settle_body(Ending ending);
  [[nodiscard]] bool has_passed_before() const;
  void add_to_list(std::string_view name, std::string& list, std::string_view item);
  void write_own_fields();

  const RequestRules& rules_;
  RequestHead head_;
  FieldList trailers_;
  std::string host_;
  std::string cookie_;
  std::string via_;
  std::string cdn_loop_;
  std::string content_length_;
  std::string protocol_;
  uint32_t hosts_ = 0;
  uint32_t content_lengths_ = 0;
  uint32_t fields_ = 0;
  size_t list_bytes_ = 0;
  uint32_t fields_dropped_ = 0;
  bool over_limit_ = false;
  const char* malformed_ = nullptr;
  unsigned pseudo_seen_ = 0;  // One bit for each name.
  bool regular_seen_ = false;
  bool in_trailers_ = false;
};

}  // namespace ptth
