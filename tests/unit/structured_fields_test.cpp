#include "common/structured_fields.h"

#include <string>
#include <variant>

#include <doctest/doctest.h>

using ptth::structured::ByteSequence;
using ptth::structured::Decimal;
using ptth::structured::Dictionary;
using ptth::structured::InnerList;
using ptth::structured::Item;
using ptth::structured::kMembersMax;
using ptth::structured::parse_dictionary;
using ptth::structured::parse_item;
using ptth::structured::Token;

namespace {

std::string rewritten_item(const std::string& text) {
  const auto item = parse_item(text);
  return item ? to_string(item.value()) : "refused";
}

std::string rewritten(const std::string& text) {
  const auto dictionary = parse_dictionary(text);
  return dictionary ? to_string(dictionary.value()) : "refused";
}

}  // namespace

TEST_CASE("items of every type are read as RFC 8941 has them") {
  CHECK(std::get<int64_t>(parse_item("-42").value().value) == -42);
  CHECK(std::get<Decimal>(parse_item("4.5").value().value) == Decimal{4500});
  CHECK(std::get<Decimal>(parse_item("-0.125").value().value) == Decimal{-125});
  CHECK(std::get<std::string>(parse_item(R"("a \"b\" \\")").value().value) == R"(a "b" \)");
  CHECK(std::get<Token>(parse_item("*a/b:c").value().value) == Token{"*a/b:c"});
  CHECK(std::get<ByteSequence>(parse_item(":aGVsbG8=:").value().value) == ByteSequence{"hello"});
  CHECK(std::get<ByteSequence>(parse_item("::").value().value) == ByteSequence{""});
  CHECK_FALSE(std::get<bool>(parse_item("?0").value().value));
}

TEST_CASE("structured fields are written in one way") {
  CHECK(rewritten_item("  5;a;  b=?1;c=\"x\"  ") == "5;a;b;c=\"x\"");
  CHECK(rewritten_item("0012") == "12");
  CHECK(rewritten_item("-0") == "0");
  CHECK(rewritten_item("1.50") == "1.5");
  CHECK(rewritten_item("1.000") == "1.0");
  CHECK(rewritten_item("-0.050") == "-0.05");
  CHECK(rewritten("a=1,  b \t,c;x=?0, d=( \"e\";req  f );g=:AA==:") ==
        "a=1, b, c;x=?0, d=(\"e\";req f);g=:AA==:");
  CHECK(rewritten("a=()") == "a=()");
  CHECK(rewritten("").empty());
}

TEST_CASE("the last of two members or parameters of one key counts") {
  CHECK(rewritten("a=1, b=2, a=3") == "a=3, b=2");
  CHECK(rewritten_item("1;a=1;b;a=2") == "1;a=2;b");
}

TEST_CASE("what is no item is refused") {
  for (const std::string text : {"",
                                 " ",
                                 "\"open",
                                 "\"a\\n\"",
                                 "\"\x01\"",
                                 "\"\xc3\xa9\"",
                                 ":AA=:",
                                 ":AA:",
                                 ":A===:",
                                 ":A A=:",
                                 ":AB==:",
                                 ":AAAA",
                                 "?2",
                                 "?",
                                 "-",
                                 "1.",
                                 "1.2345",
                                 "1234567890123.4",
                                 "1234567890123456",
                                 ".5",
                                 "+1",
                                 "1 2",
                                 "a b",
                                 "1;",
                                 "1;A=1",
                                 "1;a=",
                                 "(1)",
                                 "@1",
                                 "%\"a\"",
                                 "a=1",
                                 "1,2"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_item(text).ok());
  }
}

TEST_CASE("what is no dictionary is refused") {
  for (const std::string text : {"a=1,", "a=1,,b", ",a", "a=1 b=2", "A=1", "a=(1", "a=(1\"b\")",
                                 "a=(1,2)", "a=((1))", "a=", "=1", "a=1;;b", "a=1\x0b,b"}) {
    CAPTURE(text);
    CHECK(rewritten(text) == "refused");
  }
}

TEST_CASE("members, items and parameters are bounded") {
  std::string members = "k0";
  std::string items = "a=(1";
  std::string parameters = "1";
  for (size_t i = 1; i < kMembersMax; ++i) {
    members += ", k" + std::to_string(i);
    items += " 1";
    parameters += ";p" + std::to_string(i);
  }
  parameters += ";p0";
  CHECK(parse_dictionary(members).ok());
  CHECK(parse_dictionary(items + ")").ok());
  CHECK(parse_item(parameters).ok());
  CHECK_FALSE(parse_dictionary(members + ", more").ok());
  CHECK_FALSE(parse_dictionary(items + " 1)").ok());
  CHECK_FALSE(parse_item(parameters + ";more").ok());
}

TEST_CASE("members and parameters are found by their key") {
  const Dictionary dictionary = parse_dictionary("a=1;x=2, b=(3);y=4").value();
  const auto& a = std::get<Item>(*find(dictionary, "a"));
  const auto& b = std::get<InnerList>(*find(dictionary, "b"));
  CHECK(std::get<int64_t>(*find(a.parameters, "x")) == 2);
  CHECK(std::get<int64_t>(*find(b.parameters, "y")) == 4);
  CHECK(find(dictionary, "c") == nullptr);
  CHECK(find(a.parameters, "y") == nullptr);
}
