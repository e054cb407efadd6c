#include "tests/gateway/user_front.h"

#include "agent/link/client_magic.h"
#include "common/byte_queue.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace ptth::dev {

namespace {

enum class Version { kUnknown, kHttp1, kHttp2 };

// An HTTP/1.1 request line cannot be the beginning of the magic.
Version version_of(Bytes first) {
  const std::string_view text(reinterpret_cast<const char*>(first.data()), first.size());
  if (text.starts_with(kClientMagicText)) return Version::kHttp2;
  return kClientMagicText.starts_with(text) ? Version::kUnknown : Version::kHttp1;
}

}  // namespace

class UserFront::Connection final : private ByteStream::Listener, private UserSession::Listener {
 public:
  Connection(UserFront& front, Entrance::Arrival arrival)
      : front_(front), stream_(std::move(arrival.stream)) {
    if (arrival.alpn == "h2") {
      begin(Version::kHttp2);
    } else {
      stream_->set_listener(this);
    }
  }

  ~Connection() {
    if (stream_ != nullptr) stream_->set_listener(nullptr);
  }

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  void leave() {
    if (session_ != nullptr) {
      session_->leave();
    } else {
      end();
    }
  }

 private:
  void end() {
    if (ended_) return;
    ended_ = true;
    if (stream_ != nullptr) stream_->set_listener(nullptr);
    front_.end(*this);
  }

  void begin(Version version) {
    auto make = version == Version::kHttp2 ? UserSession::http2 : UserSession::http1;
    session_ = make(front_.loop_, std::move(stream_), front_.origin_, front_.options_, *this);
    if (front_.leaving_) session_->leave();
    if (!first_.empty()) session_->on_bytes(first_.front());
  }

  void on_bytes(Bytes bytes) override {
    first_.append(bytes);
    const Version version = version_of(first_.front());
    if (version != Version::kUnknown) begin(version);
  }

  void on_end() override { end(); }

  void on_failed(const Error& /*error*/) override { end(); }

  void on_sent() override {}

  void on_user_session_ended(UserSession& /*session*/) override { end(); }

  UserFront& front_;
  std::unique_ptr<ByteStream> stream_;
  bool ended_ = false;
  ByteQueue first_;
  std::unique_ptr<UserSession> session_;
};

UserFront::UserFront(Loop& loop, Origin& origin, UserSession::Options options)
    : loop_(loop), origin_(origin), options_(std::move(options)), leave_timer_(loop, [this] {
        while (!connections_.empty())
          end(*connections_.back());
      }) {}

UserFront::~UserFront() = default;

void UserFront::add(Entrance::Arrival arrival) {
  connections_.push_back(std::make_unique<Connection>(*this, std::move(arrival)));
}

void UserFront::leave(Milliseconds timeout, std::function<void()> empty) {
  leaving_ = true;
  empty_ = std::move(empty);
  leave_timer_.start(timeout);
  // From the back, because a connection that has nothing in flight may end at once.
  for (size_t left = connections_.size(); left > 0; --left)
    connections_[left - 1]->leave();
  if (connections_.empty() && empty_) loop_.post(std::exchange(empty_, nullptr));
}

void UserFront::end(Connection& connection) {
  const auto found = std::ranges::find_if(
      connections_, [&](const auto& entry) { return entry.get() == &connection; });
  CHECK_INVARIANT(found != connections_.end());
  loop_.retire(std::move(*found));
  connections_.erase(found);
  if (leaving_ && connections_.empty() && empty_) loop_.post(std::exchange(empty_, nullptr));
}

}  // namespace ptth::dev
