#include "common/fetch.h"

#include "tests/support/run_until.h"
#include "tests/support/scripted_http_server.h"
#include "tests/support/temp_dir.h"

#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using ptth::ErrorKind;
using ptth::Fetcher;
using ptth::FetchRequest;
using ptth::FetchResponse;
using ptth::Loop;
using ptth::make_fetcher;
using ptth::make_system_network;
using ptth::Milliseconds;
using ptth::Network;
using ptth::PeerCertificate;
using ptth::Result;
using ptth::Secret;
using ptth::TlsOptions;
using ptth::test::IdentityFiles;
using ptth::test::run_until;
using ptth::test::ScriptedHttpServer;
using ptth::test::TempDir;
using ptth::test::TestCertificates;

namespace {

const TestCertificates& certificates() {
  static const TestCertificates made;
  return made;
}

TlsOptions server_tls(const IdentityFiles& identity) {
  TlsOptions options;
  options.cert_file = identity.cert_file;
  options.key_file = identity.key_file;
  options.peer_certificate = PeerCertificate::kNone;
  return options;
}

struct Stage {
  explicit Stage(std::string answer)
      : server(loop, [text = std::move(answer)](const std::string& request) {
          return request.find("\r\n\r\n") == std::string::npos ? std::string() : text;
        }) {}

  void use_tls() { server.use_tls(server_tls(certificates().gateway())); }

  [[nodiscard]] FetchRequest request(const std::string& scheme = "https") const {
    FetchRequest request;
    request.url = scheme + "://localhost:" + server.port() + "/document?secret=canary";
    request.options.ca_file = certificates().ca_file();
    request.options.insecure_cleartext = scheme == "http";
    return request;
  }

  Result<FetchResponse> fetch(FetchRequest what) {
    std::optional<Result<FetchResponse>> got;
    const auto call = fetcher->fetch(std::move(what), [&](Result<FetchResponse> result) {
      CHECK_FALSE(got.has_value());
      got = std::move(result);
    });
    CHECK_FALSE(got.has_value());
    REQUIRE(run_until(loop, [&] { return got.has_value(); }));
    return std::move(*got);
  }

  Loop loop;
  std::unique_ptr<Network> network = make_system_network(loop);
  std::unique_ptr<Fetcher> fetcher = make_fetcher(loop, *network);
  ScriptedHttpServer server;
};

constexpr const char* kAnswer =
    "HTTP/1.1 103 Early Hints\r\nETag: \"early\"\r\n\r\n"
    "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nCache-Control:max-age=60 \r\nSet-Cookie: a=b\r\n"
    "Content-Type: application/json\r\nContent-Length: 5\r\n\r\nhello";

}  // namespace

TEST_CASE("a document comes with the fields that matter, and the request says what was asked") {
  Stage stage(kAnswer);
  stage.use_tls();
  FetchRequest request = stage.request();
  request.fields.add("if-none-match", "\"v0\"");
  request.authorization = Secret("Bearer canary");
  const auto got = stage.fetch(std::move(request));
  REQUIRE(got.ok());
  CHECK(got.value().status == 200);
  CHECK(got.value().body == "hello");
  CHECK(got.value().fields.size() == 3);
  CHECK(got.value().fields.find("etag") == "\"v1\"");
  CHECK(got.value().fields.find("cache-control") == "max-age=60");
  const std::string& asked = stage.server.request(0);
  CHECK(asked.starts_with("GET /document?secret=canary HTTP/1.1\r\nHost: localhost:"));
  CHECK(asked.find("if-none-match: \"v0\"\r\n") != std::string::npos);
  CHECK(asked.find("Authorization: Bearer canary\r\n") != std::string::npos);
}

TEST_CASE("304 and errors are answers, and a redirect is not followed") {
  for (const std::string status : {"304", "401", "503", "302"}) {
    Stage stage("HTTP/1.1 " + status + " x\r\nLocation: /other\r\nRetry-After: 7\r\n\r\n");
    stage.use_tls();
    const auto got = stage.fetch(stage.request());
    REQUIRE(got.ok());
    CHECK(std::to_string(got.value().status) == status);
    CHECK(got.value().fields.find("retry-after") == "7");
    CHECK(stage.server.connections() == 1);
  }
}

TEST_CASE("a form is posted as it is, without waiting for 100 Continue") {
  Stage stage(kAnswer);
  stage.use_tls();
  FetchRequest request = stage.request();
  request.method = FetchRequest::Method::kPost;
  request.fields.add("content-type", "application/x-www-form-urlencoded");
  SUBCASE("of some size") {
    request.body = Secret("grant_type=client_credentials&padding=" + std::string(2000, 'x'));
  }
  SUBCASE("empty") {}
  const std::string body(request.body.reveal());
  REQUIRE(stage.fetch(std::move(request)).ok());
  REQUIRE(run_until(stage.loop, [&] { return stage.server.request(0).ends_with(body); }));
  const std::string& asked = stage.server.request(0);
  CHECK(asked.starts_with("POST /document"));
  CHECK(asked.find("Content-Length: " + std::to_string(body.size()) + "\r\n") != std::string::npos);
  CHECK(asked.find("Expect") == std::string::npos);
}

TEST_CASE("only a server that proves its name is asked anything") {
  Stage stage(kAnswer);
  FetchRequest request = stage.request();
  std::string why = "certificate";
  SUBCASE("of another CA") {
    stage.server.use_tls(server_tls(certificates().gateway_of_other_ca()));
  }
  SUBCASE("of another name") {
    stage.server.use_tls(server_tls(certificates().wrong_name()));
    why = "localhost";
  }
  SUBCASE("trusted by nobody here") {
    stage.use_tls();
    request.options.ca_file.clear();
  }
  const auto got = stage.fetch(std::move(request));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().kind == ErrorKind::kCertificate);
  CHECK(got.error().detail.find(why) != std::string::npos);
  CHECK(got.error().detail.find("canary") == std::string::npos);
  REQUIRE(stage.server.connections() == 1);
  CHECK(stage.server.request(0).empty());
}

TEST_CASE("a server may want our certificate") {
  Stage stage(kAnswer);
  TlsOptions options = server_tls(certificates().gateway());
  options.ca_file = certificates().ca_file();
  options.peer_certificate = PeerCertificate::kRequired;
  stage.server.use_tls(options);
  FetchRequest request = stage.request();
  SUBCASE("which we give") {
    request.options.cert_file = certificates().worker().cert_file;
    request.options.key_file = certificates().worker().key_file;
    CHECK(stage.fetch(std::move(request)).ok());
  }
  SUBCASE("which we have not") {
    CHECK_FALSE(stage.fetch(std::move(request)).ok());
  }
  SUBCASE("which cannot be read") {
    request.options.cert_file = "/nowhere/worker.crt";
    const auto got = stage.fetch(std::move(request));
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().kind == ErrorKind::kConfiguration);
    CHECK(got.error().detail.find("/nowhere/worker.crt") != std::string::npos);
  }
}

TEST_CASE("http:// needs an option whose name says insecure") {
  Stage stage(kAnswer);
  FetchRequest request = stage.request("http");
  CHECK(stage.fetch(request).ok());
  request.options.insecure_cleartext = false;
  const auto got = stage.fetch(request);
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().kind == ErrorKind::kConfiguration);
  CHECK(stage.server.connections() == 1);
}

TEST_CASE("an answer has its limits") {
  std::string answer = "HTTP/1.1 200 OK\r\n";
  SUBCASE("of the body, announced") {
    answer += "Content-Length: 1001\r\n\r\n" + std::string(1001, 'x');
  }
  SUBCASE("of the body, up to the end") {
    answer += "\r\n" + std::string(1001, 'x');
  }
  SUBCASE("of the body, in chunks") {
    answer +=
        "Transfer-Encoding: chunked\r\n\r\n3E9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n";
  }
  SUBCASE("of the head") {
    for (int i = 0; i < 100; ++i)
      answer += "X-Padding: " + std::string(1000, 'x') + "\r\n";
    answer += "\r\n";
  }
  SUBCASE("of interim answers") {
    std::string interim;
    for (int i = 0; i < 5000; ++i)
      interim += "HTTP/1.1 103 Early Hints\r\n\r\n";
    answer = interim + answer + "\r\n";
  }
  Stage stage(answer);
  FetchRequest request = stage.request("http");
  request.options.body_bytes_max = 1000;
  const auto got = stage.fetch(std::move(request));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().kind == ErrorKind::kTooLarge);
  CHECK(got.error().detail.find(" bytes") != std::string::npos);
}

TEST_CASE("what is no whole answer is an error") {
  ErrorKind kind = ErrorKind::kClosed;
  std::string answer;
  SUBCASE("cut") {
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
  }
  SUBCASE("of another protocol") {
    answer = "SSH-2.0-OpenSSH_9.2\r\n";
    kind = ErrorKind::kProtocol;
  }
  SUBCASE("of HTTP/0.9") {
    answer = "hello";
    kind = ErrorKind::kProtocol;
  }
  SUBCASE("switching protocols") {
    answer = "HTTP/1.1 101 x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
  }
  Stage stage(answer);
  const auto got = stage.fetch(stage.request("http"));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().kind == kind);
}

TEST_CASE("a server that does not answer is waited for as long as allowed") {
  Stage stage("");
  SUBCASE("silent after the request") {}
  SUBCASE("silent in the handshake") {
    stage.server.use_tls(server_tls(certificates().gateway()));
  }
  FetchRequest request = stage.request("http");
  request.options.deadline = Milliseconds(50);
  const auto got = stage.fetch(std::move(request));
  REQUIRE_FALSE(got.ok());
  CHECK(got.error().kind == ErrorKind::kTimeout);
}

TEST_CASE("nobody there, and no such name") {
  Stage stage(kAnswer);
  FetchRequest request = stage.request();
  SUBCASE("refused") {
    request.url = "https://127.0.0.1:1/";
    CHECK(stage.fetch(std::move(request)).error().kind == ErrorKind::kUnreachable);
  }
  SUBCASE("an IPv6 address") {
    request.url = "https://[::1]:1/";
    CHECK(stage.fetch(std::move(request)).error().kind == ErrorKind::kUnreachable);
  }
  SUBCASE("unknown") {
    request.url = "https://nobody.invalid/";
    CHECK(stage.fetch(std::move(request)).error().kind == ErrorKind::kResolve);
  }
  SUBCASE("no URL") {
    for (const char* url : {"", "localhost", "https://user:canary@localhost/", "file:///etc/passwd",
                            "https://localhost/a b", "https://localhost/#x"}) {
      request.url = url;
      const auto got = stage.fetch(request);
      REQUIRE_FALSE(got.ok());
      CHECK(got.error().kind == ErrorKind::kConfiguration);
      CHECK(got.error().detail.find("canary") == std::string::npos);
    }
  }
  SUBCASE("fields that would be two") {
    request.fields.add("a", "b\r\nc: d");
    CHECK(stage.fetch(std::move(request)).error().kind == ErrorKind::kConfiguration);
  }
}

TEST_CASE("a call that is destroyed is silent, wherever it was") {
  Stage stage("");
  bool called = false;
  const auto never = [&](const Result<FetchResponse>&) { called = true; };
  auto waiting = stage.fetcher->fetch(stage.request("http"), never);
  auto resolving = stage.fetcher->fetch(stage.request("http"), never);
  resolving.reset();
  REQUIRE(run_until(stage.loop, [&] {
    return stage.server.connections() > 0 && !stage.server.request(0).empty();
  }));
  FetchRequest wrong;
  auto failed = stage.fetcher->fetch(wrong, never);
  failed.reset();
  waiting.reset();
  // One more, to its end, in the same breath.
  wrong.url = "nonsense";
  CHECK_FALSE(stage.fetch(wrong).ok());
  CHECK_FALSE(called);
}

TEST_CASE("a fetch goes through the proxy that it is given, and no other") {
  Stage stage(kAnswer);
  FetchRequest request = stage.request("http");
  SUBCASE("asking it for a tunnel") {
    ScriptedHttpServer proxy(stage.loop, [](const std::string& asked) -> std::string {
      if (!asked.ends_with("\r\n\r\n")) return {};
      return "HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n";
    });
    request.url = "http://target.invalid/";
    request.options.proxy.host = "localhost";
    request.options.proxy.port = static_cast<uint16_t>(std::stoi(proxy.port()));
    request.options.proxy.credentials = Secret("us%41er:pass:word");
    const auto got = stage.fetch(std::move(request));
    REQUIRE_FALSE(got.ok());
    CHECK(got.error().kind == ErrorKind::kRefused);
    CHECK(proxy.request(0).starts_with("CONNECT target.invalid:80 HTTP/1.1\r\n"));
    CHECK(proxy.request(0).find("Proxy-Authorization: Basic dXMlNDFlcjpwYXNzOndvcmQ=\r\n") !=
          std::string::npos);
  }
  SUBCASE("and not through the environment's") {
    for (const char* name : {"http_proxy", "all_proxy", "https_proxy"})
      setenv(name, "http://127.0.0.1:1", 1);
    CHECK(stage.fetch(std::move(request)).ok());
    for (const char* name : {"http_proxy", "all_proxy", "https_proxy"})
      unsetenv(name);
  }
}
