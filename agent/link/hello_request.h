#pragma once

// The hello of the profiles in which it is an HTTP/1.1 request, as bytes.

#include "agent/link/hello_spec.h"
#include "common/byte_queue.h"
#include "common/error.h"
#include "common/http_uri.h"
#include "common/secret.h"

#include <functional>
#include <string>
#include <vector>

namespace ptth {

// A field that shows who we are.
struct SecretField {
  std::string name;  // In lower case.
  Secret value;
};

// Asked for at each hello, so that renewed credentials are picked up. An error is the hello's end;
// it never holds the secret.
using HelloCredentials = std::function<Result<std::vector<SecretField>>()>;

// The ids as one list, as RFC 7639 writes it.
[[nodiscard]] std::string encode_channels(const std::vector<std::string>& channels);

// uri: that of the spec, or where the gateway has sent us. Nothing is written on an error.
[[nodiscard]] Result<void> write_hello_request(const HelloSpec& spec, const HttpUri& uri,
                                               const std::vector<SecretField>& credentials,
                                               ByteQueue& out);

}  // namespace ptth
