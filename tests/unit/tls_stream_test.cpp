#include "common/tls_stream.h"

#include "tests/support/pipe_stream.h"
#include "tests/support/run_until.h"
#include "tests/support/tls_pair.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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
using ptth::test::PipeOptions;
using ptth::test::PipePair;
using ptth::test::PipeStream;
using ptth::test::RecordingListener;
using ptth::test::TestCertificates;
using ptth::test::TlsEnd;
using ptth::test::TlsSetup;
using ptth::test::turn_until;

namespace {

const TestCertificates& certificates() {
  static const TestCertificates kCertificates;
  return kCertificates;
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

// A long text that repeats after a prime number of bytes, so that a block that is missing, doubled
// or in the wrong place shows.
class Pattern {
 public:
  static constexpr size_t kPeriod = 65'521;

  Pattern() {
    for (size_t i = 0; i < 2 * kPeriod; ++i)
      text_ += static_cast<char>((i % kPeriod) * 2'654'435'761U >> 13U);
  }

  // At most kPeriod bytes.
  [[nodiscard]] std::string_view at(size_t position, size_t size) const {
    return std::string_view(text_).substr(position % kPeriod, size);
  }

 private:
  std::string text_;
};

// Sends the pattern as its bound allows, and checks that it receives it.
class Sequence final : public ByteStream::Listener {
 public:
  static constexpr size_t kUnsentMax = size_t{200} * 1000;
  static constexpr size_t kPauseEvery = size_t{1000} * 1000;

  Sequence(ByteStream& stream, size_t total) : stream_(stream), total_(total) {
    stream_.set_listener(this);
    send();
  }

  void on_bytes(Bytes bytes) override {
    CHECK_FALSE(paused);
    largest = std::max(largest, bytes.size());
    const size_t before = received;
    for (Bytes rest = bytes; !rest.empty();) {
      const Bytes part = rest.first(std::min(rest.size(), Pattern::kPeriod));
      if (as_text(part) != pattern_.at(received, part.size())) ++wrong;
      received += part.size();
      rest = rest.subspan(part.size());
    }
    paused = received / kPauseEvery != before / kPauseEvery;
    if (paused) stream_.pause_reading();
  }

  void on_end() override { ended = true; }

  void on_failed(const Error& error) override { FAIL(error.detail); }

  void on_sent() override { send(); }

  void resume() {
    if (!std::exchange(paused, false)) return;
    stream_.resume_reading();
  }

  size_t received = 0;
  size_t wrong = 0;
  size_t largest = 0;
  size_t unsent_max = 0;
  bool paused = false;
  bool ended = false;

 private:
  // Blocks of many sizes: small ones are gathered, large ones leave directly.
  void send() {
    while (sent_ < total_ && stream_.unsent_bytes() < kUnsentMax) {
      size_ = size_ * 5 % Pattern::kPeriod;
      const size_t size = std::min(total_ - sent_, size_);
      stream_.write(as_bytes(pattern_.at(sent_, size)));
      sent_ += size;
      unsent_max = std::max(unsent_max, stream_.unsent_bytes());
      if (sent_ == total_) stream_.shutdown();
    }
  }

  ByteStream& stream_;
  size_t total_;
  Pattern pattern_;
  size_t sent_ = 0;
  size_t size_ = 17;
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
