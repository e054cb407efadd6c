// What a gateway says to a hello, as raw bytes: judged alike however it is cut, never longer than
// its limits in what it makes us keep, and never yes to what was not offered.

#include "common/check.h"
#include "tests/fuzz/http1_properties.h"
#include "tests/support/hello_transcript.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using ptth::HelloAnswerReader;
using ptth::HelloOptions;
using ptth::HelloSpec;
using ptth::Secret;
using Outcome = HelloAnswerReader::Outcome;

namespace test = ptth::test;

namespace {

// As long as fuzzed bodies may repeat by chance what is no secret.
constexpr std::string_view kSecret = "Bearer 9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d";
constexpr size_t kDetailMax = 600;

HelloSpec make_spec() {
  HelloOptions options;
  options.channels = {"h2", "http/1.1"};
  options.statuses = {"101", "200"};
  options.redirect_hosts = {"gw2.example"};
  return test::hello_spec(options);
}

test::HelloTranscript judge(const HelloSpec& spec, const test::Pieces& pieces,
                            test::StreamEnd stream_end) {
  HelloAnswerReader reader(spec);
  std::vector<Secret> secrets;
  secrets.emplace_back(std::string(kSecret));
  reader.start(std::move(secrets));
  return test::transcribe(reader, pieces, stream_end);
}

void check(const HelloSpec& spec, const test::HelloTranscript& out) {
  const auto has = [](const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  };
  switch (out.outcome) {
    case Outcome::kReversed:
      CHECK_INVARIANT(has(spec.channels, out.channel));
      return;
    case Outcome::kMoved: {
      const auto uri = ptth::parse_http_uri(out.location);
      CHECK_INVARIANT(uri.ok() && uri.value().scheme == ptth::Scheme::kHttps);
      CHECK_INVARIANT(has(spec.redirect_hosts, uri.value().authority.host));
      return;
    }
    case Outcome::kRefused:
      CHECK_INVARIANT(!out.detail.empty() && out.detail.size() <= kDetailMax);
      CHECK_INVARIANT(std::all_of(out.detail.begin(), out.detail.end(),
                                  [](char byte) { return byte >= 0x20 && byte <= 0x7e; }));
      CHECK_INVARIANT(out.detail.find(kSecret.substr(7, 16)) == std::string::npos);
      CHECK_INVARIANT(out.retry_after_ms >= 0);
      return;
    case Outcome::kNeedMore:
    case Outcome::kAskAgain:
    case Outcome::kDialAgain:
      return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const HelloSpec spec = make_spec();
  const std::string_view text = test::text_of({data, size});
  for (const auto stream_end : {test::StreamEnd::kOpen, test::StreamEnd::kClosed}) {
    const auto whole = judge(spec, {text, {}}, stream_end);
    CHECK_INVARIANT(judge(spec, test::cut_everywhere(text), stream_end) == whole);
    CHECK_INVARIANT(judge(spec, test::cut_somewhere(text), stream_end) == whole);
    check(spec, whole);
  }
  return 0;
}
