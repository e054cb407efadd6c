// ptth-bench-splice stands where the gateway would: it accepts the worker's TLS connection,
// reverses it in HAProxy's dialect and joins it to one cleartext HTTP/2 client on loopback
// (h2load). It shares no code with the agent, so that a change there never changes the yardstick.

#include "common/c_handle.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace ptth {
namespace {

using SslContext = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using Ssl = std::unique_ptr<SSL, FreeWith<SSL_free>>;

constexpr std::string_view kMagic = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kFrameHeaderBytes = 9;
constexpr uint8_t kFrameTypeSettings = 4;
constexpr uint8_t kFlagAck = 1;
constexpr std::string_view kSettingsAck{"\0\0\0\4\1\0\0\0\0", kFrameHeaderBytes};
constexpr size_t kBufferBytes = size_t{512} * 1024;
constexpr size_t kReadBytes = size_t{64} * 1024;
constexpr int kHelloTimeoutSeconds = 10;
constexpr int kGoodbyeTimeoutMs = 1000;

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;

  ~Descriptor() {
    if (number_ >= 0) close(number_);
  }

  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

// A bounded queue of bytes: what one side gave and the other has not taken yet. Its bound is the
// backpressure: a side is read only while there is room for what it may send.
class Pending {
 public:
  Pending() : bytes_(kBufferBytes) {}

  [[nodiscard]] bool empty() const { return begin_ == end_; }

  [[nodiscard]] size_t size() const { return end_ - begin_; }

  [[nodiscard]] const char* data() const { return bytes_.data() + begin_; }

  // Room for kReadBytes in one piece, or null.
  [[nodiscard]] char* room() {
    if (bytes_.size() - end_ < kReadBytes && begin_ > 0) {
      std::memmove(bytes_.data(), data(), size());
      end_ -= begin_;
      begin_ = 0;
    }
    return bytes_.size() - end_ < kReadBytes ? nullptr : bytes_.data() + end_;
  }

  void added(size_t count) { end_ += count; }

  void append(std::string_view more) {
    bytes_.resize(std::max(bytes_.size(), end_ + more.size()));
    std::copy(more.begin(), more.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(end_));
    end_ += more.size();
  }

  void drop(size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

 private:
  std::vector<char> bytes_;
  size_t begin_ = 0;
  size_t end_ = 0;
};

struct FrameHeader {
  size_t total_bytes;  // With the header itself.
  bool is_settings;
  bool is_ack;
};

[[nodiscard]] bool has_frame(std::string_view bytes, FrameHeader& frame) {
  if (bytes.size() < kFrameHeaderBytes) return false;
  const auto byte = [&bytes](size_t index) { return static_cast<uint8_t>(bytes[index]); };
  const size_t payload = size_t{byte(0)} << 16U | size_t{byte(1)} << 8U | size_t{byte(2)};
  const bool is_settings = byte(3) == kFrameTypeSettings;
  frame = {kFrameHeaderBytes + payload, is_settings, is_settings && (byte(4) & kFlagAck) != 0};
  return bytes.size() >= frame.total_bytes;
}

// The load generator's first bytes, made into what a gateway of HAProxy's dialect sends: no magic,
// its SETTINGS, and the acknowledgement of the worker's SETTINGS before any request, because such a
// worker serves only once it has been acknowledged. h2load acknowledges after its first requests;
// that late copy is dropped.
class Opening {
 public:
  [[nodiscard]] bool done() const { return stage_ == Stage::kDone; }

  // False: this is no HTTP/2 client.
  [[nodiscard]] bool feed(std::string_view bytes, Pending& to_worker) {
    held_.append(bytes);
    if (stage_ == Stage::kBeforeMagic) {
      const size_t known = std::min(held_.size(), kMagic.size());
      if (held_.compare(0, known, kMagic, 0, known) != 0) return false;
      if (known < kMagic.size()) return true;
      held_.erase(0, kMagic.size());
      stage_ = Stage::kBeforeSettings;
    }
    FrameHeader frame{};
    while (stage_ != Stage::kDone && has_frame(held_, frame)) {
      if (stage_ == Stage::kBeforeSettings && (!frame.is_settings || frame.is_ack)) return false;
      if (!frame.is_ack) to_worker.append(std::string_view{held_}.substr(0, frame.total_bytes));
      if (stage_ == Stage::kBeforeSettings) to_worker.append(kSettingsAck);
      stage_ = frame.is_ack ? Stage::kDone : Stage::kBeforeAck;
      held_.erase(0, frame.total_bytes);
    }
    if (stage_ == Stage::kDone) {
      to_worker.append(held_);
      held_.clear();
    }
    return true;
  }

 private:
  enum class Stage { kBeforeMagic, kBeforeSettings, kBeforeAck, kDone };
  Stage stage_ = Stage::kBeforeMagic;
  std::string held_;
};

// The worker's connection, from its handshake on.
class Worker {
 public:
  enum class State { kOpen, kEnded };

  Worker(SSL_CTX& context, int number) : descriptor_(number), ssl_(SSL_new(&context)) {
    SSL_set_fd(ssl_.get(), number);
  }

  // Blocking, with the time limit of the socket: the handshake, then the magic and the first
  // SETTINGS, of which the magic is taken away.
  [[nodiscard]] bool shake_hands(Pending& from_worker) {
    if (SSL_accept(ssl_.get()) != 1) return false;
    FrameHeader frame{};
    const auto hello = [&from_worker] {
      return std::string_view{from_worker.data(), from_worker.size()};
    };
    while (hello().size() < kMagic.size() || !has_frame(hello().substr(kMagic.size()), frame)) {
      char* room = from_worker.room();
      const int count = room ? SSL_read(ssl_.get(), room, kReadBytes) : 0;
      if (count <= 0) return false;
      from_worker.added(static_cast<size_t>(count));
    }
    if (hello().substr(0, kMagic.size()) != kMagic || !frame.is_settings || frame.is_ack)
      return false;
    from_worker.drop(kMagic.size());
    return fcntl(number(), F_SETFL, O_NONBLOCK) == 0;
  }

  // Takes what has arrived, as far as there is room.
  [[nodiscard]] State read(Pending& from_worker) {
    while (char* room = from_worker.room()) {
      ERR_clear_error();
      const int count = SSL_read(ssl_.get(), room, kReadBytes);
      if (count <= 0) {
        return SSL_get_error(ssl_.get(), count) == SSL_ERROR_WANT_READ ? State::kOpen
                                                                       : State::kEnded;
      }
      from_worker.added(static_cast<size_t>(count));
    }
    return State::kOpen;
  }

  [[nodiscard]] State write(Pending& to_worker) {
    while (!to_worker.empty()) {
      ERR_clear_error();
      const int count = SSL_write(ssl_.get(), to_worker.data(), static_cast<int>(to_worker.size()));
      if (count <= 0) {
        return SSL_get_error(ssl_.get(), count) == SSL_ERROR_WANT_WRITE ? State::kOpen
                                                                        : State::kEnded;
      }
      to_worker.drop(static_cast<size_t>(count));
    }
    return State::kOpen;
  }

  // A clean end, so that no worker takes the end of a run for a broken network.
  void say_goodbye() {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    shutdown(number(), SHUT_WR);
    std::array<char, 4096> ignored{};
    pollfd poll_set{number(), POLLIN, 0};
    while (poll(&poll_set, 1, kGoodbyeTimeoutMs) > 0) {
      if (recv(number(), ignored.data(), ignored.size(), 0) <= 0) return;
    }
  }

  [[nodiscard]] bool has_decrypted() const { return SSL_has_pending(ssl_.get()) == 1; }

  [[nodiscard]] int number() const { return descriptor_.number(); }

  [[nodiscard]] const char* version() const { return SSL_get_version(ssl_.get()); }

  [[nodiscard]] const char* cipher() const { return SSL_get_cipher_name(ssl_.get()); }

 private:
  Descriptor descriptor_;
  Ssl ssl_;
};

[[nodiscard]] bool send_some(int number, Pending& pending) {
  const ssize_t count = send(number, pending.data(), pending.size(), MSG_NOSIGNAL);
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  pending.drop(static_cast<size_t>(count));
  return true;
}

// One worker connection and one load generator, joined until either ends.
class Pair {
 public:
  Pair(Worker& worker, int load_number, Pending& to_load)
      : worker_(worker), load_(load_number), to_load_(to_load) {}

  void run() {
    while (step()) {
    }
    // What one side said before it left still reaches the other.
    (void)worker_.write(to_worker_);
    while (!to_load_.empty() && poll_one(load_.number(), POLLOUT)) {
      if (!send_some(load_.number(), to_load_)) break;
    }
  }

 private:
  [[nodiscard]] static bool poll_one(int number, short events) {
    pollfd poll_set{number, events, 0};
    return poll(&poll_set, 1, kGoodbyeTimeoutMs) > 0;
  }

  // False: the pair has ended.
  [[nodiscard]] bool step() {
    const bool load_has_room = to_worker_.room() != nullptr;
    const bool worker_has_room = to_load_.room() != nullptr;
    const auto events = [](bool readable, bool writable) {
      return static_cast<short>((readable ? POLLIN : 0) | (writable ? POLLOUT : 0));
    };
    std::array<pollfd, 2> poll_set{{
        {load_.number(), events(load_has_room, !to_load_.empty()), 0},
        {worker_.number(), events(worker_has_room, !to_worker_.empty()), 0},
    }};
    const bool decrypted = worker_has_room && worker_.has_decrypted();
    if (poll(poll_set.data(), poll_set.size(), decrypted ? 0 : -1) < 0) return errno == EINTR;
    // Whoever will never take another byte need not be asked for room.
    if ((poll_set[0].revents & POLLHUP) != 0 && !load_has_room) return false;
    if ((poll_set[1].revents & POLLHUP) != 0 && !worker_has_room) return false;

    constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
    if ((poll_set[0].revents & kReadable) != 0 && load_has_room && !read_load()) return false;
    if (worker_.write(to_worker_) == Worker::State::kEnded) return false;
    if (((poll_set[1].revents & kReadable) != 0 || decrypted) && worker_has_room &&
        worker_.read(to_load_) == Worker::State::kEnded) {
      return false;
    }
    return to_load_.empty() || send_some(load_.number(), to_load_);
  }

  [[nodiscard]] bool read_load() {
    char* room = to_worker_.room();
    if (opening_.done()) {
      const ssize_t count = recv(load_.number(), room, kReadBytes, 0);
      if (count > 0) to_worker_.added(static_cast<size_t>(count));
      return count > 0 || (count < 0 && errno == EAGAIN);
    }
    std::array<char, 16384> first{};
    const ssize_t count = recv(load_.number(), first.data(), first.size(), 0);
    if (count <= 0) return count < 0 && errno == EAGAIN;
    return opening_.feed({first.data(), static_cast<size_t>(count)}, to_worker_);
  }

  Worker& worker_;
  Descriptor load_;
  Pending& to_load_;
  Pending to_worker_;
  Opening opening_;
};

// NOLINTNEXTLINE(readability-function-size): the signature is OpenSSL's.
int choose_h2(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_bytes,
              const unsigned char* offered, unsigned offered_bytes, void* /*argument*/) noexcept {
  static constexpr std::array<unsigned char, 3> kH2{2, 'h', '2'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, chosen_bytes, kH2.data(), kH2.size(), offered,
                            offered_bytes) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = selected;
  return SSL_TLSEXT_ERR_OK;
}

// Null: OpenSSL's error queue says why.
[[nodiscard]] SslContext make_context(const char* cert_file, const char* key_file,
                                      const char* ca_file) {
  SslContext context{SSL_CTX_new(TLS_server_method())};
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION);
  // Every handshake is a full one, for each worker alike.
  // One cipher for every worker, whatever each would have asked for first.
  if (SSL_CTX_set_ciphersuites(raw, "TLS_AES_128_GCM_SHA256") != 1) return nullptr;
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_read_ahead(raw, 1);
  SSL_CTX_set_default_read_buffer_len(raw, kReadBytes);
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_alpn_select_cb(raw, choose_h2, nullptr);
  if (SSL_CTX_use_certificate_chain_file(raw, cert_file) != 1 ||
      SSL_CTX_use_PrivateKey_file(raw, key_file, SSL_FILETYPE_PEM) != 1) {
    return nullptr;
  }
  if (ca_file != nullptr) {
    if (SSL_CTX_load_verify_locations(raw, ca_file, nullptr) != 1) return nullptr;
    SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return context;
}

// A listener on a free port of 127.0.0.1.
[[nodiscard]] int listen_on_loopback(int& port) {
  const int number = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t address_bytes = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (number < 0 || bind(number, generic, sizeof address) != 0 || listen(number, 16) != 0 ||
      getsockname(number, generic, &address_bytes) != 0) {
    std::perror("listen on 127.0.0.1");
    return -1;
  }
  port = ntohs(address.sin_port);
  return number;
}

// -1: nothing to accept after all.
[[nodiscard]] int accept_one(int listener) {
  const int number = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (number < 0) return -1;
  const int on = 1;
  setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const timeval limit{kHelloTimeoutSeconds, 0};
  setsockopt(number, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return number;
}

// The load generator's descriptor, or -1 if the worker left first.
[[nodiscard]] int wait_for_load(int load_listener, Worker& worker, Pending& from_worker) {
  while (true) {
    std::array<pollfd, 2> poll_set{{{load_listener, POLLIN, 0}, {worker.number(), POLLIN, 0}}};
    if (poll(poll_set.data(), poll_set.size(), -1) < 0 && errno != EINTR) return -1;
    if (poll_set[1].revents != 0 && worker.read(from_worker) == Worker::State::kEnded) return -1;
    if (poll_set[0].revents == 0) continue;
    const int number = accept_one(load_listener);
    if (number >= 0 && fcntl(number, F_SETFL, O_NONBLOCK) == 0) return number;
  }
}

// One worker connection after the other, each for one run of the load generator.
void serve(SSL_CTX& context, const Descriptor& worker_listener, const Descriptor& load_listener) {
  while (true) {
    const int number = accept_one(worker_listener.number());
    if (number < 0) continue;
    Worker worker{context, number};
    Pending from_worker;
    ERR_clear_error();
    if (!worker.shake_hands(from_worker)) {
      const char* reason = ERR_reason_error_string(ERR_get_error());
      std::printf("refused %s\n", reason != nullptr ? reason : "no HTTP/2 hello");
      continue;
    }
    std::printf("ready %s %s\n", worker.version(), worker.cipher());
    const int load = wait_for_load(load_listener.number(), worker, from_worker);
    if (load >= 0) Pair{worker, load, from_worker}.run();
    std::puts(load >= 0 ? "done" : "left");
    worker.say_goodbye();
  }
}

int run(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fputs("usage: ptth-bench-splice CERT_FILE KEY_FILE [CA_FILE]\n", stderr);
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  // OpenSSL writes with write(2): a worker that has just left is an error there, not our end.
  std::signal(SIGPIPE, SIG_IGN);
  SslContext context = make_context(argv[1], argv[2], argc == 4 ? argv[3] : nullptr);
  int worker_port = 0;
  int load_port = 0;
  const Descriptor worker_listener{listen_on_loopback(worker_port)};
  const Descriptor load_listener{listen_on_loopback(load_port)};
  if (!context || worker_listener.number() < 0 || load_listener.number() < 0) {
    ERR_print_errors_fp(stderr);
    return 1;
  }
  std::printf("ports %d %d\n", worker_port, load_port);
  serve(*context, worker_listener, load_listener);
  return 0;
}

}  // namespace
}  // namespace ptth

int main(int argc, char** argv) {
  return ptth::run(argc, argv);
}
