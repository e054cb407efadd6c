// ptth-response-verdict [HEAD] < answer: what our parser makes of an answer and the end of the
// stream behind it, as one JSON object on stdout. All texts in it are in hexadecimal, because they
// are bytes. For the differential test.

#include "tests/support/http1_transcript.h"

#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

namespace {

using ptth::Http1ResponseParser;
using ptth::test::FieldPairs;
using ptth::test::ResponseTranscript;

std::string quoted_hex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    out.push_back(kDigits[value >> 4]);
    out.push_back(kDigits[value & 15]);
  }
  return out + "\"";
}

std::string list(const FieldPairs& fields) {
  std::string out = "[";
  for (const auto& [name, value] : fields) {
    if (out.size() > 1) out += ", ";
    out += "[" + quoted_hex(name) + ", " + quoted_hex(value) + "]";
  }
  return out + "]";
}

std::string list(const std::vector<ResponseTranscript::Head>& heads) {
  std::string out = "[";
  for (const auto& head : heads) {
    if (out.size() > 1) out += ", ";
    out +=
        "{\"status\": " + std::to_string(head.status) + ", \"fields\": " + list(head.fields) + "}";
  }
  return out + "]";
}

std::string read_stdin() {
  std::string text;
  char buffer[65536];
  for (ssize_t count = read(STDIN_FILENO, buffer, sizeof buffer); count > 0;
       count = read(STDIN_FILENO, buffer, sizeof buffer)) {
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  const bool head = argc > 1 && std::string_view(argv[1]) == "HEAD";
  const auto request =
      head ? Http1ResponseParser::Request::kHead : Http1ResponseParser::Request::kOther;
  const std::string text = read_stdin();
  Http1ResponseParser parser;
  const auto parsed = ptth::test::transcribe(parser, request, {text, {}});
  const std::string fault(ptth::to_string(parsed.fault));
  std::printf(
      "{\"accepted\": %s, \"fault\": \"%s\", \"leftover\": %zu, \"keep_alive\": %s,\n"
      " \"interim\": %s,\n \"heads\": %s,\n \"body\": %s,\n \"trailers\": %s}\n",
      parsed.ended ? "true" : "false", fault.c_str(),
      parsed.ended ? text.size() - parsed.bytes_taken : 0,
      parsed.keep_alive_possible ? "true" : "false", list(parsed.interim).c_str(),
      list(parsed.heads).c_str(), quoted_hex(parsed.body).c_str(), list(parsed.trailers).c_str());
  return 0;
}
