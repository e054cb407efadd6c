#pragma once

// What must hold for whatever an HTTP/1.1 parser accepts, shared by the fuzz targets.

#include "common/check.h"
#include "common/http1_writer.h"
#include "common/http_rules.h"
#include "tests/support/http1_transcript.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ptth::test {

// Cuts that depend on nothing but the text, so that every input is a plain message.
inline Pieces cut_somewhere(std::string_view text) {
  uint64_t state = 0xcbf29ce484222325;  // FNV-1a.
  for (const char byte : text)
    state = (state ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  Pieces pieces{text, {}};
  for (size_t at = 0; at < text.size();) {
    state = state * 6364136223846793005 + 1442695040888963407;
    at += 1 + (state >> 33) % 40;
    if (at < text.size()) pieces.cuts.push_back(at);
  }
  return pieces;
}

inline void check_pairs(const FieldPairs& fields) {
  for (const auto& [name, value] : fields) {
    CHECK_INVARIANT(is_lower_case_token(name));
    CHECK_INVARIANT(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
    CHECK_INVARIANT(trim_whitespace(value) == value);
    CHECK_INVARIANT(!field_rules(name).hop_by_hop && !field_rules(name).framing_lookalike);
  }
}

inline void check_trailers(const FieldPairs& trailers) {
  check_pairs(trailers);
  for (const auto& [name, value] : trailers)
    CHECK_INVARIANT(!field_rules(name).forbidden_in_trailers);
}

inline FieldList list_of(const FieldPairs& pairs) {
  FieldList fields;
  for (const auto& [name, value] : pairs)
    fields.add(name, value);
  return fields;
}

// The writer frames anew; these are what it must not change.
inline FieldPairs without_length(FieldPairs fields) {
  std::erase_if(fields, [](const auto& field) { return field.first == "content-length"; });
  return fields;
}

inline void write_body(BodyKind kind, const MessageTranscript& message, ByteQueue& out) {
  if (kind == BodyKind::kLength) out.append(bytes_of(message.body));
  if (kind != BodyKind::kUnknown) return;
  if (!message.body.empty()) {
    write_chunk_begin(message.body.size(), out);
    out.append(bytes_of(message.body));
    write_chunk_end(out);
  }
  write_last_chunk(list_of(message.trailers), out);
}

}  // namespace ptth::test
