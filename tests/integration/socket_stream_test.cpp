#include "common/tcp_stream.h"
#include "tests/support/pattern_sequence.h"
#include "tests/support/recording_listener.h"
#include "tests/support/run_until.h"
#include "tests/support/sockets.h"
#include "tests/support/temp_dir.h"

#include <algorithm>
#include <arpa/inet.h>
#include <filesystem>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using ptth::Bytes;
using ptth::ByteStream;
using ptth::ConnectAttempt;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Listener;
using ptth::Loop;
using ptth::Milliseconds;
using ptth::Result;
using ptth::Side;
using ptth::Timer;
using ptth::test::as_bytes;
using ptth::test::loopback_address;
using ptth::test::Pattern;
using ptth::test::RecordingListener;
using ptth::test::run_until;
using ptth::test::Sequence;
using ptth::test::SocketPair;
using ptth::test::tcp_pair;
using ptth::test::TempDir;
using ptth::test::unix_pair;

namespace {

using Outcome = std::optional<Result<std::unique_ptr<ByteStream>>>;

std::unique_ptr<ConnectAttempt> connect_tcp(Loop& loop, int port, Outcome& outcome) {
  const sockaddr_in address = loopback_address(port);
  ConnectAttempt::Options options;
  options.peer = Side::kOrigin;
  options.user_timeout = Milliseconds(5000);
  return ConnectAttempt::tcp(
      loop, reinterpret_cast<const sockaddr&>(address), options,
      [&outcome](Result<std::unique_ptr<ByteStream>> result) { outcome = std::move(result); });
}

std::unique_ptr<ConnectAttempt> connect_unix(Loop& loop, const std::string& path,
                                             Outcome& outcome) {
  ConnectAttempt::Options options;
  options.peer = Side::kOrigin;
  return ConnectAttempt::unix_socket(
      loop, path, options,
      [&outcome](Result<std::unique_ptr<ByteStream>> result) { outcome = std::move(result); });
}

int port_where_nobody_listens(Loop& loop) {
  auto listener = Listener::listen(loop, "127.0.0.1:0", [](std::unique_ptr<ByteStream>) {});
  REQUIRE(listener.ok());
  return listener.value()->port();
}

// A plain socket on loopback that tells where connections come from.
class ListeningSocket {
 public:
  ListeningSocket() : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in any = loopback_address(0);
    socklen_t size = sizeof address_;
    REQUIRE(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&any), sizeof any) == 0);
    REQUIRE(::listen(descriptor_, 8) == 0);
    REQUIRE(::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address_), &size) == 0);
  }

  ~ListeningSocket() { ::close(descriptor_); }

  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;
  ListeningSocket(ListeningSocket&&) = delete;
  ListeningSocket& operator=(ListeningSocket&&) = delete;

  [[nodiscard]] const sockaddr& address() const {
    return reinterpret_cast<const sockaddr&>(address_);
  }

  [[nodiscard]] std::string accept_peer() const {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    const int accepted = ::accept(descriptor_, reinterpret_cast<sockaddr*>(&peer), &size);
    REQUIRE(accepted >= 0);
    ::close(accepted);
    std::string text(INET_ADDRSTRLEN, '\0');
    REQUIRE(::inet_ntop(AF_INET, &peer.sin_addr, text.data(), INET_ADDRSTRLEN) != nullptr);
    return text.c_str();
  }

 private:
  int descriptor_;
  sockaddr_in address_{};
};

// Sends back what it receives, and stops reading while too much of it is unsent.
class Echo final : public ByteStream::Listener {
 public:
  static constexpr size_t kUnsentMax = size_t{256} * 1024;

  explicit Echo(ByteStream& stream) : stream_(stream) { stream_.set_listener(this); }

  void on_bytes(Bytes bytes) override {
    stream_.write(bytes);
    unsent_max = std::max(unsent_max, stream_.unsent_bytes());
    if (stream_.unsent_bytes() >= kUnsentMax) stream_.pause_reading();
  }

  void on_end() override { stream_.shutdown(); }

  void on_failed(const Error& error) override { FAIL(error.detail); }

  void on_sent() override {
    if (stream_.unsent_bytes() < kUnsentMax / 2) stream_.resume_reading();
  }

  size_t unsent_max = 0;

 private:
  ByteStream& stream_;
};

constexpr size_t kEchoBytes = size_t{50} * 1024 * 1024;

void check_echo(Loop& loop, SocketPair pair) {
  Echo echo(*pair.accepted);
  Sequence sequence(*pair.connected, kEchoBytes);
  // While the reader is paused everything stands still, with no more than the bounds in memory.
  while (!sequence.ended) {
    REQUIRE(run_until(loop, [&] { return sequence.paused || sequence.ended; }));
    for (int turn = 0; turn < 20; ++turn)
      loop.turn();
    sequence.resume();
  }
  CHECK_FALSE(sequence.failure.has_value());
  CHECK(sequence.received == kEchoBytes);
  CHECK(sequence.wrong == 0);
  CHECK(sequence.unsent_max < Sequence::kUnsentMax + Pattern::kPeriod);
  CHECK(echo.unsent_max < Echo::kUnsentMax + Loop::kReadBufferSize);
}

}  // namespace

TEST_CASE("a refused connection says who refused, and may be tried again") {
  Loop loop;
  const int port = port_where_nobody_listens(loop);
  Outcome outcome;
  const auto attempt = connect_tcp(loop, port, outcome);
  CHECK_FALSE(outcome.has_value());
  REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
  REQUIRE_FALSE(outcome->ok());
  const Error& error = outcome->error();
  CHECK(error.detail == "connection refused by 127.0.0.1:" + std::to_string(port));
  CHECK(error.kind == ErrorKind::kUnreachable);
  CHECK(error.side == Side::kOrigin);
  CHECK(error.retryable);
}

TEST_CASE("a connection comes from the address that was chosen, or not at all") {
  Loop loop;
  const ListeningSocket listening;
  const auto connect_from = [&](const std::string& source) -> std::string {
    Outcome outcome;
    ConnectAttempt::Options options;
    options.source_address = source;
    const auto attempt = ConnectAttempt::tcp(
        loop, listening.address(), options,
        [&](Result<std::unique_ptr<ByteStream>> result) { outcome = std::move(result); });
    REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
    return outcome->ok() ? listening.accept_peer() : outcome->error().detail;
  };
  CHECK(connect_from("") == "127.0.0.1");
  CHECK(connect_from("127.0.0.9") == "127.0.0.9");
  // RFC 5737: nobody has it.
  CHECK(connect_from("192.0.2.1").find(" from 192.0.2.1: ") != std::string::npos);
  CHECK(connect_from("::1").find(" from ::1: ") != std::string::npos);
}

TEST_CASE("a Unix socket that is not there or has too long a path is an error from the loop") {
  Loop loop;
  const TempDir dir;
  Outcome outcome;
  SUBCASE("not there") {
    const auto attempt = connect_unix(loop, dir.file("none"), outcome);
    CHECK_FALSE(outcome.has_value());
    REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
    REQUIRE_FALSE(outcome->ok());
    CHECK(outcome->error().kind == ErrorKind::kUnreachable);
    CHECK(outcome->error().detail == "there is no socket at unix:" + dir.file("none"));
  }
  SUBCASE("path too long") {
    const auto attempt = connect_unix(loop, dir.file(std::string(108, 'x')), outcome);
    CHECK_FALSE(outcome.has_value());
    REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
    REQUIRE_FALSE(outcome->ok());
    CHECK(outcome->error().kind == ErrorKind::kConfiguration);
  }
  SUBCASE("nobody listens any more") {
    const std::string path = dir.file("left");
    { const SocketPair pair = unix_pair(loop, path); }
    CHECK_FALSE(std::filesystem::exists(path));
  }
}

TEST_CASE("a destroyed connection attempt is silent") {
  Loop loop;
  bool accepted = false;
  auto listener =
      Listener::listen(loop, "127.0.0.1:0", [&](std::unique_ptr<ByteStream>) { accepted = true; });
  REQUIRE(listener.ok());
  Outcome outcome;
  connect_tcp(loop, listener.value()->port(), outcome).reset();
  connect_unix(loop, "/nonexistent/socket", outcome).reset();
  Outcome second;
  const auto attempt = connect_tcp(loop, listener.value()->port(), second);
  REQUIRE(run_until(loop, [&] { return second.has_value() && accepted; }));
  CHECK(second->ok());
  CHECK_FALSE(outcome.has_value());
}

TEST_CASE("50 MiB come back unchanged over TCP through bounded buffers and a pausing reader") {
  Loop loop;
  check_echo(loop, tcp_pair(loop));
}

TEST_CASE("50 MiB come back unchanged over a Unix socket") {
  Loop loop;
  const TempDir dir;
  check_echo(loop, unix_pair(loop, dir.file("s")));
}

TEST_CASE("the direction that was not shut down stays open") {
  Loop loop;
  SocketPair pair = tcp_pair(loop);
  RecordingListener client;
  RecordingListener server;
  pair.connected->set_listener(&client);
  pair.accepted->set_listener(&server);
  pair.connected->write(as_bytes("question"));
  pair.connected->shutdown();
  pair.connected->write(as_bytes("after the end"));
  REQUIRE(run_until(loop, [&] { return server.ends == 1; }));
  CHECK(server.received == "question");
  pair.accepted->write(as_bytes("answer"));
  pair.accepted->shutdown();
  REQUIRE(run_until(loop, [&] { return client.ends == 1; }));
  CHECK(client.received == "answer");
  CHECK_FALSE(client.failure.has_value());
  CHECK_FALSE(server.failure.has_value());
}

TEST_CASE("a shutdown waits for the bytes that the kernel has not taken yet") {
  Loop loop;
  SocketPair pair = tcp_pair(loop);
  RecordingListener server;
  const std::string block(size_t{16} * 1024 * 1024, 'b');
  pair.connected->write(as_bytes(block));
  pair.connected->shutdown();
  loop.turn();
  REQUIRE(pair.connected->unsent_bytes() > 0);
  pair.accepted->set_listener(&server);
  REQUIRE(run_until(loop, [&] { return server.ends == 1; }));
  CHECK(server.received == block);
  CHECK(pair.connected->unsent_bytes() == 0);
}

TEST_CASE("what the kernel cannot send yet stays here if that is wanted") {
  Loop loop;
  ListeningSocket silent;  // It never reads.
  const auto taken_of_16_mib = [&](size_t kernel_unsent_bytes_max) {
    Outcome outcome;
    const auto attempt = ConnectAttempt::tcp(
        loop, silent.address(), {},
        [&outcome](Result<std::unique_ptr<ByteStream>> result) { outcome = std::move(result); });
    REQUIRE(run_until(loop, [&] { return outcome.has_value(); }));
    REQUIRE(outcome->ok());
    const auto stream = std::move(outcome->value());
    if (kernel_unsent_bytes_max > 0) stream->bound_kernel_unsent(kernel_unsent_bytes_max);
    const std::string block(size_t{16} * 1024 * 1024, 'b');
    stream->write(as_bytes(block));
    // The other end's kernel takes what its buffer holds within a few turns.
    for (int turn = 0; turn < 1000; ++turn)
      loop.turn();
    return block.size() - stream->unsent_bytes();
  };
  CHECK(taken_of_16_mib(64 * 1024) < 1024 * 1024);
  CHECK(taken_of_16_mib(0) > 1024 * 1024);
}

TEST_CASE("a stream that is destroyed with writes pending closes at once and is silent") {
  Loop loop;
  SocketPair pair = tcp_pair(loop);
  RecordingListener client;
  RecordingListener server;
  pair.connected->set_listener(&client);
  pair.accepted->set_listener(&server);
  pair.accepted->pause_reading();
  const std::string block(size_t{16} * 1024 * 1024, 'b');
  pair.connected->write(as_bytes(block));
  loop.turn();
  REQUIRE(pair.connected->unsent_bytes() > 0);
  pair.connected->write(as_bytes("more"));
  const int sent_before = client.sent;
  pair.connected.reset();
  pair.accepted->resume_reading();
  REQUIRE(run_until(loop, [&] { return server.ends == 1 || server.failure.has_value(); }));
  CHECK(server.received.size() < block.size());
  CHECK(client.sent == sent_before);
  CHECK(client.ends == 0);
  CHECK_FALSE(client.failure.has_value());
}

TEST_CASE("a stream that is broken off fails at the other side, one that is destroyed ends there") {
  for (const bool is_broken_off : {true, false}) {
    CAPTURE(is_broken_off);
    Loop loop;
    SocketPair pair = tcp_pair(loop);
    RecordingListener other_side;
    pair.accepted->set_listener(&other_side);
    pair.connected->write(as_bytes("half an answer"));
    REQUIRE(run_until(loop, [&] { return other_side.received == "half an answer"; }));
    if (is_broken_off) pair.connected->break_off();
    pair.connected.reset();
    REQUIRE(run_until(loop, [&] { return other_side.failure || other_side.ends > 0; }));
    CHECK(other_side.failure.has_value() == is_broken_off);
    pair.accepted.reset();
    loop.turn();
  }
}

TEST_CASE("nothing is read while there is no listener, and a new listener gets what follows") {
  Loop loop;
  SocketPair pair = tcp_pair(loop);
  pair.connected->write(as_bytes("early"));
  for (int turn = 0; turn < 20; ++turn)
    loop.turn();
  RecordingListener first;
  RecordingListener second;
  pair.accepted->set_listener(&first);
  REQUIRE(run_until(loop, [&] { return first.received == "early"; }));
  pair.accepted->set_listener(&second);
  pair.connected->write(as_bytes("late"));
  REQUIRE(run_until(loop, [&] { return second.received == "late"; }));
  CHECK(first.received == "early");
}

TEST_CASE("what the other side answered before it closed arrives before the failed write") {
  Loop loop;
  SocketPair pair = tcp_pair(loop);
  RecordingListener client;
  pair.accepted->write(as_bytes("413"));
  loop.turn();
  pair.connected->write(as_bytes("unread"));
  loop.turn();
  pair.accepted.reset();
  loop.turn();
  // The reset has arrived: this write fails.
  pair.connected->write(as_bytes("more of the upload"));
  loop.turn();
  pair.connected->set_listener(&client);
  REQUIRE(run_until(loop, [&] { return client.failure.has_value(); }));
  CHECK(client.received == "413");
  CHECK(client.failure->kind == ErrorKind::kClosed);
  CHECK(pair.connected->unsent_bytes() == 0);
}

TEST_CASE("the end of an answer is heard although the write that was under way failed") {
  Loop loop;
  const TempDir dir;
  SocketPair pair;
  SUBCASE("TCP") {
    pair = tcp_pair(loop);
  }
  SUBCASE("Unix") {
    pair = unix_pair(loop, dir.file("s"));
  }
  RecordingListener client;
  pair.accepted->write(as_bytes("an answer that ends with the connection"));
  pair.accepted->shutdown();
  loop.turn();
  pair.accepted.reset();
  loop.turn();
  // TCP answers the first of these writes with a reset.
  for (int i = 0; i < 2; ++i) {
    pair.connected->write(as_bytes("more of the upload"));
    loop.turn();
  }
  pair.connected->set_listener(&client);
  REQUIRE(run_until(loop, [&] { return client.failure.has_value(); }));
  CHECK(client.received == "an answer that ends with the connection");
  CHECK(client.ends == 1);
  CHECK(client.failure->kind == ErrorKind::kClosed);
}

TEST_CASE("a writer that always has more does not keep the loop in one turn") {
  Loop loop;
  SocketPair pair = tcp_pair(loop);

  class Insatiable final : public ByteStream::Listener {
   public:
    explicit Insatiable(ByteStream& stream) : stream_(stream) {}

    void on_bytes(Bytes) override {}

    void on_end() override {}

    void on_failed(const Error&) override {}

    void on_sent() override {
      ++sent;
      if (sent < 10'000) stream_.write(as_bytes("x"));
    }

    int sent = 0;

   private:
    ByteStream& stream_;
  };

  Insatiable writer(*pair.connected);
  pair.connected->set_listener(&writer);
  pair.connected->write(as_bytes("x"));
  loop.turn();
  CHECK(writer.sent > 0);
  CHECK(writer.sent < 100);
  const int before = writer.sent;
  REQUIRE(run_until(loop, [&] { return writer.sent > before + 20; }));
}

TEST_CASE("a socket that always has more is read in pieces, with a look at the others in between") {
  constexpr size_t kBytes = size_t{4} * 1024 * 1024;
  Loop loop;
  SocketPair pair = tcp_pair(loop);
  RecordingListener writer;
  RecordingListener reader;
  pair.connected->set_listener(&writer);
  pair.connected->write(as_bytes(std::string(kBytes, 'x')));
  // The kernel takes what it can before anything is read.
  loop.turn();
  pair.accepted->set_listener(&reader);
  size_t most = 0;
  while (reader.received.size() < kBytes) {
    const size_t before = reader.received.size();
    loop.turn();
    most = std::max(most, reader.received.size() - before);
  }
  CHECK(most >= Loop::kReadBufferSize);
  CHECK(most <= 2 * Loop::kReadBufferSize);
  pair.connected->set_listener(nullptr);
  pair.accepted->set_listener(nullptr);
}

TEST_CASE("many sockets that have much are read in small pieces, and none is left out") {
  constexpr size_t kSockets = 20;
  constexpr size_t kBytes = size_t{200} * 1024;
  Loop loop;
  RecordingListener writer;
  std::vector<SocketPair> pairs;
  std::vector<RecordingListener> readers(kSockets);
  for (size_t socket = 0; socket < kSockets; ++socket) {
    pairs.push_back(tcp_pair(loop));
    pairs.back().connected->set_listener(&writer);
    pairs.back().connected->write(as_bytes(std::string(kBytes, 'x')));
  }
  loop.turn();
  for (size_t socket = 0; socket < kSockets; ++socket)
    pairs[socket].accepted->set_listener(&readers[socket]);
  const auto received = [&] {
    size_t sum = 0;
    for (const RecordingListener& reader : readers)
      sum += reader.received.size();
    return sum;
  };
  loop.turn();
  for (const RecordingListener& reader : readers)
    CHECK_FALSE(reader.received.empty());
  // All at once would be 20 times two buffers.
  size_t most = received();
  while (received() < kSockets * kBytes) {
    const size_t before = received();
    loop.turn();
    most = std::max(most, received() - before);
  }
  CHECK(most < 12 * Loop::kReadBufferSize);
  for (const SocketPair& pair : pairs) {
    pair.connected->set_listener(nullptr);
    pair.accepted->set_listener(nullptr);
  }
}

TEST_CASE("a listener without descriptors pauses, does not spin, and goes on when there are some") {
  constexpr int kClients = 5;
  Loop loop;
  std::vector<std::unique_ptr<ByteStream>> accepted;
  auto listener = Listener::listen(loop, "127.0.0.1:0", [&](std::unique_ptr<ByteStream> stream) {
    accepted.push_back(std::move(stream));
  });
  REQUIRE(listener.ok());
  const sockaddr_in address = loopback_address(listener.value()->port());
  std::vector<int> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(clients.back(), reinterpret_cast<const sockaddr*>(&address),
                      sizeof address) == 0);
  }
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(clients.back()) + 1;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  bool waited = false;
  Timer wait(loop, [&] { waited = true; });
  wait.start(Milliseconds(350));
  const uint64_t turns_before = loop.turn_number();
  CHECK(run_until(loop, [&] { return waited; }));
  const uint64_t turns = loop.turn_number() - turns_before;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(accepted.empty());
  // 350 ms in waits of up to 20 ms; a spinning loop makes many thousands.
  CHECK(turns < 200);
  CHECK(run_until(loop, [&] { return accepted.size() == kClients; }));
  for (const int client : clients)
    ::close(client);
}

TEST_CASE("a listener says what is wrong with its address") {
  Loop loop;
  const auto ignore = [](std::unique_ptr<ByteStream>) {};
  const auto error_of = [&](const std::string& address) {
    const auto listener = Listener::listen(loop, address, ignore);
    return listener.ok() ? std::string() : listener.error().detail;
  };
  CHECK(error_of("127.0.0.1") == "cannot listen on 127.0.0.1: no port, as in 127.0.0.1:9000");
  CHECK(error_of("127.0.0.1:66000").find("not a number") != std::string::npos);
  CHECK(error_of("example.com:80").find("not an IP address") != std::string::npos);
  CHECK(error_of("unix:" + std::string(200, 'x')).find("at most") == std::string::npos);
  CHECK(error_of("unix:" + std::string(200, 'x')).find("bytes") != std::string::npos);
  CHECK(error_of(":0").empty());
  CHECK(error_of("127.0.0.1:0").empty());
}

TEST_CASE("a Unix listener replaces a socket that a dead process left, not one in use") {
  Loop loop;
  const TempDir dir;
  const std::string path = dir.file("admin.sock");
  const auto ignore = [](std::unique_ptr<ByteStream>) {};
  {
    auto first = Listener::listen(loop, "unix:" + path, ignore);
    REQUIRE(first.ok());
    CHECK(first.value()->port() == 0);
    const auto second = Listener::listen(loop, "unix:" + path, ignore);
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().detail ==
          "cannot listen on unix:" + path + ": another process listens there");
    // The file outlives its socket, as after a kill -9.
    std::filesystem::rename(path, path + ".kept");
  }
  std::filesystem::rename(path + ".kept", path);
  CHECK(Listener::listen(loop, "unix:" + path, ignore).ok());
}
