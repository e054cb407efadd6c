#include "tests/support/scripted_stream.h"

#include "tests/support/recording_listener.h"

namespace ptth::test {

namespace {

class ScriptedStream final : public ByteStream {
 public:
  explicit ScriptedStream(Wire& wire) : wire_(wire) {}

  ~ScriptedStream() override {
    wire_.destroyed = true;
    wire_.listener = nullptr;
  }

  ScriptedStream(const ScriptedStream&) = delete;
  ScriptedStream& operator=(const ScriptedStream&) = delete;
  ScriptedStream(ScriptedStream&&) = delete;
  ScriptedStream& operator=(ScriptedStream&&) = delete;

  void set_listener(Listener* listener) override { wire_.listener = listener; }

  void write(Bytes bytes) override { wire_.written += as_text(bytes); }

  // The kernel takes everything at once.
  [[nodiscard]] size_t unsent_bytes() const override { return 0; }

  void pause_reading() override { wire_.paused = true; }

  void resume_reading() override { wire_.paused = false; }

  void shutdown() override { wire_.shut_down = true; }

 private:
  Wire& wire_;
};

}  // namespace

void Wire::say(std::string_view bytes) const {
  if (listener != nullptr) listener->on_bytes(as_bytes(bytes));
}

void Wire::end() const {
  if (listener != nullptr) listener->on_end();
}

void Wire::fail(const Error& error) const {
  if (listener != nullptr) listener->on_failed(error);
}

std::unique_ptr<ByteStream> make_scripted_stream(Wire& wire) {
  return std::make_unique<ScriptedStream>(wire);
}

}  // namespace ptth::test
