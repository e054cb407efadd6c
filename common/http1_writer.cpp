#include "common/http1_writer.h"

#include "common/http_rules.h"

#include <array>
#include <charconv>
#include <cstring>

namespace ptth {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kChunkedLine = "transfer-encoding: chunked\r\n";
constexpr std::string_view kCloseLine = "connection: close\r\n";
constexpr std::string_view kUpgradeOption = "connection: upgrade\r\n";
constexpr std::string_view kTrailersLines = "te: trailers\r\nconnection: te\r\n";
constexpr std::string_view kLengthName = "content-length: ";
// Room for all that does not grow with the message: version, the lines above, a number.
constexpr size_t kFixedBytesMax = 256;
constexpr size_t kFieldExtraBytes = 4;  // ": " and CRLF.

size_t field_bytes(const FieldList& fields) {
  // list_size counts 32 bytes more per field than names and values.
  return fields.list_size() - 32 * fields.size() + kFieldExtraBytes * fields.size();
}

// Writes into memory that is known to suffice.
class Cursor {
 public:
  explicit Cursor(uint8_t* memory) : begin_(memory), at_(memory) {}

  void put(std::string_view text) {
    if (text.empty()) return;  // memcpy takes no null, even for nothing.
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  void put_number(uint64_t number, int base) {
    char* const text = reinterpret_cast<char*>(at_);
    at_ = reinterpret_cast<uint8_t*>(std::to_chars(text, text + 20, number, base).ptr);
  }

  void put_field(std::string_view name, std::string_view value) {
    put(name);
    put(": ");
    put(value);
    put(kLineEnd);
  }

  void put_length(uint64_t length) {
    put(kLengthName);
    put_number(length, 10);
    put(kLineEnd);
  }

  [[nodiscard]] size_t size() const { return static_cast<size_t>(at_ - begin_); }

 private:
  uint8_t* begin_;
  uint8_t* at_;
};

bool is_writable(const Field& field) {
  return is_token(field.name) && is_field_value(field.value);
}

Error refusal(std::string_view what) {
  return {ErrorKind::kInternal, Side::kLocal,
          "HTTP/1.1 head not written: " + std::string(what) + " has a forbidden byte", false};
}

bool brings_content(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

bool body_is_impossible(int status) {
  return status < 200 || status == 204 || status == 304;
}

std::string_view reason_phrase(int status) {
  struct Reason {
    int status;
    std::string_view phrase;
  };

  static constexpr std::array kReasons{
      Reason{100, "Continue"},
      Reason{103, "Early Hints"},
      Reason{200, "OK"},
      Reason{201, "Created"},
      Reason{204, "No Content"},
      Reason{301, "Moved Permanently"},
      Reason{302, "Found"},
      Reason{304, "Not Modified"},
      Reason{400, "Bad Request"},
      Reason{401, "Unauthorized"},
      Reason{403, "Forbidden"},
      Reason{404, "Not Found"},
      Reason{405, "Method Not Allowed"},
      Reason{413, "Content Too Large"},
      Reason{415, "Unsupported Media Type"},
      Reason{417, "Expectation Failed"},
      Reason{421, "Misdirected Request"},
      Reason{431, "Request Header Fields Too Large"},
      Reason{500, "Internal Server Error"},
      Reason{501, "Not Implemented"},
      Reason{502, "Bad Gateway"},
      Reason{503, "Service Unavailable"},
      Reason{504, "Gateway Timeout"},
      Reason{505, "HTTP Version Not Supported"},
  };
  for (const Reason& reason : kReasons) {
    if (reason.status == status) return reason.phrase;
  }
  return {};
}

void put_response_framing(const ResponseHead& head, const Http1ResponseOptions& options,
                          Cursor& cursor) {
  bool close = options.connection == Http1Connection::kClose && head.status >= 200;
  switch (head.body) {
    case BodyKind::kNone:
      if (!options.head_request && !body_is_impossible(head.status)) cursor.put_length(0);
      break;
    case BodyKind::kLength:
      if (head.status >= 200 && head.status != 204) cursor.put_length(head.content_length);
      break;
    case BodyKind::kUnknown:
      if (body_is_impossible(head.status)) break;
      close = close || options.http_1_0;
      if (!options.http_1_0) cursor.put(kChunkedLine);
      break;
  }
  if (close) cursor.put(kCloseLine);
}

}  // namespace

Result<void> write_request_head(const RequestHead& head, const Http1RequestOptions& options,
                                ByteQueue& out) {
  const std::string_view host = options.host.empty() ? head.authority : options.host;
  if (!is_token(head.method)) return refusal("the method");
  if (!is_request_path(head.path, head.method)) return refusal("the path");
  if (!is_field_value(host)) return refusal("the authority");
  if (!is_field_value(options.upgrade)) return refusal("the protocol to change to");

  Cursor cursor(out.grow(head.method.size() + head.path.size() + host.size() +
                         options.upgrade.size() + field_bytes(head.fields) + kFixedBytesMax));
  cursor.put(head.method);
  cursor.put(" ");
  cursor.put(head.path);
  cursor.put(" HTTP/1.1\r\nhost: ");
  cursor.put(host);
  cursor.put(kLineEnd);
  if (!options.upgrade.empty()) {
    cursor.put(kUpgradeOption);
    cursor.put_field("upgrade", options.upgrade);
  }
  bool wants_trailers = false;
  for (const Field field : head.fields) {
    const FieldRules& rules = field_rules(field.name);
    if (rules.id == FieldId::kTe) wants_trailers = equals_ignoring_case(field.value, "trailers");
    if (rules.hop_by_hop || rules.framing_lookalike || rules.id == FieldId::kHost ||
        rules.id == FieldId::kContentLength) {
      continue;
    }
    if (!is_writable(field)) return refusal("a field");
    cursor.put_field(field.name, field.value);
  }
  if (wants_trailers) cursor.put(kTrailersLines);
  switch (head.body) {
    case BodyKind::kNone:
      if (brings_content(head.method)) cursor.put_length(0);
      break;
    case BodyKind::kLength:
      cursor.put_length(head.content_length);
      break;
    case BodyKind::kUnknown:
      cursor.put(kChunkedLine);
      break;
  }
  cursor.put(kLineEnd);
  out.commit(cursor.size());
  return {};
}

Result<void> write_response_head(const ResponseHead& head, const Http1ResponseOptions& options,
                                 ByteQueue& out) {
  if (head.status < 100 || head.status > 999) return refusal("the status");
  if (!is_field_value(options.via)) return refusal("the entry of Via");
  // Only there the field tells of a body that is not sent, and no framing of ours can replace it.
  const bool keep_length =
      head.body == BodyKind::kNone && (options.head_request || head.status == 304);

  Cursor cursor(out.grow(field_bytes(head.fields) + options.via.size() + kFixedBytesMax));
  cursor.put("HTTP/1.1 ");
  cursor.put_number(static_cast<uint64_t>(head.status), 10);
  cursor.put(" ");
  cursor.put(reason_phrase(head.status));
  cursor.put(kLineEnd);
  for (const Field field : head.fields) {
    const FieldRules& rules = field_rules(field.name);
    if (rules.hop_by_hop || rules.framing_lookalike ||
        (rules.id == FieldId::kContentLength && !keep_length)) {
      continue;
    }
    if (!is_writable(field)) return refusal("a field");
    cursor.put_field(field.name, field.value);
  }
  if (!options.via.empty()) cursor.put_field("via", options.via);
  put_response_framing(head, options, cursor);
  cursor.put(kLineEnd);
  out.commit(cursor.size());
  return {};
}

void write_chunk_begin(uint64_t count, ByteQueue& out) {
  CHECK_INVARIANT(count > 0);
  Cursor cursor(out.grow(32));
  cursor.put_number(count, 16);
  cursor.put(kLineEnd);
  out.commit(cursor.size());
}

void write_chunk_end(ByteQueue& out) {
  Cursor cursor(out.grow(kLineEnd.size()));
  cursor.put(kLineEnd);
  out.commit(cursor.size());
}

void write_last_chunk(const FieldList& trailers, ByteQueue& out) {
  Cursor cursor(out.grow(field_bytes(trailers) + 8));
  cursor.put("0\r\n");
  for (const Field field : trailers) {
    if (field_rules(field.name).forbidden_in_trailers || !is_writable(field)) continue;
    cursor.put_field(field.name, field.value);
  }
  cursor.put(kLineEnd);
  out.commit(cursor.size());
}

}  // namespace ptth
