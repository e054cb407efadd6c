// The answer of an origin, as raw bytes: read alike however it is cut, and what is accepted reads
// the same again when we have written it.

#include "common/http1_response_parser.h"
#include "tests/fuzz/http1_properties.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

using ptth::BodyKind;
using ptth::ByteQueue;
using ptth::Http1ResponseOptions;
using ptth::Http1ResponseParser;
using ptth::ResponseHead;
using Request = Http1ResponseParser::Request;

namespace test = ptth::test;

namespace {

void check_written_again(const test::ResponseTranscript& parsed, Request request) {
  const auto& before = parsed.heads.at(0);
  ResponseHead head;
  head.status = before.status;
  head.fields = test::list_of(before.fields);
  head.body = before.body;
  head.content_length = before.content_length;
  Http1ResponseOptions options;
  options.head_request = request == Request::kHead;
  ByteQueue out;
  CHECK_INVARIANT(write_response_head(head, options, out).ok());
  test::write_body(head.body, parsed, out);
  const std::string_view text = test::text_of(out.front());

  Http1ResponseParser parser;
  const auto again = test::transcribe(parser, request, {text, {}}, test::StreamEnd::kOpen);
  CHECK_INVARIANT(again.ended && again.bytes_taken == text.size() && again.keep_alive_possible);
  const auto& after = again.heads.at(0);
  CHECK_INVARIANT(after.status == before.status);
  CHECK_INVARIANT(after.body == before.body && after.content_length == before.content_length);
  CHECK_INVARIANT(test::without_length(after.fields) == test::without_length(before.fields));
  CHECK_INVARIANT(again.body == parsed.body && again.trailers == parsed.trailers);
}

void run(std::string_view text, Request request) {
  Http1ResponseParser parser;
  const auto whole = test::transcribe(parser, request, {text, {}});
  CHECK_INVARIANT(test::transcribe(parser, request, test::cut_everywhere(text)) == whole);
  CHECK_INVARIANT(test::transcribe(parser, request, test::cut_somewhere(text)) == whole);
  CHECK_INVARIANT(whole.ended == (whole.fault == ptth::Http1Fault::kNone));
  for (const auto& head : whole.interim) {
    CHECK_INVARIANT(head.status >= 100 && head.status < 200 && head.body == BodyKind::kNone);
    test::check_pairs(head.fields);
  }
  for (const auto& head : whole.heads) {
    CHECK_INVARIANT(head.status >= 200 && head.status < 600);
    CHECK_INVARIANT(request != Request::kHead || head.body == BodyKind::kNone);
    CHECK_INVARIANT(head.body != BodyKind::kNone || whole.body.empty());
    test::check_pairs(head.fields);
  }
  test::check_trailers(whole.trailers);
  if (whole.ended) check_written_again(whole, request);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = test::text_of({data, size});
  run(text, Request::kOther);
  run(text, Request::kHead);
  return 0;
}
