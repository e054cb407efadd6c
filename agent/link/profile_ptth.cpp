// draft-kazuho-ptth-ptth (protocols.md section 2), in the form that hands over the whole
// connection: an HTTP/1.1 upgrade at a URI that names the origins which the worker serves.

#include "agent/link/profile.h"
#include "agent/link/upgrade_stream.h"

#include <utility>

namespace ptth {

HelloDefaults ptth_hello() {
  HelloDefaults hello;
  hello.profile = "ptth";
  hello.method = "GET";
  hello.token = "ptth";
  hello.path_template = "/.well-known/ptth/{serialized_origin}/";
  hello.required_variable = "serialized_origin";
  hello.offer_field = "alpn";
  // The second is its predecessor's.
  hello.choice_fields = {"alpn", "selected-alpn"};
  hello.channels = {"h2"};
  hello.status = "101";
  return hello;
}

std::unique_ptr<Profile> make_ptth_profile(HelloSpec hello, HelloCredentials credentials) {
  return make_upgrade_profile("ptth", std::move(hello), std::move(credentials));
}

}  // namespace ptth
