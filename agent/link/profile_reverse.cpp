// draft-kazuho-httpbis-reverse-tunnel (protocols.md section 3), the predecessor of ptth: another
// token, and a URI that is a matter of arrangement or names an address on which the gateway
// listens.

#include "agent/link/profile.h"
#include "agent/link/upgrade_stream.h"

#include <utility>

namespace ptth {

HelloDefaults reverse_hello() {
  HelloDefaults hello;
  hello.profile = "reverse";
  hello.method = "GET";
  hello.token = "reverse";
  hello.path_template = "/.well-known/reverse/tcp/{listen_host}/{listen_port}/";
  hello.offer_field = "alpn";
  hello.choice_fields = {"selected-alpn", "alpn"};
  hello.channels = {"h2"};
  hello.status = "101";
  return hello;
}

std::unique_ptr<Profile> make_reverse_profile(HelloSpec hello, HelloCredentials credentials) {
  return make_upgrade_profile("reverse", std::move(hello), std::move(credentials));
}

}  // namespace ptth
