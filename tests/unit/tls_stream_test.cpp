#include "common/tls_stream.h"

#include "tests/support/pattern_sequence.h"
#include "tests/support/pipe_stream.h"
#include "tests/support/run_until.h"
#include "tests/support/tls_pair.h"

#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

using ptth::Bytes;
using ptth::ByteStream;
using ptth::ClockMode;
using ptth::Error;
using ptth::ErrorKind;
using ptth::Loop;
using ptth::TlsStream;
using ptth::test::as_bytes;
using ptth::test::as_text;
using ptth::test::Delivery;
using ptth::test::make_pipe;
using ptth::test::Pattern;
using ptth::test::PipeOptions;
using ptth::test::PipePair;
using ptth::test::PipeStream;
using ptth::test::RecordingListener;
using ptth::test::Sequence;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;
using ptth::test::turn_until;

namespace {

const TestCertificates& certificates() {
  static const TestCertificates made;
  return made;
}

// A client and a server whose handshake is done; the pipe's ends stay in sight.
struct Connected {
  explicit Connected(const PipeOptions& options = {})
      : pipe(make_pipe(loop, options, options)),
        client_pipe(*pipe.a),
        server_pipe(*pipe.b),
        client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
               std::move(pipe.a)),
        server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
               std::move(pipe.b)) {
    client.listens_when_secured = false;
    server.listens_when_secured = false;
    REQUIRE(turn_until(loop, [&] { return client.secured && server.secured; }));
  }

  void listen() {
    client.stream().set_listener(&client.heard);
    server.stream().set_listener(&server.heard);
  }

  void settle() {
    for (int turn = 0; turn < 5; ++turn)
      loop.turn();
  }

  TlsSetup setup{certificates()};
  Loop loop{ClockMode::kManual};
  PipePair pipe;
  PipeStream& client_pipe;
  PipeStream& server_pipe;
  TlsEnd client;
  TlsEnd server;
};

void exchange_sequences(Connected& connected, size_t bytes) {
  Sequence client(connected.client.stream(), bytes);
  Sequence server(connected.server.stream(), bytes);
  REQUIRE(turn_until(connected.loop, [&] {
    connected.settle();
    client.resume();
    server.resume();
    return client.ended && server.ended;
  }));
  for (const Sequence* end : {&client, &server}) {
    CHECK_FALSE(end->failure.has_value());
    CHECK(end->received == bytes);
    CHECK(end->wrong == 0);
    // The bound, one block, and what encryption adds.
    CHECK(end->unsent_max < Sequence::kUnsentMax + Pattern::kPeriod + 10'000);
  }
}

}  // namespace

TEST_CASE("10 MB each way arrive unchanged through TLS with pauses and bounded buffers") {
  PipeOptions options;
  SUBCASE("in deliveries as sockets make them") {
    options.capacity = 300'000;
    options.chunk_bytes_max = 65'536;
  }
  SUBCASE("in deliveries that cut records anywhere") {
    options.capacity = 50'000;
    options.chunk_bytes_max = 4'099;
    options.delivery = Delivery::kNextTurn;
  }
  Connected connected(options);
  exchange_sequences(connected, 10'000'000);
}

TEST_CASE("small writes of one turn share records, and arrive in one delivery") {
  Connected connected;
  connected.listen();
  const size_t before = connected.client_pipe.bytes_sent();
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = "line " + std::to_string(i) + " of what the session wrote\n";
    expected += line;
    connected.client.stream().write(as_bytes(line));
  }
  CHECK(connected.client.stream().unsent_bytes() >= expected.size());
  connected.settle();
  CHECK(connected.server.heard.received == expected);
  CHECK(connected.server.heard.deliveries == 1);
  // Each record adds 22 bytes: a header of 5, the type, and a tag of 16.
  const size_t records = expected.size() / 16'384 + 1;
  CHECK(connected.client_pipe.bytes_sent() - before == expected.size() + 22 * records);
  CHECK(connected.client.stream().unsent_bytes() == 0);
  CHECK(connected.client.heard.sent > 0);
}

TEST_CASE("bytes that arrive before there is a listener wait for it") {
  Connected connected;
  connected.server.stream().write(as_bytes("early, "));
  connected.settle();
  connected.server.stream().write(as_bytes("and later"));
  connected.settle();
  CHECK(connected.client.heard.received.empty());
  connected.listen();
  CHECK(connected.client.heard.received.empty());
  connected.settle();
  CHECK(connected.client.heard.received == "early, and later");
}

TEST_CASE("what follows the handshake in the same delivery goes to the listener set by then") {
  TlsSetup setup(certificates());
  Loop loop(ClockMode::kManual);
  PipePair pipe = make_pipe(loop);
  TlsEnd client(loop, TlsEnd::Role::kClient, setup.client, setup.client_parameters,
                std::move(pipe.a));
  TlsEnd server(loop, TlsEnd::Role::kServer, setup.server, setup.server_parameters,
                std::move(pipe.b));
  client.says_when_secured = "with the client's Finished";
  server.says_when_secured = "with the server's";
  loop.turn();
  CHECK(server.heard.received == "with the client's Finished");
  CHECK(client.heard.received == "with the server's");
}

TEST_CASE("a listener that pauses in the middle of a delivery gets the rest when it resumes") {
  Connected connected;

  class PausesAtOnce final : public ByteStream::Listener {
   public:
    explicit PausesAtOnce(ByteStream& stream) : stream_(stream) {}

    void on_bytes(Bytes bytes) override {
      CHECK_FALSE(paused);
      received.append(as_text(bytes));
      paused = true;
      stream_.pause_reading();
    }

    void on_end() override {
      CHECK_FALSE(paused);
      ended = true;
    }

    void on_failed(const Error& error) override { FAIL(error.detail); }

    void on_sent() override {}

    std::string received;
    bool paused = false;
    bool ended = false;

   private:
    ByteStream& stream_;
  };

  PausesAtOnce reader(connected.server.stream());
  connected.listen();
  connected.server.stream().set_listener(&reader);
  std::string sent;
  for (size_t i = 0; i < 300'000; ++i)
    sent += static_cast<char>('a' + i % 23);
  connected.client.stream().write(as_bytes(sent));
  connected.client.stream().shutdown();
  int pauses = 0;
  while (!reader.ended && pauses < 100) {
    connected.settle();
    if (!reader.paused) break;
    ++pauses;
    reader.paused = false;
    connected.server.stream().resume_reading();
  }
  CHECK(reader.ended);
  CHECK(reader.received == sent);
  CHECK(pauses > 1);
}

TEST_CASE("the listener may be replaced between deliveries, also while bytes wait") {
  Connected connected;
  connected.listen();
  RecordingListener second;
  connected.client.stream().write(as_bytes("for the first"));
  connected.settle();
  connected.server.stream().set_listener(nullptr);
  connected.client.stream().write(as_bytes("for the second"));
  connected.settle();
  connected.server.stream().set_listener(&second);
  connected.settle();
  CHECK(connected.server.heard.received == "for the first");
  CHECK(second.received == "for the second");
}

TEST_CASE("a shutdown sends close_notify behind the bytes, and the other direction stays open") {
  Connected connected;
  connected.listen();
  connected.client.stream().write(as_bytes("question"));
  connected.client.stream().shutdown();
  connected.client.stream().write(as_bytes("dropped"));
  connected.settle();
  CHECK(connected.server.heard.received == "question");
  CHECK(connected.server.heard.ends == 1);
  connected.server.stream().write(as_bytes("answer"));
  connected.server.stream().shutdown();
  connected.settle();
  CHECK(connected.client.heard.received == "answer");
  CHECK(connected.client.heard.ends == 1);
  CHECK_FALSE(connected.client.failure().has_value());
  CHECK_FALSE(connected.server.failure().has_value());
}

TEST_CASE("the end of the connection without close_notify is an end as well") {
  Connected connected;
  connected.listen();
  connected.server.stream().write(as_bytes("last words"));
  connected.loop.turn();
  connected.server.take_stream().reset();
  connected.settle();
  CHECK(connected.client.heard.received == "last words");
  CHECK(connected.client.heard.ends == 1);
  CHECK_FALSE(connected.client.failure().has_value());
  // Nobody is there to read it.
  connected.client.stream().write(as_bytes("anybody?"));
  connected.settle();
  REQUIRE(connected.client.failure().has_value());
  CHECK(connected.client.failure()->kind == ErrorKind::kClosed);
}

TEST_CASE("a broken connection is one failure, and writes after it are dropped") {
  Connected connected;
  connected.listen();
  connected.client_pipe.cut();
  connected.settle();
  REQUIRE(connected.client.heard.failure.has_value());
  REQUIRE(connected.server.heard.failure.has_value());
  CHECK(connected.client.heard.failure->kind == ErrorKind::kClosed);
  CHECK_FALSE(connected.client.heard.failure->retryable);
  connected.client.stream().write(as_bytes(std::string(100'000, 'x')));
  CHECK(connected.client.stream().unsent_bytes() == 0);
  connected.settle();
}

TEST_CASE("a failure that comes while nobody listens is told to the next listener") {
  Connected connected;
  connected.client_pipe.cut();
  connected.settle();
  connected.listen();
  CHECK_FALSE(connected.client.failure().has_value());
  connected.settle();
  CHECK(connected.client.failure().has_value());
}

TEST_CASE("a destroyed stream is silent, with records under way in both directions") {
  Connected connected;
  connected.listen();
  connected.client.stream().write(as_bytes(std::string(50'000, 'c')));
  connected.server.stream().write(as_bytes(std::string(50'000, 's')));
  connected.client.take_stream().reset();
  connected.settle();
  CHECK(connected.client.heard.deliveries == 0);
  CHECK(connected.client.heard.sent == 0);
  CHECK(connected.client.heard.ends == 0);
  CHECK_FALSE(connected.client.failure().has_value());
}

TEST_CASE("TLS runs inside TLS, also with the same settings for both") {
  Connected connected;

  struct Inner final : TlsStream::HandshakeListener {
    void on_secured() override { stream->set_listener(&heard); }

    void on_handshake_failed(const Error& error) override { FAIL(error.detail); }

    std::unique_ptr<TlsStream> stream;
    RecordingListener heard;
  };

  Inner client;
  Inner server;
  client.stream =
      TlsStream::connect(connected.loop, connected.client.context(), connected.client.take_stream(),
                         connected.setup.client_parameters, client);
  server.stream =
      TlsStream::accept(connected.loop, connected.server.context(), connected.server.take_stream(),
                        connected.setup.server_parameters, server);
  connected.settle();
  const Pattern pattern;
  std::string sent;
  for (int i = 0; i < 20; ++i)
    sent += pattern.at(sent.size(), Pattern::kPeriod);
  client.stream->write(as_bytes(sent));
  server.stream->write(as_bytes(sent));
  connected.settle();
  CHECK(client.heard.received == sent);
  CHECK(server.heard.received == sent);
}

TEST_CASE(
    "both ends of a connection have the same exporter value, and no other connection has it") {
  Connected one;
  Connected other;
  const auto value = one.client.stream().exporter_value("EXPORTER-test");
  REQUIRE(value.has_value());
  CHECK(value->size() == 32);
  CHECK(one.server.stream().exporter_value("EXPORTER-test") == value);
  CHECK(one.client.stream().exporter_value("EXPORTER-another") != value);
  CHECK(other.client.stream().exporter_value("EXPORTER-test") != value);
}
