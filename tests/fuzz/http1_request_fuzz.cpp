// A request as raw bytes: read alike however it is cut, and what is accepted reads the same again
// when we have written it.

#include "common/authority.h"
#include "common/http1_request_parser.h"
#include "tests/fuzz/http1_properties.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

using ptth::BodyKind;
using ptth::ByteQueue;
using ptth::Http1RequestParser;
using ptth::RequestHead;
using ptth::Scheme;

namespace test = ptth::test;

namespace {

void check_written_again(const test::RequestTranscript& parsed) {
  const auto& before = parsed.heads.at(0);
  RequestHead head;
  head.method = before.method;
  head.authority = before.authority;
  head.path = before.path;
  head.fields = test::list_of(before.fields);
  head.body = before.body;
  head.content_length = before.content_length;
  ByteQueue out;
  CHECK_INVARIANT(write_request_head(head, {}, out).ok());
  test::write_body(head.body, parsed, out);
  const std::string_view text = test::text_of(out.front());

  Http1RequestParser parser(*ptth::parse_scheme(before.scheme));
  const auto again = test::transcribe(parser, {text, {}}, test::StreamEnd::kOpen);
  CHECK_INVARIANT(again.ended && again.bytes_taken == text.size() && again.keep_alive_possible);
  const auto& after = again.heads.at(0);
  CHECK_INVARIANT(after.method == before.method && after.scheme == before.scheme);
  CHECK_INVARIANT(after.authority == before.authority && after.path == before.path);
  CHECK_INVARIANT(after.content_length == before.content_length);
  // "Content-Length: 0" is added where a body is expected.
  CHECK_INVARIANT(after.body == before.body || before.body == BodyKind::kNone);
  CHECK_INVARIANT(test::without_length(after.fields) == test::without_length(before.fields));
  CHECK_INVARIANT(again.body == parsed.body && again.trailers == parsed.trailers);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = test::text_of({data, size});
  Http1RequestParser parser(Scheme::kHttps);
  const auto whole = test::transcribe(parser, {text, {}});
  CHECK_INVARIANT(test::transcribe(parser, test::cut_everywhere(text)) == whole);
  CHECK_INVARIANT(test::transcribe(parser, test::cut_somewhere(text)) == whole);
  CHECK_INVARIANT((whole.status == 0) == (whole.fault == ptth::Http1Fault::kNone));
  for (const auto& head : whole.heads) {
    CHECK_INVARIANT(ptth::is_token(head.method) && head.method != "CONNECT");
    CHECK_INVARIANT(ptth::is_request_path(head.path, head.method));
    CHECK_INVARIANT(head.authority.empty() || ptth::parse_authority(head.authority).ok());
    test::check_pairs(head.fields);
    for (const auto& [name, value] : head.fields)
      CHECK_INVARIANT(name != "host");
  }
  test::check_trailers(whole.trailers);
  if (whole.ended && !whole.heads.empty()) check_written_again(whole);
  return 0;
}
