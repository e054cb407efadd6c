#include "agent/admin.h"

#include "tests/support/recording_listener.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"
#include "tests/support/temp_dir.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using ptth::Admin;
using ptth::AdminOptions;
using ptth::AdminSource;
using ptth::ByteStream;
using ptth::Check;
using ptth::ConnectAttempt;
using ptth::Loop;
using ptth::Metrics;
using ptth::Milliseconds;
using ptth::Result;
using ptth::test::as_bytes;
using ptth::test::loopback_address;
using ptth::test::RecordingListener;
using ptth::test::run_until;
using ptth::test::TempDir;

namespace {

class ReadySource final : public AdminSource {
 public:
  std::vector<Check> readiness() override { return {{"links", Check::State::kPassing, ""}}; }

  std::vector<Check> startup() override { return {}; }

  std::string status() override { return "{}"; }

  void begin_drain() override { ++drains; }

  int drains = 0;
};

size_t count_of(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

// The admin listener on a port of loopback.
struct Server {
  explicit Server(AdminOptions options = {}) {
    options.listen = "127.0.0.1:0";
    auto started = Admin::start(loop, source, metrics, options);
    REQUIRE(started.ok());
    admin = std::move(started).value();
  }

  Loop loop;
  ReadySource source;
  Metrics metrics;
  std::unique_ptr<Admin> admin;
};

// What a client sends, as it is, and what it gets.
class RawClient {
 public:
  explicit RawClient(Server& server) : loop_(server.loop) {
    const sockaddr_in address = loopback_address(server.admin->port());
    attempt_ = ConnectAttempt::tcp(loop_, reinterpret_cast<const sockaddr&>(address), {},
                                   [this](Result<std::unique_ptr<ByteStream>> connected) {
                                     if (!connected.ok()) return;
                                     stream_ = std::move(connected).value();
                                     stream_->set_listener(&heard_);
                                   });
  }

  ~RawClient() = default;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  RawClient(RawClient&&) = delete;
  RawClient& operator=(RawClient&&) = delete;

  void send(std::string_view text) {
    REQUIRE(run_until(loop_, [this] { return stream_ != nullptr; }));
    stream_->write(as_bytes(text));
  }

  [[nodiscard]] bool connected() const { return stream_ != nullptr; }

  [[nodiscard]] ByteStream& stream() { return *stream_; }

  [[nodiscard]] const std::string& received() const { return heard_.received; }

  [[nodiscard]] bool over() const { return heard_.ends > 0 || heard_.failure.has_value(); }

  [[nodiscard]] bool reset() const { return heard_.failure.has_value(); }

  void wait_for(std::string_view text) {
    CHECK(run_until(loop_, [&] { return received().find(text) != std::string::npos; }));
  }

  void wait_for_end() {
    CHECK(run_until(loop_, [this] { return over(); }));
  }

 private:
  Loop& loop_;
  RecordingListener heard_;
  std::unique_ptr<ByteStream> stream_;
  std::unique_ptr<ConnectAttempt> attempt_;
};

// Sends all of it and waits for the end of the connection.
std::string ask(Server& server, std::string_view text) {
  RawClient client(server);
  client.send(text);
  client.wait_for_end();
  CHECK_FALSE(client.reset());
  return client.received();
}

std::string request(std::string_view line, std::string_view fields = "") {
  return std::string(line) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) + "\r\n";
}

// For cases that wait for a timeout.
AdminOptions impatient_with_requests() {
  AdminOptions options;
  options.request_timeout = Milliseconds(30);
  return options;
}

AdminOptions impatient_with_idlers() {
  AdminOptions options;
  options.idle_timeout = Milliseconds(30);
  return options;
}

}  // namespace

TEST_CASE("the admin listener answers on one connection as long as the client wants") {
  Server server;
  RawClient client(server);
  client.send(request("GET /livez"));
  client.wait_for("\r\n\r\nok\n");
  CHECK(client.received().starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(client.received().find("content-length: 3\r\n") != std::string::npos);
  client.send(request("GET /metrics"));
  client.wait_for("# EOF\n");
  client.send(request("GET /nothing", "Connection: close\r\n"));
  client.wait_for_end();
  CHECK(client.received().ends_with("\r\n\r\nnot found\n"));
  CHECK_FALSE(client.reset());
}

TEST_CASE("HEAD is answered like GET without the body") {
  Server server;
  const std::string answer = ask(server, request("HEAD /livez", "Connection: close\r\n"));
  CHECK(answer.find("content-length: 3\r\n") != std::string::npos);
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("HTTP/1.0 without Host is answered and closed") {
  Server server;
  CHECK(ask(server, "GET /livez HTTP/1.0\r\n\r\n").ends_with("\r\n\r\nok\n"));
}

TEST_CASE("requests that come together or in single bytes are answered in their order") {
  Server server;
  SUBCASE("together") {
    std::string all;
    for (int time = 0; time < 200; ++time)
      all += request(time % 2 == 0 ? "GET /livez" : "GET /readyz?verbose");
    all += request("GET /startupz", "Connection: close\r\n");
    const std::string answers = ask(server, all);
    CHECK(count_of(answers, "HTTP/1.1 200 OK\r\n") == 201);
    CHECK(count_of(answers, "\r\n\r\n[+] links\nok\n") == 100);
  }
  SUBCASE("in single bytes") {
    RawClient client(server);
    for (const char byte : request("GET /livez")) {
      client.send(std::string(1, byte));
      server.loop.turn();
    }
    client.wait_for("\r\n\r\nok\n");
  }
  SUBCASE("and the client has shut its side") {
    RawClient client(server);
    client.send(request("GET /livez") + request("GET /livez"));
    client.stream().shutdown();
    client.wait_for_end();
    CHECK(count_of(client.received(), "\r\n\r\nok\n") == 2);
  }
}

TEST_CASE("bad requests are refused, told why where there is someone to tell, and closed") {
  struct Case {
    std::string_view what;
    std::string text;
    std::string_view answer;
  };

  const std::vector<Case> cases = {
      {"rebinding", "GET /metrics HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
       "HTTP/1.1 421 "},
      {"method", request("DELETE /livez", "Connection: close\r\n"), "HTTP/1.1 405 "},
      {"body", request("POST /livez", "Content-Length: 5\r\n") + "hello", "HTTP/1.1 413 "},
      {"body in chunks", request("GET /livez", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
       "HTTP/1.1 413 "},
      {"body that is awaited",
       request("POST /livez", "Content-Length: 5\r\nExpect: 100-continue\r\n"), "HTTP/1.1 413 "},
      {"two lengths", request("GET /livez", "Content-Length: 0\r\nContent-Length: 5\r\n"),
       "HTTP/1.1 400 "},
      {"smuggling", request("GET /livez", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
       "HTTP/1.1 400 "},
      {"no host", "GET /livez HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
      {"two hosts", request("GET /livez", "Host: localhost\r\n"), "HTTP/1.1 400 "},
      {"bare LF", "GET /livez HTTP/1.1\nHost: localhost\n\n", "HTTP/1.1 400 "},
      {"folding", request("GET /livez", "A: b\r\n c\r\n"), "HTTP/1.1 400 "},
      {"control byte", request("GET /livez", std::string("A: b\0c\r\n", 8)), "HTTP/1.1 400 "},
      {"no HTTP", "\x16\x03\x01\x02\x01\r\n\r\n", "HTTP/1.1 400 "},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 "},
      {"old version", "GET /livez HTTP/0.9\r\n\r\n", "HTTP/1.1 505 "},
      {"huge field", request("GET /livez", "A: " + std::string(9000, 'a') + "\r\n"),
       "HTTP/1.1 431 "},
      {"huge target", "GET /" + std::string(100'000, 'a'), "HTTP/1.1 4"},
      {"many fields",
       request("GET /livez",
               [] {
                 std::string fields;
                 for (int field = 0; field < 100; ++field)
                   fields += "a: b\r\n";
                 return fields;
               }()),
       "HTTP/1.1 431 "},
  };
  Server server;
  for (const Case& bad : cases) {
    CAPTURE(bad.what);
    const std::string answer = ask(server, bad.text);
    CHECK_MESSAGE(answer.starts_with(bad.answer), answer);
    CHECK(count_of(answer, "HTTP/1.1 ") == 1);
  }
}

TEST_CASE("what follows a refused request is never taken for another") {
  Server server;
  const std::string answer =
      ask(server, request("POST /livez", "Content-Length: 100\r\n") + request("GET /livez"));
  CHECK(count_of(answer, "HTTP/1.1 ") == 1);
}

TEST_CASE("a client that is slow with its request is told so and closed") {
  Server server(impatient_with_requests());
  RawClient client(server);
  client.send("GET /livez HTTP/1.1\r\nHo");
  client.wait_for_end();
  CHECK(client.received().starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a client that drips bytes gets no more time by that") {
  AdminOptions options = impatient_with_requests();
  options.head_bytes_max = size_t{1} << 30U;  // More than any machine drips in that time.
  Server server(options);
  RawClient client(server);
  client.send("GET /livez HTTP/1.1\r\n");
  // A byte each turn, for as long as the connection lasts.
  REQUIRE(run_until(server.loop, [&] {
    if (!client.over()) client.stream().write(as_bytes("a"));
    return client.over();
  }));
  CHECK(client.received().starts_with("HTTP/1.1 408 "));
}

TEST_CASE("a connection on which nothing is asked, or nothing more, is closed") {
  Server server(impatient_with_idlers());
  RawClient silent(server);
  silent.send("");
  silent.wait_for_end();
  CHECK(silent.received().empty());
  RawClient once(server);
  once.send(request("GET /livez"));
  once.wait_for_end();
  CHECK_FALSE(once.reset());
}

TEST_CASE("a client that reads no answers is let go, and makes no memory grow") {
  Server server(impatient_with_requests());
  for (int series = 0; series < 900; ++series) {
    server.metrics.counter("ptth_filler", std::string(1000, 'h'), {{"n", std::to_string(series)}});
  }
  RawClient client(server);
  client.send("");
  client.stream().pause_reading();
  std::string all;
  for (int time = 0; time < 2000; ++time)
    all += request("GET /metrics");
  client.send(all);
  const ptth::Counter& answered =
      server.metrics.counter("ptth_admin_requests", "", {{"path", "metrics"}, {"code", "200"}});
  const ptth::Gauge& open = server.metrics.gauge("ptth_admin_connections", "");
  REQUIRE(run_until(server.loop, [&] { return answered.value() > 0; }));
  CHECK(run_until(server.loop, [&] { return open.value() == 0; }));
  // What the sockets' buffers took, and one more.
  CHECK(answered.value() < 1000);
}

TEST_CASE("a thousand connections that only wait keep no probe out") {
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  rlimit more = files;
  more.rlim_cur = std::min<rlim_t>(files.rlim_max, 4096);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &more) == 0);
  {
    Server server;
    std::vector<std::unique_ptr<RawClient>> crowd;
    for (int index = 0; index < 1000; ++index) {
      crowd.push_back(std::make_unique<RawClient>(server));
      if (index % 100 == 0) server.loop.turn();
    }
    CHECK(run_until(server.loop, [&] {
      return std::all_of(crowd.begin(), crowd.end(),
                         [](const auto& client) { return client->connected(); });
    }));
    RawClient probe(server);
    probe.send(request("GET /readyz"));
    probe.wait_for("\r\n\r\nok\n");
    const ptth::Gauge& open = server.metrics.gauge("ptth_admin_connections", "");
    CHECK(open.value() <= AdminOptions().connections_max);
    CHECK(run_until(server.loop, [&] {
      return std::count_if(crowd.begin(), crowd.end(), [](const auto& client) {
               return !client->over();
             }) <= AdminOptions().connections_max;
    }));
    crowd.clear();
    CHECK(run_until(server.loop, [&] { return open.value() <= 1; }));
  }
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
}

TEST_CASE("connections that are open when the admin listener goes away are closed") {
  Server server;
  RawClient idle(server);
  RawClient busy(server);
  idle.send("");
  busy.send("GET /livez HTT");
  REQUIRE(run_until(server.loop, [&] {
    return server.metrics.gauge("ptth_admin_connections", "").value() == 2;
  }));
  server.admin.reset();
  idle.wait_for_end();
  busy.wait_for_end();
}

TEST_CASE("an address that is taken is an error in words") {
  Server server;
  AdminOptions options;
  options.listen = "127.0.0.1:" + std::to_string(server.admin->port());
  const auto second = Admin::start(server.loop, server.source, server.metrics, options);
  REQUIRE_FALSE(second.ok());
  CHECK(second.error().detail.find(options.listen) != std::string::npos);
}

TEST_CASE("the admin listener also serves on a Unix socket, whatever Host says") {
  Server server;
  const TempDir dir;
  AdminOptions options;
  options.listen = "unix:" + dir.file("admin.sock");
  const auto admin = Admin::start(server.loop, server.source, server.metrics, options);
  REQUIRE(admin.ok());
  std::unique_ptr<ByteStream> stream;
  const auto attempt =
      ConnectAttempt::unix_socket(server.loop, dir.file("admin.sock"), {},
                                  [&](auto connected) { stream = std::move(connected).value(); });
  REQUIRE(run_until(server.loop, [&] { return stream != nullptr; }));
  RecordingListener heard;
  stream->set_listener(&heard);
  stream->write(as_bytes("GET /livez HTTP/1.1\r\nHost: any\r\n\r\n"));
  CHECK(run_until(server.loop, [&] { return heard.received.ends_with("\r\n\r\nok\n"); }));
}
