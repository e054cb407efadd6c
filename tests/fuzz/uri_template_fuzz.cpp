// A gateway's URI template: what is accepted fills in to a URI whose authority no variable can
// change, whatever the values are.

#include "agent/link/uri_template.h"
#include "common/check.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using ptth::is_request_path;
using ptth::UriTemplate;
using ptth::UriVariable;
using Kind = UriVariable::Kind;

namespace {

const std::vector<std::vector<UriVariable>> kValues{
    {},
    {{"serialized_origin", Kind::kList, {"https://a.example", "https://b.example:8443"}},
     {"a", Kind::kText, {"v"}},
     {"b", Kind::kText, {""}},
     {"c", Kind::kList, {}}},
    {{"serialized_origin", Kind::kList, {"//evil.example/?#@:%2f{}\r\n \xff\xc3\xa4"}},
     {"a", Kind::kText, {"@evil.example:1/"}},
     {"b", Kind::kText, {".evil"}},
     {"c", Kind::kList, {":1", "\xe2\x82\xac"}}},
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto made = UriTemplate::parse(text);
  if (!made) {
    CHECK_INVARIANT(made.error().kind == ptth::ErrorKind::kConfiguration);
    CHECK_INVARIANT(!made.error().detail.empty());
    return 0;
  }
  const auto bare = made.value().expand({});
  for (const auto& variables : kValues) {
    const auto uri = made.value().expand(variables);
    if (!uri || !bare) continue;
    CHECK_INVARIANT(uri.value().scheme == bare.value().scheme);
    CHECK_INVARIANT(uri.value().authority == bare.value().authority);
    CHECK_INVARIANT(is_request_path(uri.value().target, "GET"));
    CHECK_INVARIANT(ptth::parse_http_uri(to_string(uri.value())).value() == uri.value());
  }
  return 0;
}
