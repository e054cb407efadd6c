#include "common/secret.h"

#include <sstream>
#include <type_traits>
#include <utility>

#include <doctest/doctest.h>

using ptth::Secret;

TEST_CASE("a secret prints as stars and does not turn into text by itself") {
  const Secret secret(std::string("tok-en"));
  std::ostringstream out;
  out << secret;
  CHECK(out.str() == "***");
  CHECK(to_string(secret) == "***");
  CHECK(secret.reveal() == "tok-en");
  CHECK_FALSE(std::is_convertible_v<Secret, std::string>);
  CHECK_FALSE(std::is_convertible_v<Secret, std::string_view>);
}

TEST_CASE("a secret wipes the string that it was made of") {
  std::string text = "a-long-enough-token-for-the-heap-0123456789";
  const char* bytes = text.data();
  const size_t size = text.size();
  const Secret secret(std::move(text));
  // The string keeps its memory, and in it nothing of the token.
  REQUIRE(text.data() == bytes);  // NOLINT(bugprone-use-after-move)
  CHECK(std::string_view(bytes, size).find("token") == std::string::npos);
  CHECK(secret.reveal().size() == size);
}

TEST_CASE("secrets are copied, moved and compared by content") {
  Secret first(std::string("one"));
  const Secret copy = first;
  CHECK(copy == first);
  const Secret moved = std::move(first);
  CHECK(moved == copy);
  CHECK(first.empty());  // NOLINT(bugprone-use-after-move)
  Secret other(std::string("two"));
  CHECK_FALSE(other == copy);
  other = copy;
  CHECK(other == copy);
  CHECK_FALSE(Secret() == copy);
  CHECK(Secret() == Secret());
}
