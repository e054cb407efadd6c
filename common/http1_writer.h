#pragma once

// Writes HTTP/1.1 heads and chunk framing (RFC 9112), appended to a queue of bytes in one pass. The
// last guard against smuggling: it writes the one framing field itself, whatever the fields say,
// and refuses anything that could end a line.

#include "common/byte_queue.h"
#include "common/error.h"
#include "common/http_message.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ptth {

struct Http1RequestOptions {
  // The value of Host; empty: the head's authority. When both are empty, "Host:" is sent empty.
  std::string_view host;
  // The protocols to change to, as Upgrade lists them; it then comes with its Connection option.
  std::string_view upgrade = {};
};

// Host first, then fields in their order, then framing: Content-Length for kLength, and also for
// kNone with methods that are expected to bring content; "Transfer-Encoding: chunked" for kUnknown.
// Left out: Host and framing fields of head.fields, and hop-by-hop fields; but "te: trailers" is
// passed on, with its Connection option. Nothing is written when the head is refused (kInternal if
// it came this far: whoever made the head should have checked).
[[nodiscard]] Result<void> write_request_head(const RequestHead& head,
                                              const Http1RequestOptions& options, ByteQueue& out);

enum class Http1Connection { kKeepAlive, kClose };

struct Http1ResponseOptions {
  Http1Connection connection = Http1Connection::kKeepAlive;
  // Of the request: HTTP/1.0 knows no chunks, so that a body of unknown length ends with the
  // connection, which "Connection: close" announces.
  bool http_1_0 = false;
  // The request was HEAD: the same fields, but no body follows.
  bool head_request = false;
  // One more entry of Via, behind those of the head; empty: none.
  std::string_view via = {};
};

// Writes a status line without reason but for the common ones. kNone is written as "Content-Length:
// 0" where a body could have been; content-length in head.fields is kept for answers to HEAD and
// for 304, whose body is kNone.
[[nodiscard]] Result<void> write_response_head(const ResponseHead& head,
                                               const Http1ResponseOptions& options, ByteQueue& out);

// A chunk is begin + its bytes + end. count is not 0: that would be the last chunk.
void write_chunk_begin(uint64_t count, ByteQueue& out);
void write_chunk_end(ByteQueue& out);
// The last chunk and the trailers, without those that are forbidden (RFC 9110 section 6.5.1) or
// could end a line.
void write_last_chunk(const FieldList& trailers, ByteQueue& out);

}  // namespace ptth
