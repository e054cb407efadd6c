#include "agent/link/uri_template.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

using ptth::ErrorKind;
using ptth::parse_served_origin;
using ptth::Result;
using ptth::serialize_origins;
using ptth::ServedOrigin;
using ptth::UriTemplate;
using ptth::UriVariable;
using Kind = UriVariable::Kind;

namespace {

const std::string kDefault = "https://gw.example/.well-known/ptth/{serialized_origin}/";

// Those of RFC 6570 section 3.2.
const std::vector<UriVariable> kVariables{
    {"var", Kind::kText, {"value"}},
    {"hello", Kind::kText, {"Hello World!"}},
    {"half", Kind::kText, {"50%"}},
    {"who", Kind::kText, {"fred"}},
    {"path", Kind::kText, {"/foo/bar"}},
    {"x", Kind::kText, {"1024"}},
    {"y", Kind::kText, {"768"}},
    {"empty", Kind::kText, {""}},
    {"umlaut", Kind::kText, {"\xc3\xa4\xe2\x82\xac!"}},
    {"list", Kind::kList, {"red", "green", "blue"}},
    {"one", Kind::kList, {"red"}},
    {"empty_list", Kind::kList, {}},
};

// What the template becomes behind "https://gw.example/".
std::string expanded(const std::string& rest) {
  const auto made = UriTemplate::parse("https://gw.example/" + rest);
  REQUIRE_MESSAGE(made.ok(), rest, ": ", made.error().detail);
  const auto uri = made.value().expand(kVariables);
  REQUIRE_MESSAGE(uri.ok(), rest, ": ", uri.error().detail);
  CHECK(to_string(uri.value().authority) == "gw.example");
  return uri.value().target.substr(1);
}

std::string refusal(std::string_view text) {
  const auto made = UriTemplate::parse(text);
  if (made.ok()) return "accepted";
  CHECK(made.error().kind == ErrorKind::kConfiguration);
  return made.error().detail;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

Result<std::vector<std::string>> serialized(const std::vector<std::string>& texts) {
  std::vector<ServedOrigin> origins;
  for (const std::string& text : texts)
    origins.push_back(parse_served_origin(text).value());
  return serialize_origins(origins);
}

}  // namespace

TEST_CASE("the origins of a worker become one path segment, joined by commas") {
  const auto origins = serialized({"https://backend.example.com", "https://api.example.com:8443"});
  REQUIRE(origins.ok());
  const auto uri = UriTemplate::parse(kDefault).value().expand(
      {{"serialized_origin", Kind::kList, origins.value()}});
  REQUIRE(uri.ok());
  CHECK(to_string(uri.value()) ==
        "https://gw.example/.well-known/ptth/"
        "https%3A%2F%2Fbackend.example.com,https%3A%2F%2Fapi.example.com%3A8443/");
}

TEST_CASE("expressions are filled in as RFC 6570 shows") {
  CHECK(expanded("{var}") == "value");
  CHECK(expanded("{hello}") == "Hello%20World%21");
  CHECK(expanded("{half}") == "50%25");
  CHECK(expanded("O{empty}X") == "OX");
  CHECK(expanded("O{undef}X") == "OX");
  CHECK(expanded("{x,y}") == "1024,768");
  CHECK(expanded("{x,hello,y}") == "1024,Hello%20World%21,768");
  CHECK(expanded("?{x,empty}") == "?1024,");
  CHECK(expanded("?{x,undef}") == "?1024");
  CHECK(expanded("?{undef,y}") == "?768");
  CHECK(expanded("{var:3}") == "val");
  CHECK(expanded("{var:30}") == "value");
  CHECK(expanded("{list}") == "red,green,blue");
  CHECK(expanded("{list*}") == "red,green,blue");
  CHECK(expanded("{var*}") == "value");
  CHECK(expanded("{path}/here") == "%2Ffoo%2Fbar/here");
}

TEST_CASE("query expressions are filled in as RFC 6570 shows") {
  CHECK(expanded("{?who}") == "?who=fred");
  CHECK(expanded("{?half}") == "?half=50%25");
  CHECK(expanded("{?x,y}") == "?x=1024&y=768");
  CHECK(expanded("{?x,y,empty}") == "?x=1024&y=768&empty=");
  CHECK(expanded("{?x,y,undef}") == "?x=1024&y=768");
  CHECK(expanded("{?undef}") == "");
  CHECK(expanded("{?empty_list*}") == "");
  CHECK(expanded("{?var:3}") == "?var=val");
  CHECK(expanded("{?list}") == "?list=red,green,blue");
  CHECK(expanded("{?list*}") == "?list=red&list=green&list=blue");
  CHECK(expanded("{?one}") == "?one=red");
  CHECK(expanded("?fixed=yes{&x}") == "?fixed=yes&x=1024");
  CHECK(expanded("{&x,y,empty}") == "&x=1024&y=768&empty=");
  CHECK(expanded("{&var:3}") == "&var=val");
  CHECK(expanded("{&list*}") == "&list=red&list=green&list=blue");
}

TEST_CASE("a prefix counts characters, not bytes") {
  CHECK(expanded("{umlaut:1}") == "%C3%A4");
  CHECK(expanded("{umlaut:2}") == "%C3%A4%E2%82%AC");
  CHECK(expanded("{umlaut:9999}") == "%C3%A4%E2%82%AC%21");
}

TEST_CASE("what is encoded in the template stays as it is") {
  CHECK(expanded("a%2fb%C3%A4/{x}") == "a%2fb%C3%A4/1024");
  CHECK(expanded("it's(a)*b!;c=d,e+f:g@h&i$j") == "it's(a)*b!;c=d,e+f:g@h&i$j");
}

TEST_CASE("names of variables may have dots and escapes") {
  const auto made = UriTemplate::parse("https://gw/{a.b_1,c:3}/{%41b}{?d*}");
  REQUIRE(made.ok());
  CHECK(made.value().variables() == std::vector<std::string_view>{"a.b_1", "c", "%41b", "d"});
  for (const char* name : {".a", "a.", "a..b", "a-b", "a b", "%4", "%zz", "a:b:3", "a*b", "a**"}) {
    CAPTURE(name);
    CHECK(refusal("https://gw/{" + std::string(name) + "}") != "accepted");
  }
}

TEST_CASE("a template is absolute") {
  for (const char* text :
       {"/.well-known/ptth/{serialized_origin}/", "gw.example/{serialized_origin}",
        "//gw.example/{serialized_origin}", "{serialized_origin}", "wss://gw/{serialized_origin}",
        "{scheme}://gw/{serialized_origin}", "https:/{serialized_origin}"}) {
    CAPTURE(text);
    CHECK(contains(refusal(text), "absolute"));
  }
  CHECK(contains(refusal("https:///{a}"), "host"));
  CHECK(contains(refusal("https://u@gw/{a}"), "host"));
  CHECK(contains(refusal("https://gw:0/{a}"), "port"));
  CHECK(refusal("") == "the template is empty");
}

TEST_CASE("a template is made of bytes 0x21 to 0x7e") {
  for (const char* text : {"https://gw/{a} ", "https://gw/\t{a}", "https://gw/\x7f{a}",
                           "https://gw/\xc3\xa4{a}", "https://gw/{\xc3\xa4}", "https://gw/\n"}) {
    CAPTURE(text);
    CHECK(contains(refusal(text), "visible ASCII"));
  }
  using namespace std::string_view_literals;
  CHECK(contains(refusal("https://gw/\0{a}"sv), "visible ASCII"));
  for (const char* text : {"\"", "<", ">", "\\", "^", "`", "|", "%", "%4", "%4g"}) {
    CAPTURE(text);
    CHECK(contains(refusal("https://gw/" + std::string(text)), "percent-encoded"));
  }
}

TEST_CASE("variables stand in path and query only") {
  for (const char* text :
       {"https://{host}/", "https://gw{port}/", "https://gw:{port}/{a}", "https://gw.{a}.example/",
        "https://gw{&a}", "https://{a}", "https://gw{?a}{b}", "https://gw{?a}.evil.example/"}) {
    CAPTURE(text);
    CHECK(refusal(text) != "accepted");
  }
  CHECK(contains(refusal("https://gw.example{a}"), "authority"));
  CHECK(contains(refusal("https://gw/{a}#{b}"), "fragment"));
  CHECK(contains(refusal("https://gw/{a}#b"), "fragment"));
  const auto query = UriTemplate::parse("https://gw.example{?x}");
  REQUIRE(query.ok());
  CHECK(query.value().expand(kVariables).value().target == "/?x=1024");
  CHECK(query.value().expand({}).value().target == "/");
}

TEST_CASE("operators that the draft forbids are refused by name") {
  for (const char op : std::string("+#./;")) {
    CAPTURE(op);
    const std::string text = refusal(std::string("https://gw/{") + op + "a}");
    CHECK(contains(text, std::string("operator \"") + op + "\" is not allowed"));
  }
  for (const char op : std::string("=,!@|")) {
    CAPTURE(op);
    CHECK(contains(refusal(std::string("https://gw/{") + op + "a}"), "no meaning"));
  }
}

TEST_CASE("a template that is broken off or nested is refused") {
  CHECK(contains(refusal("https://gw/{a"), "no closing"));
  CHECK(contains(refusal("https://gw/a}"), "without its {"));
  CHECK(contains(refusal("https://gw/{{a}}"), "no name"));
  CHECK(contains(refusal("https://gw/{}"), "names no variable"));
  CHECK(contains(refusal("https://gw/{?}"), "no name"));
  CHECK(contains(refusal("https://gw/{a,}"), "no name"));
  CHECK(contains(refusal("https://gw/{a,,b}"), "no name"));
  for (const char* prefix : {"", "0", "01", "10000", "-1", "3*", "x"}) {
    CAPTURE(prefix);
    CHECK(contains(refusal("https://gw/{a:" + std::string(prefix) + "}"), "prefix"));
  }
}

TEST_CASE("a list has no prefix") {
  const auto uri = UriTemplate::parse("https://gw/{list:3}").value().expand(kVariables);
  REQUIRE_FALSE(uri.ok());
  CHECK(contains(uri.error().detail, "is a list"));
}

TEST_CASE("templates and what comes of them have a longest length") {
  const std::string start = "https://gw/{a}";
  CHECK(refusal(start + std::string(UriTemplate::kBytesMax - start.size(), 'x')) == "accepted");
  CHECK(contains(refusal(start + std::string(UriTemplate::kBytesMax, 'x')), "more than"));
  const auto uri = [&](size_t size) {
    return UriTemplate::parse(start).value().expand({{"a", Kind::kText, {std::string(size, 'x')}}});
  };
  CHECK(uri(UriTemplate::kTargetBytesMax - 1).ok());
  CHECK_FALSE(uri(UriTemplate::kTargetBytesMax).ok());
}

TEST_CASE("origins are serialized in ASCII, without the scheme's own port") {
  CHECK(serialized({"HTTPS://App.Example:443"}).value().front() == "https://app.example");
  CHECK(serialized({"http://app.example:80"}).value().front() == "http://app.example");
  CHECK(serialized({"https://app.example:80"}).value().front() == "https://app.example:80");
  CHECK(serialized({"https://[2001:DB8::0:1]"}).value().front() == "https://[2001:db8::1]");
  CHECK(serialized({"https://xn--bcher-kva.example"}).ok());
}

TEST_CASE("a worker without origins, or with such as cannot be written down, is told so") {
  CHECK(contains(serialized({}).error().detail, "no origin"));
  CHECK(contains(serialized({"https://*.example"}).error().detail, "wildcard"));
  const auto wildcard = ptth::ServedAuthorities::parse({"https://*.example:443"}).value();
  CHECK(ptth::serialize_origins(wildcard.origins(), ptth::Wildcards::kAllowed).value() ==
        std::vector<std::string>{"https://*.example"});
  CHECK(contains(serialized({"https://a%41.example"}).error().detail, "ASCII"));
  CHECK(contains(serialized({"https://a!b.example"}).error().detail, "ASCII"));
  CHECK_FALSE(parse_served_origin("null").ok());
  CHECK_FALSE(parse_served_origin("https://b\xc3\xbc"
                                  "cher.example")
                  .ok());
}
