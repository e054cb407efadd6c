// The forms of ptth and reverse that ask by extended CONNECT (protocols.md sections 2 and 3), for
// gateways that take no HTTP/1.1: the same fields, any 2xx, and the reversed channel inside one
// stream of an HTTP/2 connection.

#include "agent/link/connect_stream.h"
#include "agent/link/profile.h"

#include <utility>

namespace ptth {

namespace {

class ConnectProfile final : public Profile {
 public:
  ConnectProfile(std::string_view name, HelloSpec spec, HelloCredentials credentials,
                 const TunnelOptions& options)
      : name_(name),
        spec_(std::move(spec)),
        credentials_(std::move(credentials)),
        options_(options) {}

  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] std::vector<std::string> default_alpn() const override { return {"h2"}; }

  [[nodiscard]] DrainStyle drain_style() const override { return DrainStyle::kAnnounce; }

  [[nodiscard]] bool capacity_in_second_settings() const override { return false; }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse(Loop& loop,
                                                    std::unique_ptr<ByteStream> connected,
                                                    Listener& listener) const override {
    return make_connect_stream(loop, std::move(connected), {spec_, credentials_, options_},
                               listener);
  }

  [[nodiscard]] std::unique_ptr<ByteStream> reverse_lent(Loop& loop,
                                                         std::unique_ptr<TunnelStream> tunnel,
                                                         Listener& listener) const override {
    return make_connect_stream(loop, std::move(tunnel), {spec_, credentials_, options_}, listener);
  }

  [[nodiscard]] std::unique_ptr<Profile> at(const HttpUri& place) const override {
    HelloSpec spec = spec_;
    spec.uri = place;
    return std::make_unique<ConnectProfile>(name_, std::move(spec), credentials_, options_);
  }

 private:
  std::string_view name_;
  HelloSpec spec_;
  HelloCredentials credentials_;
  TunnelOptions options_;
};

HelloDefaults by_connect(HelloDefaults hello, std::string_view profile) {
  hello.profile = profile;
  hello.method = "CONNECT";
  hello.status = {};
  return hello;
}

}  // namespace

HelloDefaults ptth_connect_hello() {
  return by_connect(ptth_hello(), "ptth-connect");
}

HelloDefaults reverse_connect_hello() {
  return by_connect(reverse_hello(), "reverse-connect");
}

std::unique_ptr<Profile> make_connect_profile(std::string_view name, HelloSpec hello,
                                              HelloCredentials credentials,
                                              const TunnelOptions& options) {
  return std::make_unique<ConnectProfile>(name, std::move(hello), std::move(credentials), options);
}

}  // namespace ptth
