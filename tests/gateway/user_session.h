#pragma once

// The HTTP server's half of a connection that a user opened: reads requests, starts them at an
// Origin (the dispatcher, or the toy origin itself), writes the answers. One file per HTTP version.

#include "agent/origin/origin.h"
#include "common/byte_stream.h"
#include "common/http_rules.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ptth::dev {

// Bytes that arrived before the session was made are given to it with on_bytes.
class UserSession : public ByteStream::Listener {
 public:
  class Listener {
   public:
    // Terminal. Retire the session.
    virtual void on_user_session_ended(UserSession& session) = 0;

   protected:
    ~Listener() = default;
  };

  struct Options {
    Scheme scheme = Scheme::kHttp;  // Of requests that do not say it themselves.
    std::string via;                // Our name in Via; empty: none is added, as an origin does.
    uint32_t streams_max = 250;
    // Bounds of one request: its body on the way to the Origin, its answer on the way back.
    uint32_t upload_bytes_max = 1 << 18;
    size_t download_bytes_max = size_t{256} * 1024;
    size_t output_bytes_max = size_t{256} * 1024;  // Frames that the kernel has not yet taken.
    Milliseconds close_timeout{2'000};
  };

  // Both own the stream and become its listener. origin and listener outlive the session.
  [[nodiscard]] static std::unique_ptr<UserSession> http1(Loop& loop,
                                                          std::unique_ptr<ByteStream> stream,
                                                          Origin& origin, const Options& options,
                                                          Listener& listener);
  [[nodiscard]] static std::unique_ptr<UserSession> http2(Loop& loop,
                                                          std::unique_ptr<ByteStream> stream,
                                                          Origin& origin, const Options& options,
                                                          Listener& listener);

  UserSession() = default;
  UserSession(const UserSession&) = delete;
  UserSession& operator=(const UserSession&) = delete;
  UserSession(UserSession&&) = delete;
  UserSession& operator=(UserSession&&) = delete;
  virtual ~UserSession() = default;

  // Finishes what is in flight, then on_user_session_ended.
  virtual void leave() = 0;
};

}  // namespace ptth::dev
