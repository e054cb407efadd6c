#include "agent/link/auth.h"

#include "common/secret_file.h"
#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

using ptth::AuthOptions;
using ptth::ErrorKind;
using ptth::HelloCredentials;
using ptth::make_hello_credentials;
using ptth::parse_header_file;
using ptth::read_secret_file;
using ptth::Result;
using ptth::SecretField;
using ptth::test::TempDir;

namespace {

std::string write_file(const TempDir& directory, const std::string& name,
                       const std::string& content) {
  std::ofstream(directory.file(name), std::ios::binary) << content;
  return directory.file(name);
}

// "name: value" of the only field; the error's words if there is none.
std::string only_field(const HelloCredentials& credentials) {
  const Result<std::vector<SecretField>> fields = credentials();
  if (!fields) return fields.error().detail;
  REQUIRE(fields.value().size() == 1);
  return fields.value()[0].name + ": " + std::string(fields.value()[0].value.reveal());
}

}  // namespace

TEST_CASE("a secret's file is read without the line end that editors leave") {
  const TempDir directory;
  for (const char* content : {"tok en", "tok en\n", "tok en\r\n"}) {
    const auto secret = read_secret_file(write_file(directory, "secret", content));
    REQUIRE(secret);
    CHECK(secret.value().reveal() == "tok en");
  }
}

TEST_CASE("a file that holds no secret is refused by its name, and nothing of it is told") {
  const TempDir directory;
  const std::string too_large(ptth::kSecretBytesMax + 1, 'x');
  for (const std::string& content : {std::string(), std::string("\n"), std::string("two\nlines"),
                                     std::string("a\0b", 3), std::string("\x7f"), too_large}) {
    const auto secret = read_secret_file(write_file(directory, "secret", content));
    REQUIRE_FALSE(secret);
    CHECK(secret.error().kind == ErrorKind::kConfiguration);
    CHECK(secret.error().detail.find(directory.file("secret")) != std::string::npos);
    CHECK(secret.error().detail.find("two") == std::string::npos);
  }
  CHECK_FALSE(read_secret_file(directory.file("missing")));
  CHECK_FALSE(read_secret_file(directory.path()));
}

TEST_CASE("a token that was renewed in its file is sent with the next hello") {
  const TempDir directory;
  AuthOptions options;
  options.token_file = write_file(directory, "token", "first.token==\n");
  const auto credentials = make_hello_credentials(options);
  REQUIRE(credentials);
  CHECK(only_field(credentials.value()) == "authorization: Bearer first.token==");
  write_file(directory, "token", "second");
  CHECK(only_field(credentials.value()) == "authorization: Bearer second");
  write_file(directory, "token", "not a token");
  CHECK(only_field(credentials.value()).find("no bearer token") != std::string::npos);
  CHECK(only_field(credentials.value()).find("not a token") == std::string::npos);
}

TEST_CASE("a token comes from the environment, user and password or any field from a file") {
  const TempDir directory;
  AuthOptions from_environment;
  from_environment.token_env = "AUTH_TEST_TOKEN";
  setenv("AUTH_TEST_TOKEN", "abc", 1);
  CHECK(only_field(make_hello_credentials(from_environment).value()) ==
        "authorization: Bearer abc");
  unsetenv("AUTH_TEST_TOKEN");
  CHECK_FALSE(make_hello_credentials(from_environment));

  // RFC 7617 section 2.
  AuthOptions basic;
  basic.basic_file = write_file(directory, "basic", "Aladdin:open sesame\n");
  const auto credentials = make_hello_credentials(basic);
  CHECK(only_field(credentials.value()) == "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
  write_file(directory, "basic", "Aladdin");
  CHECK(only_field(credentials.value()).find("user:password") != std::string::npos);

  AuthOptions header;
  header.header_files = {"X-Worker-Key:" + write_file(directory, "key", "k 1")};
  CHECK(only_field(make_hello_credentials(header).value()) == "x-worker-key: k 1");
}

TEST_CASE("no credential is configured twice, and none takes the place of the hello's own fields") {
  AuthOptions options;
  CHECK_FALSE(make_hello_credentials(options).value());
  options.token_file = "a";
  options.basic_file = "b";
  CHECK_FALSE(make_hello_credentials(options));
  options.basic_file.clear();
  options.header_files = {"Authorization:c"};
  CHECK_FALSE(make_hello_credentials(options));
  for (const char* text : {"name", "name:", ":file", "na me:file", "host:f", "connection:f",
                           "upgrade:f", "content-length:f", "transfer-encoding:f"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_header_file(text));
  }
  REQUIRE(parse_header_file("X-Key:/a:b"));
  CHECK(parse_header_file("X-Key:/a:b").value().name == "x-key");
  CHECK(parse_header_file("X-Key:/a:b").value().file == "/a:b");
}
