#pragma once

// Runs an HTTP/1.1 parser over text in pieces and writes down what it said, so that tests, fuzz
// targets and the differential tool can compare runs.

#include "common/http1_request_parser.h"
#include "common/http1_response_parser.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptth::test {

using FieldPairs = std::vector<std::pair<std::string, std::string>>;

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline FieldPairs pairs_of(const FieldList& fields) {
  FieldPairs pairs;
  for (const Field field : fields)
    pairs.emplace_back(std::string(field.name), std::string(field.value));
  return pairs;
}

struct MessageTranscript {
  std::string body;
  FieldPairs trailers;
  bool ended = false;
  bool keep_alive_possible = false;
  Http1Fault fault = Http1Fault::kNone;
  size_t bytes_taken = 0;  // Of the text, if the message ended.

  bool operator==(const MessageTranscript&) const = default;
};

struct ResponseTranscript : MessageTranscript {
  struct Head {
    int status = 0;
    FieldPairs fields;
    BodyKind body = BodyKind::kNone;
    uint64_t content_length = 0;

    bool operator==(const Head&) const = default;
  };

  std::vector<Head> interim;
  std::vector<Head> heads;  // One, if it came so far.

  bool operator==(const ResponseTranscript&) const = default;
};

struct RequestTranscript : MessageTranscript {
  struct Head {
    std::string method;
    std::string scheme;
    std::string authority;
    std::string path;
    FieldPairs fields;
    BodyKind body = BodyKind::kNone;
    uint64_t content_length = 0;
    bool expects_continue = false;

    bool operator==(const Head&) const = default;
  };

  std::vector<Head> heads;  // One, if it came so far.
  int status = 0;           // To answer with, if it failed.

  bool operator==(const RequestTranscript&) const = default;
};

// One text and how it is handed over.
struct Pieces {
  std::string_view text;
  // Positions at which the text is cut, ascending.
  std::vector<size_t> cuts;
};

inline Pieces cut_in_two(std::string_view text, size_t at) {
  return {text, {at}};
}

inline Pieces cut_everywhere(std::string_view text) {
  Pieces pieces{text, {}};
  for (size_t at = 1; at < text.size(); ++at)
    pieces.cuts.push_back(at);
  return pieces;
}

inline ResponseTranscript::Head transcript_of(const ResponseHead& head) {
  return {head.status, pairs_of(head.fields), head.body, head.content_length};
}

inline RequestTranscript::Head transcript_of(const RequestHead& head) {
  return {head.method,           head.scheme, head.authority,      head.path,
          pairs_of(head.fields), head.body,   head.content_length, false};
}

inline void take_head(const Http1ResponseParser& parser, Http1Event event,
                      ResponseTranscript& out) {
  (event == Http1Event::kInterimHead ? out.interim : out.heads)
      .push_back(transcript_of(parser.head()));
}

inline void take_head(const Http1RequestParser& parser, Http1Event event, RequestTranscript& out) {
  CHECK_INVARIANT(event == Http1Event::kHead);
  out.heads.push_back(transcript_of(parser.head()));
  out.heads.back().expects_continue = parser.expects_continue();
}

// False when the parser wants no more.
template <class Parser, class Transcript>
bool transcribe_piece(Parser& parser, Bytes& input, Transcript& out) {
  while (true) {
    const Http1Event event = parser.next(input);
    switch (event) {
      case Http1Event::kNeedMore:
        CHECK_INVARIANT(input.empty());
        return true;
      case Http1Event::kInterimHead:
      case Http1Event::kHead:
        take_head(parser, event, out);
        break;
      case Http1Event::kBody:
        CHECK_INVARIANT(!parser.body().empty());
        out.body.append(text_of(parser.body()));
        break;
      case Http1Event::kEnd:
      case Http1Event::kFailed:
        return false;
    }
  }
}

enum class StreamEnd { kOpen, kClosed };

// The parser has been started.
template <class Parser, class Transcript>
void transcribe_into(Parser& parser, const Pieces& pieces, StreamEnd stream_end, Transcript& out) {
  size_t from = 0;
  bool wants_more = true;
  std::vector<size_t> ends = pieces.cuts;
  ends.push_back(pieces.text.size());
  for (const size_t end : ends) {
    // Memory of its own, so that a view kept too long is found by ASan.
    const std::vector<uint8_t> piece(pieces.text.begin() + static_cast<ptrdiff_t>(from),
                                     pieces.text.begin() + static_cast<ptrdiff_t>(end));
    Bytes input = piece;
    wants_more = transcribe_piece(parser, input, out);
    out.bytes_taken += piece.size() - input.size();
    from = end;
    if (!wants_more) break;
  }
  Http1Event last = Http1Event::kNeedMore;
  Bytes nothing;
  if (!wants_more) last = parser.next(nothing);
  if (wants_more && stream_end == StreamEnd::kClosed) last = parser.finish();
  out.ended = last == Http1Event::kEnd;
  if (out.ended) out.trailers = pairs_of(parser.trailers());
  if (!out.ended) out.bytes_taken = 0;
  if (last == Http1Event::kFailed) out.fault = parser.fault();
  out.keep_alive_possible = parser.keep_alive_possible();
}

inline ResponseTranscript transcribe(Http1ResponseParser& parser,
                                     Http1ResponseParser::Request request, const Pieces& pieces,
                                     StreamEnd stream_end = StreamEnd::kClosed) {
  ResponseTranscript out;
  parser.start(request);
  transcribe_into(parser, pieces, stream_end, out);
  return out;
}

inline RequestTranscript transcribe(Http1RequestParser& parser, const Pieces& pieces,
                                    StreamEnd stream_end = StreamEnd::kClosed) {
  RequestTranscript out;
  parser.start();
  transcribe_into(parser, pieces, stream_end, out);
  if (out.fault != Http1Fault::kNone) out.status = parser.status();
  return out;
}

}  // namespace ptth::test
