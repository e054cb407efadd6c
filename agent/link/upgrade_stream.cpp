#include "agent/link/upgrade_stream.h"

#include "agent/link/hello_exchange.h"
#include "agent/link/hello_stream.h"

#include <string>
#include <utility>
#include <vector>

namespace ptth {

namespace {

constexpr std::string_view kHttp2Id = "h2";
constexpr std::string_view kHttp11Id = "http/1.1";

// Steps; a hello that is a poll may stay in the first for long, and then is held:
//
//      kAsking --+-- yes, h2 --> kMagic -- verified --> (reversed)
//                +-- yes, http/1.1 --> (reversed)
//                +-- no, elsewhere, broken --> (over)
enum class Step { kAsking, kMagic };

class UpgradeStream final : public HelloStream, private HelloExchange::Listener {
 public:
  UpgradeStream(Loop& loop, std::unique_ptr<ByteStream> connected, const HelloSpec& spec,
                const HelloCredentials& credentials, Profile::Listener& listener)
      : HelloStream(loop, std::move(connected), listener),
        spec_(spec),
        exchange_(loop, spec, credentials, *this),
        settled_(loop, [this] { hold(); }),
        poll_timeout_(loop, [this] { redirected(nullptr); }) {}

 private:
  void on_hello_bytes(Bytes bytes) override {
    switch (step_) {
      case Step::kAsking:
        exchange_.read(bytes);
        return;
      case Step::kMagic:
        read_magic(bytes);
        return;
    }
  }

  Error explain_end(const Error& error) override {
    stop_waiting();
    return step_ == Step::kAsking ? exchange_.explain_end(error) : error;
  }

  // HelloExchange::Listener
  [[nodiscard]] bool wants_hello() const override { return in_hello(); }

  void send_hello(Bytes request) override {
    write(request);
    if (!spec_.is_poll) return;
    if (!is_held_) settled_.start(spec_.poll_settle_time);
    poll_timeout_.start(spec_.poll_timeout);
  }

  void on_hello_patience() override {
    hello_progress();
    // Whoever makes us wait wants us.
    if (spec_.is_poll) hold();
  }

  void on_hello_accepted(const std::string& channel, Bytes rest) override {
    stop_waiting();
    if (channel == kHttp11Id) {
      reversed(ChannelProtocol::kHttp11, rest);
      return;
    }
    if (channel != kHttp2Id) {
      not_reversed({ErrorKind::kConfiguration, Side::kLocal,
                    "the gateway chose a channel that we offered and do not speak", false});
      return;
    }
    step_ = Step::kMagic;
    hello_progress();
    if (!rest.empty()) read_magic(rest);
  }

  void on_hello_refused(const Error& error) override {
    stop_waiting();
    not_reversed(error);
  }

  void on_hello_redirected(const Redirect* redirect) override {
    stop_waiting();
    redirected(redirect);
  }

  void hold() {
    settled_.stop();
    if (!in_hello() || std::exchange(is_held_, true)) return;
    held(spec_.channels.front() == kHttp11Id ? ChannelProtocol::kHttp11 : ChannelProtocol::kHttp2);
  }

  void stop_waiting() {
    settled_.stop();
    poll_timeout_.stop();
  }

  const HelloSpec& spec_;
  Step step_ = Step::kAsking;
  HelloExchange exchange_;
  bool is_held_ = false;
  Timer settled_;
  Timer poll_timeout_;
};

class UpgradeProfile final : public Profile {
 public:
  UpgradeProfile(std::string_view name, HelloSpec spec, HelloCredentials credentials)
      : name_(name), spec_(std::move(spec)), credentials_(std::move(credentials)) {}

  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override {
    return {std::string(kHttp11Id)};
  }

  // Without ALPN, TLS carries HTTP/1.1.
  [[nodiscard]] bool requires_alpn() const override { return false; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_upgrade_stream(loop, std::move(connected), spec_, credentials_, listener);
  }

  [[nodiscard]] std::unique_ptr<Profile> at(const HttpUri& place) const override {
    HelloSpec spec = spec_;
    spec.uri = place;
    return std::make_unique<UpgradeProfile>(name_, std::move(spec), credentials_);
  }

 private:
  std::string_view name_;
  HelloSpec spec_;
  HelloCredentials credentials_;
};

}  // namespace

std::unique_ptr<ByteStream> make_upgrade_stream(Loop& loop, std::unique_ptr<ByteStream> connected,
                                                const HelloSpec& spec,
                                                const HelloCredentials& credentials,
                                                Profile::Listener& listener) {
  return std::make_unique<UpgradeStream>(loop, std::move(connected), spec, credentials, listener);
}

std::unique_ptr<Profile> make_upgrade_profile(std::string_view name, HelloSpec spec,
                                              HelloCredentials credentials) {
  return std::make_unique<UpgradeProfile>(name, std::move(spec), std::move(credentials));
}

}  // namespace ptth
