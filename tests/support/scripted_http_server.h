#pragma once

// A server on loopback that answers each connection with bytes from the test, over TLS or not,
// whatever it was asked; and keeps what it was asked.

#include "common/tcp_stream.h"
#include "common/tls_stream.h"
#include "tests/support/recording_listener.h"
#include "tests/support/test_certificates.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace ptth::test {

class ScriptedHttpServer {
 public:
  // What to send when these bytes have come so far; empty: nothing yet.
  using Answer = std::function<std::string(const std::string& request)>;

  ScriptedHttpServer(Loop& loop, Answer answer) : loop_(loop), answer_(std::move(answer)) {
    auto listening = Listener::listen(loop, "127.0.0.1:0", [this](auto stream) {
      connections_.push_back(std::make_unique<Connection>(*this, std::move(stream)));
    });
    CHECK_INVARIANT(listening.ok());
    listener_ = std::move(listening).value();
  }

  void use_tls(const TlsOptions& options) {
    auto context = TlsContext::for_server(options);
    CHECK_INVARIANT(context.ok());
    context_ = std::move(context).value();
  }

  [[nodiscard]] std::string port() const { return std::to_string(listener_->port()); }

  [[nodiscard]] size_t connections() const { return connections_.size(); }

  [[nodiscard]] const std::string& request(size_t number) const {
    return connections_[number]->received;
  }

 private:
  class Connection final : public ByteStream::Listener, public TlsStream::HandshakeListener {
   public:
    Connection(ScriptedHttpServer& server, std::unique_ptr<ByteStream> stream) : server_(server) {
      if (server.context_) {
        stream_ = TlsStream::accept(server.loop_, *server.context_, std::move(stream), {}, *this);
      } else {
        stream_ = std::move(stream);
        stream_->set_listener(this);
      }
    }

    void on_secured() override { stream_->set_listener(this); }

    void on_handshake_failed(const Error&) override {}

    void on_bytes(Bytes bytes) override {
      received += as_text(bytes);
      const std::string answer = has_answered_ ? std::string() : server_.answer_(received);
      if (answer.empty()) return;
      has_answered_ = true;
      stream_->write(as_bytes(answer));
      stream_->shutdown();
    }

    void on_end() override {}

    void on_failed(const Error&) override {}

    void on_sent() override {}

    std::string received;

   private:
    ScriptedHttpServer& server_;
    std::unique_ptr<ByteStream> stream_;
    bool has_answered_ = false;
  };

  Loop& loop_;
  Answer answer_;
  std::unique_ptr<TlsContext> context_;
  std::unique_ptr<ptth::Listener> listener_;
  std::vector<std::unique_ptr<Connection>> connections_;
};

}  // namespace ptth::test
