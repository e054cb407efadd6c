#include "common/tcp_stream.h"

#include "common/address.h"
#include "common/socket.h"
#include "common/socket_error.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>

#include <uv.h>

namespace ptth {

namespace {

// A write that the kernel blocks is handed over in pieces of this size, so that on_sent comes while
// a large backlog shrinks and not only at its end.
constexpr size_t kBlockedWriteBytesMax = size_t{256} * 1024;

// Linux takes no more seconds for TCP_KEEPIDLE.
constexpr int64_t kKeepaliveIdleMax = 32'767;

// uv_try_write returns an int.
constexpr size_t kWriteBytesMax = size_t{1} << 30;

// So many flushes in one turn are answered by on_sent at once; after that the listener hears in the
// next turn, so that a writer that always has more, and a reader as fast as we are, leave the loop
// to others.
constexpr int kFlushesPerTurnMax = 4;

// libuv reads a socket up to 32 times before it looks at the next one. So many reads that fill the
// buffer are enough: the kernel keeps the rest, and reports the socket again in the next round.
constexpr int kFullReadsPerRoundMax = 2;

uv_buf_t as_buffer(Bytes bytes, size_t bytes_max) {
  // libuv's buffers are not const, but writing only reads them.
  auto* memory = reinterpret_cast<char*>(const_cast<uint8_t*>(bytes.data()));
  return {memory, std::min(bytes.size(), bytes_max)};
}

}  // namespace

// Reading and writing end separately, so each has its own flags; a failure ends both, and is
// reported once what can still be read has been read.
class SocketStream final : public ByteStream {
 public:
  SocketStream(Loop& loop, SocketPtr socket, Side peer, std::string peer_name)
      : loop_(loop),
        socket_(std::move(socket)),
        peer_(peer),
        peer_name_(std::move(peer_name)),
        end_of_turn_(loop, [this] { flush(); }) {
    socket_->stream = this;
  }

  ~SocketStream() override {
    socket_->stream = nullptr;
    give_back_outgoing();
  }

  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;
  SocketStream(SocketStream&&) = delete;
  SocketStream& operator=(SocketStream&&) = delete;

  void set_listener(Listener* listener) override {
    listener_ = listener;
    if (failure_ && ended_) end_of_turn_.schedule();
    update_reading();
  }

  void write(Bytes bytes) override {
    if (unwritable_ || shutdown_wanted_ || bytes.empty()) return;
    if (outgoing_.capacity() == 0) outgoing_ = loop_.take_queue(bytes.size());
    outgoing_.append(bytes);
    end_of_turn_.schedule();
  }

  [[nodiscard]] size_t unsent_bytes() const override {
    return outgoing_.size() + socket_->blocked.size();
  }

  void pause_reading() override {
    paused_ = true;
    update_reading();
  }

  void resume_reading() override {
    paused_ = false;
    update_reading();
  }

  void shutdown() override {
    shutdown_wanted_ = true;
    end_of_turn_.schedule();
  }

  void break_off() override {
    uv_os_fd_t descriptor = -1;
    unwritable_ = true;
    if (uv_fileno(&socket_->handle.any, &descriptor) != 0) return;
    const linger at_once{1, 0};
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }

  void bound_kernel_unsent(size_t bytes) override {
    uv_os_fd_t descriptor = -1;
    if (socket_->handle.any.type != UV_TCP || uv_fileno(&socket_->handle.any, &descriptor) != 0)
      return;
    const auto most =
        static_cast<unsigned int>(std::min<size_t>(bytes, std::numeric_limits<int>::max()));
    setsockopt(descriptor, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
  }

  // Without memory libuv stops reading this socket, until it is reported again.
  [[nodiscard]] uv_buf_t memory_for_read() {
    const int most = loop_.is_round_full() ? 1 : kFullReadsPerRoundMax;
    if (full_reads_ < most) return loop_.read_buffer();
    full_reads_ = 0;
    return {nullptr, 0};
  }

  void on_read(ssize_t count, const uv_buf_t& buffer) {
    const bool is_full = count > 0 && static_cast<size_t>(count) == buffer.len;
    full_reads_ = is_full ? full_reads_ + 1 : 0;
    if (count == UV_ENOBUFS && buffer.len == 0) return;
    if (count > 0) {
      const auto* memory = reinterpret_cast<const uint8_t*>(buffer.base);
      listener_->on_bytes({memory, static_cast<size_t>(count)});
    } else if (count < 0) {
      on_read_over(static_cast<int>(count));
    }
  }

  void on_blocked_written(int status) {
    write_pending_ = false;
    if (status < 0) {
      on_write_error(status);
    } else if (!unwritable_) {
      socket_->blocked.consume(blocked_write_bytes_);
      send_unsent();
    }
    finish_flush();
  }

  [[nodiscard]] Loop& loop() const { return loop_; }

 private:
  uv_stream_t* stream() { return &socket_->handle.stream; }

  void flush() {
    if (failure_ && ended_) return report_failure();
    if (write_pending_) return;
    if (loop_.turn_number() != turn_number_) {
      turn_number_ = loop_.turn_number();
      flushes_in_turn_ = 0;
    }
    const size_t before = unsent_bytes();
    if (++flushes_in_turn_ > kFlushesPerTurnMax) {
      block();
    } else {
      send_unsent();
    }
    if (unsent_bytes() < before) {
      finish_flush();
    } else {
      shut_if_sent();
    }
  }

  // Gives the kernel what it takes now; the rest waits in a uv_write.
  void send_unsent() {
    while (unsent_bytes() > 0) {
      ByteQueue& queue = socket_->blocked.empty() ? outgoing_ : socket_->blocked;
      const uv_buf_t buffer = as_buffer(queue.front(), kWriteBytesMax);
      const int sent = uv_try_write(stream(), &buffer, 1);
      if (sent < 0 && sent != UV_EAGAIN) return on_write_error(sent);
      if (sent > 0) queue.consume(static_cast<size_t>(sent));
      if (!queue.empty()) return block();
    }
    give_back_outgoing();
    loop_.give_queue(std::exchange(socket_->blocked, {}));
  }

  void block() {
    if (socket_->blocked.empty()) std::swap(socket_->blocked, outgoing_);
    if (socket_->blocked.empty()) return;
    const uv_buf_t buffer = as_buffer(socket_->blocked.front(), kBlockedWriteBytesMax);
    uv_write_t* request = &socket_->request.write;
    request->data = socket_.get();
    const int started =
        uv_write(request, stream(), &buffer, 1, [](uv_write_t* written, int status) noexcept {
          auto* socket = static_cast<Socket*>(written->data);
          if (socket->stream != nullptr) socket->stream->on_blocked_written(status);
        });
    if (started < 0) return on_write_error(started);
    blocked_write_bytes_ = buffer.len;
    write_pending_ = true;
  }

  // May call the listener: the caller does nothing after it.
  void finish_flush() {
    shut_if_sent();
    if (failure_ && ended_) return report_failure();
    if (listener_ != nullptr) listener_->on_sent();
  }

  void shut_if_sent() {
    if (!shutdown_wanted_ || unwritable_ || write_pending_ || unsent_bytes() > 0) return;
    unwritable_ = true;
    uv_os_fd_t descriptor = -1;
    // Not uv_shutdown: nothing is queued in libuv, so there is nothing to wait for.
    if (uv_fileno(&socket_->handle.any, &descriptor) == 0) ::shutdown(descriptor, SHUT_WR);
  }

  // The other side may have answered before it closed (an origin that refuses an upload does): what
  // it sent is read first, up to the end, which the kernel reports without waiting on a connection
  // that was closed or reset.
  void on_write_error(int code) {
    fail(code);
    // Not ECONNRESET: the other side's end came, in order, before its reset.
    other_side_ended_ = code == UV_EPIPE;
    const bool read_ends = code == UV_EPIPE || code == UV_ECONNRESET || code == UV_ETIMEDOUT;
    if (!read_ends) ended_ = true;
    update_reading();
  }

  void on_read_over(int code) {
    ended_ = true;
    update_reading();
    if (code == UV_EOF && (!failure_ || other_side_ended_)) {
      if (failure_) end_of_turn_.schedule();
      return listener_->on_end();
    }
    fail(code);
    report_failure();
  }

  void fail(int code) {
    unwritable_ = true;
    // Clearing keeps the memory that a pending uv_write still reads.
    outgoing_.clear();
    socket_->blocked.clear();
    if (!failure_) failure_ = transfer_error(code, peer_, peer_name_);
  }

  void report_failure() {
    if (listener_ == nullptr) return;
    const Error failure = *std::exchange(failure_, std::nullopt);
    std::exchange(listener_, nullptr)->on_failed(failure);
  }

  [[nodiscard]] bool reading_wanted() const { return listener_ != nullptr && !paused_ && !ended_; }

  void update_reading() {
    if (reading_wanted() == reading_) return;
    reading_ = !reading_;
    if (!reading_) {
      uv_read_stop(stream());
      return;
    }
    const auto allocate = [](uv_handle_t* handle, size_t, uv_buf_t* buffer) noexcept {
      *buffer = static_cast<Socket*>(handle->data)->stream->memory_for_read();
    };
    const auto read = [](uv_stream_t* from, ssize_t count, const uv_buf_t* buffer) noexcept {
      SocketStream& stream = *static_cast<Socket*>(from->data)->stream;
      Loop& loop = stream.loop();
      stream.on_read(count, *buffer);
      // May destroy the stream.
      if (count > 0) loop.note_input(static_cast<size_t>(count));
    };
    full_reads_ = 0;
    const int started = uv_read_start(stream(), allocate, read);
    CHECK_INVARIANT(started == 0);
  }

  void give_back_outgoing() {
    outgoing_.clear();
    loop_.give_queue(std::exchange(outgoing_, {}));
  }

  Loop& loop_;
  SocketPtr socket_;
  Side peer_;
  std::string peer_name_;
  Listener* listener_ = nullptr;
  EndOfTurn end_of_turn_;
  ByteQueue outgoing_;
  std::optional<Error> failure_;  // Not reported yet.
  uint64_t turn_number_ = 0;
  int flushes_in_turn_ = 0;
  int full_reads_ = 0;  // One after the other.
  size_t blocked_write_bytes_ = 0;
  bool write_pending_ = false;  // A uv_write reads from socket_->blocked.
  bool shutdown_wanted_ = false;
  bool unwritable_ = false;  // Shut or failed.
  bool paused_ = false;
  bool ended_ = false;  // Nothing more will be read.
  bool other_side_ended_ = false;
  bool reading_ = false;
};

class SocketConnect final : public ConnectAttempt {
 public:
  SocketConnect(Loop& loop, SocketPtr socket, const Options& options, Done done, std::string name)
      : loop_(loop),
        socket_(std::move(socket)),
        options_(options),
        done_(std::move(done)),
        name_(std::move(name)),
        end_of_turn_(loop, [this] { done_(std::move(*failure_)); }) {
    socket_->connect = this;
    socket_->request.connect.data = socket_.get();
  }

  ~SocketConnect() override {
    if (socket_) socket_->connect = nullptr;
  }

  SocketConnect(const SocketConnect&) = delete;
  SocketConnect& operator=(const SocketConnect&) = delete;
  SocketConnect(SocketConnect&&) = delete;
  SocketConnect& operator=(SocketConnect&&) = delete;

  void start_tcp(const sockaddr& address) {
    if (const int bound = bind_source(address); bound < 0) {
      const std::string from = options_.source_address;
      return fail_later({ErrorKind::kUnreachable, options_.peer,
                         "no connection to " + name_ + " from " + from + ": " + uv_strerror(bound),
                         true});
    }
    const int started = uv_tcp_connect(&socket_->request.connect, &socket_->handle.tcp, &address,
                                       on_connected_callback);
    if (started < 0) fail_later(connect_error(started, options_.peer, name_));
  }

  void start_unix(const std::string& path) {
    // libuv would cut it and connect to another socket.
    if (path.size() > unix_path_bytes_max()) {
      return fail_later({ErrorKind::kConfiguration, Side::kLocal,
                         "the path of a Unix socket has at most " +
                             std::to_string(unix_path_bytes_max()) + " bytes: " + path,
                         true});
    }
    uv_pipe_connect(&socket_->request.connect, &socket_->handle.pipe, path.c_str(),
                    on_connected_callback);
  }

 private:
  static void on_connected_callback(uv_connect_t* request, int status) noexcept {
    auto* socket = static_cast<Socket*>(request->data);
    if (socket->connect != nullptr) socket->connect->on_connected(status);
  }

  void on_connected(int status) {
    socket_->connect = nullptr;
    SocketPtr socket = std::move(socket_);
    if (status < 0) return done_(connect_error(status, options_.peer, name_));
    set_user_timeout(*socket);
    set_keepalive(*socket);
    done_(make_socket_stream(loop_, std::move(socket), options_.peer, name_));
  }

  int bind_source(const sockaddr& towards) {
    if (options_.source_address.empty()) return 0;
    const auto source = Address::from_literal(options_.source_address, 0);
    if (!source) return UV_EINVAL;
    if (source->family() != towards.sa_family) return UV_EAFNOSUPPORT;
    return uv_tcp_bind(&socket_->handle.tcp, &source->raw(), 0);
  }

  void set_user_timeout(Socket& socket) const {
    uv_os_fd_t descriptor = -1;
    if (options_.user_timeout.count() <= 0 || socket.handle.any.type != UV_TCP) return;
    if (uv_fileno(&socket.handle.any, &descriptor) != 0) return;
    const auto timeout_ms = static_cast<unsigned int>(options_.user_timeout.count());
    setsockopt(descriptor, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
  }

  void set_keepalive(Socket& socket) const {
    uv_os_fd_t descriptor = -1;
    if (options_.keepalive_after.count() <= 0 || socket.handle.any.type != UV_TCP) return;
    if (uv_fileno(&socket.handle.any, &descriptor) != 0) return;
    const auto idle = std::chrono::ceil<std::chrono::seconds>(options_.keepalive_after);
    const int idle_s = static_cast<int>(std::min<int64_t>(idle.count(), kKeepaliveIdleMax));
    const int on = 1;
    const int interval_s = 1;
    setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
  }

  void fail_later(Error error) {
    failure_ = std::move(error);
    end_of_turn_.schedule();
  }

  Loop& loop_;
  SocketPtr socket_;
  Options options_;
  Done done_;
  std::string name_;
  std::optional<Error> failure_;
  EndOfTurn end_of_turn_;
};

void CloseSocket::operator()(Socket* socket) const noexcept {
  uv_close(&socket->handle.any, [](uv_handle_t* handle) noexcept {
    const std::unique_ptr<Socket> freed(static_cast<Socket*>(handle->data));
  });
}

SocketPtr make_tcp_socket(Loop& loop) {
  auto socket = std::make_unique<Socket>();
  CHECK_INVARIANT(uv_tcp_init(loop.uv(), &socket->handle.tcp) == 0);
  socket->handle.any.data = socket.get();
  return SocketPtr(socket.release());
}

SocketPtr make_unix_socket(Loop& loop) {
  auto socket = std::make_unique<Socket>();
  CHECK_INVARIANT(uv_pipe_init(loop.uv(), &socket->handle.pipe, 0) == 0);
  socket->handle.any.data = socket.get();
  return SocketPtr(socket.release());
}

std::unique_ptr<ByteStream> make_socket_stream(Loop& loop, SocketPtr socket, Side peer,
                                               std::string peer_name) {
  // One flush per turn already collects what belongs together.
  if (socket->handle.any.type == UV_TCP) uv_tcp_nodelay(&socket->handle.tcp, 1);
  return std::make_unique<SocketStream>(loop, std::move(socket), peer, std::move(peer_name));
}

std::string address_text(const sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  uv_ip_name(&address, text.data(), text.size());
  if (address.sa_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
    return "[" + std::string(text.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
  }
  const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
  return std::string(text.data()) + ":" + std::to_string(ntohs(v4.sin_port));
}

size_t unix_path_bytes_max() {
  return sizeof(sockaddr_un::sun_path) - 1;
}

std::unique_ptr<ConnectAttempt> ConnectAttempt::tcp(Loop& loop, const sockaddr& address,
                                                    const Options& options, Done done) {
  auto attempt = std::make_unique<SocketConnect>(loop, make_tcp_socket(loop), options,
                                                 std::move(done), address_text(address));
  attempt->start_tcp(address);
  return attempt;
}

std::unique_ptr<ConnectAttempt> ConnectAttempt::unix_socket(Loop& loop, const std::string& path,
                                                            const Options& options, Done done) {
  auto attempt = std::make_unique<SocketConnect>(loop, make_unix_socket(loop), options,
                                                 std::move(done), "unix:" + path);
  attempt->start_unix(path);
  return attempt;
}

}  // namespace ptth
