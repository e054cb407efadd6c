#pragma once

// Fetcher: one HTTPS request and its whole answer, for the control path (tokens, documents), where
// messages are few and small. libcurl does it, on the loop. What gateways send never comes here.

#include "common/error.h"
#include "common/http_message.h"
#include "common/loop.h"
#include "common/network.h"
#include "common/secret.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace ptth {

// Only what is given here counts: no variable of the environment.
struct FetchProxy {
  std::string host;  // Empty: no proxy.
  uint16_t port = 0;
  bool tls = false;     // To the proxy itself.
  std::string ca_file;  // Trusted for that; empty: the system's.
  Secret credentials;   // user:password
};

struct FetchOptions {
  std::string ca_file;    // Empty: the system's (SSL_CERT_FILE and SSL_CERT_DIR are honoured).
  std::string cert_file;  // Our certificate and its chain (PEM); empty: none.
  std::string key_file;   // Its private key; empty: in cert_file.
  FetchProxy proxy;
  bool insecure_cleartext = false;  // http:// is allowed.
  Milliseconds connect_timeout{10'000};
  Milliseconds deadline{30'000};  // For all of it, from resolving the name to the last byte.
  size_t body_bytes_max = size_t{1} * 1024 * 1024;
};

struct FetchRequest {
  enum class Method { kGet, kPost };

  std::string url;
  Method method = Method::kGet;
  FieldList fields;      // Names in lower case. For kPost, content-type is one of them.
  Secret authorization;  // The value of that field; empty: none is sent.
  Secret body;           // For kPost.
  FetchOptions options;
};

struct FetchResponse {
  int status = 0;
  // Of these names, as far as the answer has them: cache-control, content-type, date, etag,
  // last-modified, retry-after.
  FieldList fields;
  std::string body;  // Whoever expects a secret in it makes a Secret of it.
};

class Fetcher {
 public:
  // A request that is under way. Destroying it cancels; not inside its own callback (Loop::retire).
  class Call {
   public:
    Call() = default;
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Call(Call&&) = delete;
    Call& operator=(Call&&) = delete;
    virtual ~Call() = default;
  };

  // Any answer, whatever its status; a redirect is not followed. Else kConfiguration (the request,
  // or a file that it names), kResolve, kUnreachable, kTimeout, kClosed, kProtocol, kCertificate,
  // kRefused (by the proxy), kTooLarge or kInternal; the detail names the URL without its query.
  using Done = std::function<void(Result<FetchResponse>)>;

  Fetcher() = default;
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;
  Fetcher(Fetcher&&) = delete;
  Fetcher& operator=(Fetcher&&) = delete;
  virtual ~Fetcher() = default;

  // Calls back once, from the loop, never from inside this call.
  [[nodiscard]] virtual std::unique_ptr<Call> fetch(FetchRequest request, Done done) = 0;
};

// With libcurl, which is loaded by the first fetch; between fetches it holds no memory but its
// code. Loop and network are borrowed; calls are gone before the fetcher.
[[nodiscard]] std::unique_ptr<Fetcher> make_fetcher(Loop& loop, Network& network);

// Loads libcurl, so that its absence is told before anything is dialled.
[[nodiscard]] Result<void> check_fetch_library();
// kConfiguration: no URL that such a request may have, and what to write instead.
[[nodiscard]] Result<void> check_fetch_url(const std::string& url, bool insecure_cleartext);

}  // namespace ptth
