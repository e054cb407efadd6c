#include "agent/link/oauth_exchange.h"

#include "agent/link/auth.h"
#include "tests/support/temp_dir.h"

#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::AccessToken;
using ptth::AuthOptions;
using ptth::check_oauth_options;
using ptth::ErrorKind;
using ptth::FetchRequest;
using ptth::make_hello_credentials;
using ptth::make_token_request;
using ptth::Milliseconds;
using ptth::OauthClientAuth;
using ptth::OauthOptions;
using ptth::read_token_answer;
using ptth::Result;
using ptth::test::TempDir;

namespace {

std::string write_file(const TempDir& directory, const std::string& name,
                       const std::string& content) {
  std::ofstream(directory.file(name), std::ios::binary) << content;
  return directory.file(name);
}

OauthOptions client(const TempDir& directory) {
  OauthOptions options;
  options.token_url = "https://idp.example/token";
  options.client_id = "worker 1:a";
  options.client_secret_file = write_file(directory, "secret", "s%cret:+\n");
  return options;
}

std::string body_of(const Result<FetchRequest>& request) {
  REQUIRE(request.ok());
  return std::string(request.value().body.reveal());
}

std::string refusal(int status, const std::string& body) {
  const auto answer = read_token_answer(status, body);
  return answer ? "token" : std::string(to_string(answer.error().kind));
}

std::string words(int status, const std::string& body) {
  return read_token_answer(status, body).error().detail;
}

std::string grant(const std::string& more) {
  return R"({"access_token":"abc.DEF-1","token_type":"Bearer")" + more + "}";
}

}  // namespace

TEST_CASE("client credentials are asked for as RFC 6749 has it") {
  const TempDir directory;
  OauthOptions options = client(directory);
  options.scopes = {"read", "api://x/.default"};
  const auto request = make_token_request(options);
  CHECK(body_of(request) == "grant_type=client_credentials&scope=read%20api%3A%2F%2Fx%2F.default");
  CHECK(request.value().url == options.token_url);
  CHECK(request.value().method == FetchRequest::Method::kPost);
  CHECK(request.value().fields.find("content-type") == "application/x-www-form-urlencoded");
  // "worker%201%3Aa:s%25cret%3A%2B"
  CHECK(request.value().authorization.reveal() == "Basic d29ya2VyJTIwMSUzQWE6cyUyNWNyZXQlM0ElMkI=");
}

TEST_CASE("a client shows who it is in the way that the endpoint wants") {
  const TempDir directory;
  OauthOptions options = client(directory);
  SUBCASE("by its secret in the form") {
    options.client_auth = OauthClientAuth::kPost;
    CHECK(body_of(make_token_request(options)) ==
          "grant_type=client_credentials&client_id=worker%201%3Aa&"
          "client_secret=s%25cret%3A%2B");
  }
  SUBCASE("by an assertion") {
    options.client_secret_file.clear();
    options.client_assertion_file = write_file(directory, "assertion", "a.b.c");
    CHECK(body_of(make_token_request(options)) ==
          "grant_type=client_credentials&client_id=worker%201%3Aa&client_assertion_type="
          "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&"
          "client_assertion=a.b.c");
  }
  SUBCASE("by a certificate") {
    options.client_secret_file.clear();
    options.client_auth = OauthClientAuth::kTls;
    options.cert_file = "worker.crt";
    const auto request = make_token_request(options);
    CHECK(body_of(request) == "grant_type=client_credentials&client_id=worker%201%3Aa");
    CHECK(request.value().options.cert_file == "worker.crt");
  }
  REQUIRE(check_oauth_options(options).ok());
  if (options.client_auth != OauthClientAuth::kBasic || options.client_secret_file.empty())
    CHECK(make_token_request(options).value().authorization.empty());
}

TEST_CASE("a token is exchanged as RFC 8693 has it, and its file is read at each request") {
  const TempDir directory;
  OauthOptions options;
  options.token_url = "https://idp.example/token";
  options.subject_token_file = write_file(directory, "token", "first\n");
  options.audiences = {"//idp/pool", "https://gw.example"};
  options.resources = {"https://gw.example/"};
  options.requested_token_type = "urn:x";
  REQUIRE(check_oauth_options(options).ok());
  CHECK(body_of(make_token_request(options)) ==
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&"
        "subject_token=first&"
        "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&"
        "requested_token_type=urn%3Ax&audience=%2F%2Fidp%2Fpool&"
        "audience=https%3A%2F%2Fgw.example&resource=https%3A%2F%2Fgw.example%2F");
  write_file(directory, "token", "second\n");
  CHECK(body_of(make_token_request(options)).find("subject_token=second&") != std::string::npos);
  options.subject_token_file = directory.file("missing");
  const auto request = make_token_request(options);
  REQUIRE_FALSE(request.ok());
  CHECK(request.error().kind == ErrorKind::kConfiguration);
}

TEST_CASE("settings of OAuth that make no sense together are told with what mends them") {
  const TempDir directory;
  OauthOptions options = client(directory);
  std::string flag;
  SUBCASE("no endpoint") {
    options.token_url.clear();
    flag = "--oauth-token-url";
  }
  SUBCASE("cleartext") {
    options.token_url = "http://idp.example/token";
    flag = "https://";
  }
  SUBCASE("nobody") {
    options.client_id.clear();
    flag = "--oauth-client-id";
  }
  SUBCASE("a secret of nobody") {
    options.client_id.clear();
    options.subject_token_file = "token";
    flag = "--oauth-client-id";
  }
  SUBCASE("no secret") {
    options.client_secret_file.clear();
    flag = "--oauth-client-secret-file";
  }
  SUBCASE("two secrets") {
    options.client_assertion_file = "assertion";
    flag = "keep one";
  }
  SUBCASE("no certificate") {
    options.client_secret_file.clear();
    options.client_auth = OauthClientAuth::kTls;
    flag = "--oauth-cert-file";
  }
  SUBCASE("a secret beside the certificate") {
    options.cert_file = "worker.crt";
    options.client_auth = OauthClientAuth::kTls;
    flag = "drop it";
  }
  SUBCASE("a key alone") {
    options.key_file = "worker.key";
    flag = "--oauth-cert-file";
  }
  const auto checked = check_oauth_options(options);
  REQUIRE_FALSE(checked.ok());
  CHECK(checked.error().kind == ErrorKind::kConfiguration);
  CHECK_MESSAGE(checked.error().detail.find(flag) != std::string::npos, checked.error().detail);
  AuthOptions auth;
  auth.oauth = options;
  CHECK_FALSE(make_hello_credentials(auth).ok());
}

TEST_CASE("a token that is issued comes with its lifetime") {
  const auto lifetime = [](const std::string& more) {
    const Result<AccessToken> token = read_token_answer(200, grant(more));
    REQUIRE(token.ok());
    CHECK(token.value().token.reveal() == "abc.DEF-1");
    return token.value().lifetime;
  };
  CHECK(lifetime(R"(,"expires_in":3600,"scope":"x","refresh_token":7)") == Milliseconds(3'600'000));
  CHECK(lifetime(R"(,"expires_in":"3600")") == Milliseconds(3'600'000));
  CHECK(lifetime(R"(,"expires_in":1.5)") == Milliseconds(1'500));
  CHECK(lifetime("") == ptth::kTokenLifetimeUnknown);
  CHECK(lifetime(R"(,"expires_in":null)") == ptth::kTokenLifetimeUnknown);
  for (const char* huge : {"86401", "18446744073709551615", "1e300", "99999999999999999999999"}) {
    CHECK(lifetime(R"(,"expires_in":)" + std::string(huge)) == ptth::kTokenLifetimeMax);
  }
  CHECK(read_token_answer(200, R"({"access_token":"a","token_type":"bEARER"})").ok());
}

TEST_CASE("what is no token for us is not used") {
  for (const std::string body : {"",
                                 "hello",
                                 "<html>",
                                 "[]",
                                 "null",
                                 "7",
                                 "{}",
                                 "{",
                                 R"({"access_token":"a"})",
                                 R"({"token_type":"Bearer"})",
                                 R"({"access_token":"a","token_type":"mac"})",
                                 R"({"access_token":"a","token_type":"N_A"})",
                                 R"({"access_token":"a","token_type":7})",
                                 R"({"access_token":7,"token_type":"Bearer"})",
                                 R"({"access_token":null,"token_type":"Bearer"})",
                                 R"({"access_token":["a"],"token_type":"Bearer"})",
                                 R"({"access_token":"","token_type":"Bearer"})",
                                 R"({"access_token":"a b","token_type":"Bearer"})",
                                 R"({"access_token":"a\r\nx: y","token_type":"Bearer"})",
                                 R"({"access_token":"a\u0000","token_type":"Bearer"})",
                                 R"({"access_token":"\u00e4","token_type":"Bearer"})"}) {
    CAPTURE(body);
    CHECK(refusal(200, body) == "protocol");
  }
  for (const char* time : {"0", "-1", "-1e300", "true", "{}", "\"\"", "\"-5\"", "\"soon\""}) {
    CAPTURE(time);
    CHECK(refusal(200, grant(R"(,"expires_in":)" + std::string(time))) == "protocol");
  }
  const std::string large = R"({"token_type":"Bearer","access_token":")";
  CHECK(refusal(200, large + std::string(ptth::kTokenBytesMax, 'a') + "\"}") == "token");
  CHECK(refusal(200, large + std::string(ptth::kTokenBytesMax + 1, 'a') + "\"}") == "protocol");
  CHECK(refusal(200, std::string(60'000, '[')) == "protocol");
}

TEST_CASE("a refusal is told apart from an endpoint that cannot answer") {
  CHECK(refusal(401, R"({"error":"invalid_client"})") == "refused");
  CHECK(words(401, R"({"error":"invalid_client"})").find("--oauth-client-id") != std::string::npos);
  CHECK(refusal(400, R"({"error":"invalid_scope","error_description":"x"})") == "refused");
  CHECK(refusal(400, R"({"error":"temporarily_unavailable"})") == "unavailable");
  CHECK(refusal(400, R"({"error":7})") == "refused");
  CHECK(refusal(403, "no") == "refused");
  CHECK(refusal(429, "") == "unavailable");
  CHECK(refusal(503, "<html>") == "unavailable");
  CHECK(refusal(302, "") == "protocol");
  CHECK(refusal(404, grant("")) == "protocol");
  CHECK(refusal(204, "") == "protocol");
}

TEST_CASE("nothing of an answer is told but codes that are known") {
  for (const int status : {200, 400, 401, 500}) {
    for (const std::string body :
         {R"({"error":"canary","error_description":"canary","error_uri":"canary"})",
          R"({"error":"invalid_client","error_description":"canary"})",
          R"({"access_token":"canary canary","token_type":"Bearer"})",
          R"({"access_token":"canary","token_type":"canary"})", "canary"}) {
      CHECK(words(status, body).find("canary") == std::string::npos);
    }
  }
}
