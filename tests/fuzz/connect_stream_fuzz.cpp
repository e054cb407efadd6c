// What a gateway sends to a hello that is an extended CONNECT, as raw bytes: one outcome, and the
// same however it is cut.

#include "agent/link/connect_stream.h"
#include "common/check.h"
#include "tests/support/hello_transcript.h"
#include "tests/support/recording_listener.h"
#include "tests/support/scripted_stream.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using ptth::Bytes;
using ptth::ByteStream;
using ptth::Error;
using ptth::Loop;
using ptth::Profile;

namespace test = ptth::test;

namespace {

// ENABLE_CONNECT_PROTOCOL (RFC 8441 section 3).
constexpr std::string_view kSettings("\0\0\x06\x04\0\0\0\0\0\0\x08\0\0\0\x01", 15);

struct Worker final : Profile::Listener {
  Worker() {
    options.window_bytes = 65'535;
    stream = ptth::make_connect_stream(loop, test::make_scripted_stream(wire),
                                       {spec, credentials, options}, *this);
    loop.turn();
    // So that we have asked before anything is answered.
    wire.say(kSettings);
    loop.turn();
  }

  ~Worker() {
    stream.reset();
    loop.turn();
  }

  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  Worker(Worker&&) = delete;
  Worker& operator=(Worker&&) = delete;

  void on_reversed(ptth::ChannelProtocol /*channel*/) override {
    note('r');
    stream->set_listener(&session);
  }

  void on_not_reversed(const Error& error) override {
    CHECK_INVARIANT(!error.detail.empty());
    note('n');
  }

  void on_redirected(const ptth::Redirect* /*redirect*/) override { note('m'); }

  void note(char what) {
    CHECK_INVARIANT(outcome == '\0');
    outcome = what;
  }

  Loop loop{ptth::ClockMode::kManual};
  ptth::HelloSpec spec = test::hello_spec({}, ptth::ptth_connect_hello());
  const ptth::HelloCredentials credentials;
  ptth::TunnelOptions options;
  test::Wire wire;
  test::RecordingListener session;
  std::unique_ptr<ByteStream> stream;
  char outcome = '\0';
};

struct Seen {
  char outcome = '\0';
  std::string session;

  bool operator==(const Seen&) const = default;
};

Seen read(Bytes input, size_t step) {
  Worker worker;
  while (!input.empty()) {
    const Bytes part = input.first(std::min(step, input.size()));
    // Memory of its own, so that a view kept too long is found by ASan.
    const std::vector<uint8_t> piece(part.begin(), part.end());
    worker.wire.say(test::as_text(piece));
    input = input.subspan(piece.size());
    worker.loop.turn();
  }
  worker.wire.end();
  worker.loop.turn();
  return {worker.outcome, worker.session.received};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(data, size);
  const Seen whole = read(input, std::max<size_t>(size, 1));
  // An end, at the latest, decides.
  CHECK_INVARIANT(whole.outcome != '\0');
  const Seen cut = read(input, 3);
  CHECK_INVARIANT(cut.outcome == whole.outcome);
  return 0;
}
