// draft-lentczner-rhttp (protocols.md section 7), as Yaler and others speak it: a POST that asks
// for PTTH/1.0. A gateway answers it when it has a request for us, or with 204 when it has waited
// long enough for one; then it speaks HTTP/1.1.

#include "agent/link/profile.h"
#include "agent/link/upgrade_stream.h"

#include <utility>

namespace ptth {

HelloDefaults ptth_1_0_hello() {
  HelloDefaults hello;
  hello.profile = "ptth-1.0";
  hello.method = "POST";
  hello.token = "PTTH/1.0";
  hello.path_template = "/{id}";
  hello.channels = {"http/1.1"};
  hello.status = "101";
  hello.states_no_body = true;
  hello.is_poll = true;
  return hello;
}

std::unique_ptr<Profile> make_ptth_1_0_profile(HelloSpec hello, HelloCredentials credentials) {
  return make_upgrade_profile("ptth-1.0", std::move(hello), std::move(credentials));
}

}  // namespace ptth
