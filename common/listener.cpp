#include "common/socket.h"
#include "common/tcp_stream.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <netinet/in.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <uv.h>

namespace ptth {

namespace {

constexpr int kBacklog = 1024;
// More wait for the next turn, so that a flood of connections leaves the loop to others.
constexpr int kAcceptsPerTurnMax = 64;
constexpr Milliseconds kPauseWithoutDescriptors{100};

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}

  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

  Descriptor& operator=(Descriptor&&) = delete;

  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }

  [[nodiscard]] int number() const { return number_; }

  [[nodiscard]] int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

union Address {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
  sockaddr_un unix_path;
  sockaddr_storage storage;
};

Error listen_error(const std::string& address, const std::string& what) {
  return {ErrorKind::kConfiguration, Side::kLocal, "cannot listen on " + address + ": " + what};
}

Error listen_error(const std::string& address) {
  return listen_error(address, std::generic_category().message(errno));
}

Descriptor make_socket(int family) {
  return Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

bool is_loopback(const in_addr& address) {
  constexpr uint32_t kLoopbackNet = 127;
  return ntohl(address.s_addr) >> 24U == kLoopbackNet;
}

Listener::Place place_of(const Address& peer) {
  bool loopback = false;
  if (peer.any.sa_family == AF_INET) loopback = is_loopback(peer.v4.sin_addr);
  if (peer.any.sa_family == AF_INET6) {
    const in6_addr& address = peer.v6.sin6_addr;
    loopback = IN6_IS_ADDR_LOOPBACK(&address);
    // An IPv4 client of a socket for both.
    if (IN6_IS_ADDR_V4MAPPED(&address)) {
      in_addr mapped{};
      std::memcpy(&mapped, &address.s6_addr[12], sizeof mapped);
      loopback = is_loopback(mapped);
    }
  }
  return loopback ? Listener::Place::kThisMachine : Listener::Place::kElsewhere;
}

// libuv uses the handle until the close callback; the descriptor may be closed right after
// uv_close.
struct ClosePoll {
  void operator()(uv_poll_t* poll) const noexcept {
    poll->data = poll;
    uv_close(reinterpret_cast<uv_handle_t*>(poll), [](uv_handle_t* closed) noexcept {
      const std::unique_ptr<uv_poll_t> freed(static_cast<uv_poll_t*>(closed->data));
    });
  }
};

// libuv's own uv_listen drops waiting connections when no descriptor is left; this one leaves them
// in the kernel's queue, so it accepts by itself on a polled descriptor.
class SocketListener final : public Listener {
 public:
  SocketListener(Loop& loop, Descriptor descriptor, const Address& bound, AcceptedFrom accepted)
      : loop_(loop),
        accepted_(std::move(accepted)),
        bound_(bound),
        descriptor_(std::move(descriptor)),
        resume_(loop, [this] { poll(); }) {
    auto poll_handle = std::make_unique<uv_poll_t>();
    CHECK_INVARIANT(uv_poll_init(loop.uv(), poll_handle.get(), descriptor_.number()) == 0);
    poll_.reset(poll_handle.release());
    poll_->data = this;
    poll();
  }

  ~SocketListener() override {
    if (is_unix()) ::unlink(&bound_.unix_path.sun_path[0]);
  }

  SocketListener(const SocketListener&) = delete;
  SocketListener& operator=(const SocketListener&) = delete;
  SocketListener(SocketListener&&) = delete;
  SocketListener& operator=(SocketListener&&) = delete;

  [[nodiscard]] int port() const override {
    if (is_unix()) return 0;
    return ntohs(bound_.any.sa_family == AF_INET6 ? bound_.v6.sin6_port : bound_.v4.sin_port);
  }

 private:
  [[nodiscard]] bool is_unix() const { return bound_.any.sa_family == AF_UNIX; }

  void poll() {
    uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* poll, int, int) noexcept {
      static_cast<SocketListener*>(poll->data)->accept_waiting();
    });
  }

  void accept_waiting() {
    for (int i = 0; i < kAcceptsPerTurnMax; ++i) {
      Address peer{};
      socklen_t size = sizeof peer;
      const int number =
          ::accept4(descriptor_.number(), &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (number < 0) return on_accept_error(errno);
      accept(Descriptor(number), peer);
    }
  }

  void on_accept_error(int code) {
    if (code != EMFILE && code != ENFILE && code != ENOBUFS && code != ENOMEM) return;
    // The descriptor stays readable: without a pause the loop would spin.
    uv_poll_stop(poll_.get());
    resume_.start(kPauseWithoutDescriptors);
  }

  void accept(Descriptor descriptor, const Address& peer) {
    SocketPtr socket = is_unix() ? make_unix_socket(loop_) : make_tcp_socket(loop_);
    const int opened = is_unix() ? uv_pipe_open(&socket->handle.pipe, descriptor.number())
                                 : uv_tcp_open(&socket->handle.tcp, descriptor.number());
    if (opened < 0) return;
    // libuv owns it now.
    static_cast<void>(descriptor.release());
    accepted_(make_socket_stream(loop_, std::move(socket), Side::kLocal,
                                 is_unix() ? "a unix socket" : address_text(peer.any)),
              is_unix() ? Place::kThisMachine : place_of(peer));
  }

  Loop& loop_;
  AcceptedFrom accepted_;
  Address bound_;
  Descriptor descriptor_;
  std::unique_ptr<uv_poll_t, ClosePoll> poll_;  // Closed before the descriptor.
  Timer resume_;
};

Result<std::unique_ptr<Listener>> start_listening(Loop& loop, const std::string& name,
                                                  Descriptor descriptor,
                                                  Listener::AcceptedFrom accepted) {
  if (::listen(descriptor.number(), kBacklog) != 0) return listen_error(name);
  Address bound{};
  socklen_t size = sizeof bound;
  if (::getsockname(descriptor.number(), &bound.any, &size) != 0) return listen_error(name);
  return std::unique_ptr<Listener>(
      std::make_unique<SocketListener>(loop, std::move(descriptor), bound, std::move(accepted)));
}

// A file that a process left behind when it died; one that still listens is not touched.
bool nobody_listens(const Address& address) {
  const Descriptor probe = make_socket(AF_UNIX);
  if (probe.number() < 0) return false;
  const int connected = ::connect(probe.number(), &address.any, sizeof address.unix_path);
  return connected != 0 && errno == ECONNREFUSED;
}

Result<std::unique_ptr<Listener>> listen_unix(Loop& loop, const std::string& name,
                                              std::string_view path,
                                              Listener::AcceptedFrom accepted) {
  if (path.empty() || path.size() > unix_path_bytes_max()) {
    return listen_error(
        name, "the path must have 1 to " + std::to_string(unix_path_bytes_max()) + " bytes");
  }
  Address address{};
  address.unix_path.sun_family = AF_UNIX;
  std::memcpy(&address.unix_path.sun_path[0], path.data(), path.size());
  Descriptor descriptor = make_socket(AF_UNIX);
  if (descriptor.number() < 0) return listen_error(name);
  const auto bind = [&] {
    return ::bind(descriptor.number(), &address.any, sizeof address.unix_path) == 0;
  };
  if (!bind()) {
    if (errno != EADDRINUSE) return listen_error(name);
    if (!nobody_listens(address)) return listen_error(name, "another process listens there");
    ::unlink(&address.unix_path.sun_path[0]);
    if (!bind()) return listen_error(name);
  }
  return start_listening(loop, name, std::move(descriptor), std::move(accepted));
}

// "127.0.0.1:80", "[::1]:80" or ":80".
Result<Address> parse_address(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return listen_error(text, "no port, as in 127.0.0.1:9000");
  const std::string_view port_text = std::string_view(text).substr(colon + 1);
  uint16_t port = 0;
  const auto [end, code] =
      std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (code != std::errc() || end != port_text.data() + port_text.size()) {
    return listen_error(text, "the port is not a number from 0 to 65535");
  }
  std::string host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.empty()) {
    host = "::";
  }
  Address address{};
  if (uv_ip4_addr(host.c_str(), port, &address.v4) == 0) return address;
  if (uv_ip6_addr(host.c_str(), port, &address.v6) == 0) return address;
  return listen_error(text, "not an IP address and port, as in 127.0.0.1:9000 or [::1]:9000");
}

Result<std::unique_ptr<Listener>> listen_tcp(Loop& loop, const std::string& name, Address address,
                                             Listener::AcceptedFrom accepted) {
  Descriptor descriptor = make_socket(address.any.sa_family);
  const bool all = name.starts_with(':');
  if (descriptor.number() < 0 && all && errno == EAFNOSUPPORT) {
    // A host without IPv6: all addresses are those of IPv4.
    return Listener::listen_with_place(loop, "0.0.0.0" + name, std::move(accepted));
  }
  if (descriptor.number() < 0) return listen_error(name);
  const int on = 1;
  const int off = 0;
  setsockopt(descriptor.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.any.sa_family == AF_INET6) {
    setsockopt(descriptor.number(), IPPROTO_IPV6, IPV6_V6ONLY, all ? &off : &on, sizeof on);
  }
  const socklen_t size =
      address.any.sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
  if (::bind(descriptor.number(), &address.any, size) != 0) return listen_error(name);
  return start_listening(loop, name, std::move(descriptor), std::move(accepted));
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::listen_with_place(Loop& loop,
                                                              const std::string& address,
                                                              AcceptedFrom accepted) {
  constexpr std::string_view kUnix = "unix:";
  if (address.starts_with(kUnix)) {
    return listen_unix(loop, address, std::string_view(address).substr(kUnix.size()),
                       std::move(accepted));
  }
  const Result<Address> parsed = parse_address(address);
  if (!parsed) return parsed.error();
  return listen_tcp(loop, address, parsed.value(), std::move(accepted));
}

Result<std::unique_ptr<Listener>> Listener::listen(Loop& loop, const std::string& address,
                                                   Accepted accepted) {
  return listen_with_place(
      loop, address, [accepted = std::move(accepted)](std::unique_ptr<ByteStream> stream, Place) {
        accepted(std::move(stream));
      });
}

}  // namespace ptth
