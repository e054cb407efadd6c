#pragma once

// Reads the field lines of one HTTP/1.1 head or trailer section into a FieldList (RFC 9112 section
// 5), and notes what they say about framing and the connection (section 6). Shared by both parsers
// and by the chunked decoder.

#include "common/http1_fault.h"
#include "common/http_message.h"
#include "common/http_rules.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ptth {

// Parsers of HTTP/1.1 text take no more than this.
struct Http1Limits {
  size_t head_bytes = size_t{64} * 1024;  // Start line and fields; trailers have it once more.
  size_t fields = 256;
  size_t chunk_extension_bytes = 4096;  // Of all chunks of one message together.
};

enum class Http1Section : uint8_t {
  kRequestHead,
  kResponseHead,
  kResponseHeadWithoutLength,  // 1xx and 204 may not carry Content-Length: it is left out.
  kTrailers,
};

class Http1FieldReader {
 public:
  void start(Http1Section section, size_t fields_max);

  // One line without its CRLF, not empty. In a head, fields that are for this connection only are
  // noted and left out of the list, as are the Host of a request and the lookalikes of framing
  // fields; in trailers, those that RFC 9110 section 6.5.1 forbids are left out.
  [[nodiscard]] Http1Fault add_line(std::string_view line, FieldList& fields);

  // Call at the end of a head: takes out the fields that Connection nominated.
  void remove_nominated(FieldList& fields) const;

  // What a head said. remove_nominated does not touch these.
  [[nodiscard]] std::optional<uint64_t> content_length() const { return content_length_; }

  // "Transfer-Encoding: chunked"; other codings are faults.
  [[nodiscard]] bool chunked() const { return chunked_; }

  [[nodiscard]] const ConnectionOptions& connection() const { return connection_; }

  // The Upgrade fields as one list. Empty unless Connection has that option too (RFC 9110 section
  // 7.8).
  [[nodiscard]] std::string_view upgrade() const {
    return connection_.upgrade() ? std::string_view(upgrade_) : std::string_view();
  }

  // Occurrences of Host, and the value of the last.
  [[nodiscard]] size_t host_count() const { return host_count_; }

  [[nodiscard]] const std::string& host() const { return host_; }

  // "Expect: 100-continue"; that others were there is told by unknown_expectation().
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }

  [[nodiscard]] bool unknown_expectation() const { return unknown_expectation_; }

  // TE has the member "trailers" (RFC 9110 section 10.1.4).
  [[nodiscard]] bool accepts_trailers() const { return accepts_trailers_; }

 private:
  [[nodiscard]] bool belongs_to_list(const FieldRules& rules) const;
  [[nodiscard]] Http1Fault note(FieldId id, std::string_view value);
  void note_te(std::string_view value);

  Http1Section section_ = Http1Section::kRequestHead;
  size_t fields_left_ = 0;
  std::string name_;  // Room for a name in lower case; reused.
  std::string host_;
  std::string upgrade_;
  ConnectionOptions connection_;
  std::optional<uint64_t> content_length_;
  size_t host_count_ = 0;
  bool chunked_ = false;
  bool expects_continue_ = false;
  bool unknown_expectation_ = false;
  bool accepts_trailers_ = false;
};

}  // namespace ptth
