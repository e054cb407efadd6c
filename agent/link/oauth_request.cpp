// What a token endpoint is asked.

#include "agent/link/oauth_exchange.h"
#include "common/base64.h"
#include "common/percent_encoding.h"
#include "common/secret_file.h"

#include <utility>

namespace ptth {

namespace {

constexpr std::string_view kExchange = "urn:ietf:params:oauth:grant-type:token-exchange";
constexpr std::string_view kAssertionType =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

Error wrong(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail)};
}

// As application/x-www-form-urlencoded has it (RFC 6749 appendix B); "%20" for a space is as good
// as
// "+".
size_t encoded_size(std::string_view text) {
  size_t size = 0;
  for (const char byte : text)
    size += is_unreserved(byte) ? 1 : 3;
  return size;
}

// Grows by whole steps that it announces, so that no copy of a secret is left behind.
class Form {
 public:
  void add(std::string_view name, std::string_view value) {
    std::string longer;
    longer.reserve(text_.size() + name.size() + encoded_size(value) + 2);
    longer.append(text_);
    if (!longer.empty()) longer += '&';
    longer.append(name).push_back('=');
    append_percent_encoded(longer, value);
    const Secret wiped(std::move(text_));
    text_ = std::move(longer);
  }

  [[nodiscard]] Secret take() { return Secret(std::move(text_)); }

 private:
  std::string text_;
};

// RFC 6749 section 2.3.1: both parts are encoded before they are joined.
Secret basic_credentials(const std::string& id, const Secret& secret) {
  std::string pair;
  pair.reserve(encoded_size(id) + encoded_size(secret.reveal()) + 1);
  append_percent_encoded(pair, id);
  pair += ':';
  append_percent_encoded(pair, secret.reveal());
  const Secret joined(std::move(pair));
  std::string value;
  value.reserve(2 * joined.reveal().size() + 10);
  value = "Basic ";
  append_base64(value, joined.reveal());
  return Secret(std::move(value));
}

Result<void> add_client(const OauthOptions& options, Form& form, FetchRequest& request) {
  if (options.client_id.empty()) return {};
  if (!options.client_assertion_file.empty()) {
    const Result<Secret> assertion = read_secret_file(options.client_assertion_file);
    if (!assertion) return assertion.error();
    form.add("client_id", options.client_id);
    form.add("client_assertion_type", kAssertionType);
    form.add("client_assertion", assertion.value().reveal());
    return {};
  }
  if (options.client_secret_file.empty()) {
    form.add("client_id", options.client_id);
    return {};
  }
  const Result<Secret> secret = read_secret_file(options.client_secret_file);
  if (!secret) return secret.error();
  if (options.client_auth == OauthClientAuth::kBasic) {
    request.authorization = basic_credentials(options.client_id, secret.value());
    return {};
  }
  form.add("client_id", options.client_id);
  form.add("client_secret", secret.value().reveal());
  return {};
}

Result<FetchProxy> fetch_proxy(const ProxyOptions& proxy) {
  FetchProxy out;
  out.host = proxy.host;
  out.port = proxy.port;
  out.tls = proxy.tls;
  out.ca_file = proxy.ca_file;
  out.credentials = proxy.credentials;
  if (proxy.host.empty() || proxy.credentials_file.empty()) return out;
  Result<Secret> credentials = read_secret_file(proxy.credentials_file);
  if (!credentials) return credentials.error();
  out.credentials = std::move(credentials).value();
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text.append(text.empty() ? "" : " ").append(word);
  return text;
}

}  // namespace

Result<void> check_oauth_options(const OauthOptions& options) {
  const bool exchanges = !options.subject_token_file.empty();
  if (!options.given()) {
    const bool pointless = exchanges || !options.client_id.empty() ||
                           !options.client_secret_file.empty() ||
                           !options.client_assertion_file.empty() || !options.scopes.empty() ||
                           !options.audiences.empty() || !options.resources.empty();
    if (pointless) return wrong("there is no token endpoint to ask: give --oauth-token-url");
    return {};
  }
  if (const auto url = check_fetch_url(options.token_url, false); !url) {
    return wrong("--oauth-token-url: " + url.error().detail);
  }
  if (options.client_id.empty()) {
    if (!exchanges) {
      return wrong(
          "--oauth-token-url needs --oauth-client-id, or, to exchange a token that this "
          "worker has, --oauth-subject-token-file");
    }
    if (!options.client_secret_file.empty() || !options.client_assertion_file.empty()) {
      return wrong("a client's secret without its name: give --oauth-client-id");
    }
  }
  if (!options.client_secret_file.empty() && !options.client_assertion_file.empty()) {
    return wrong(
        "--oauth-client-secret-file and --oauth-client-assertion-file both show who we "
        "are: keep one");
  }
  if (!options.key_file.empty() && options.cert_file.empty()) {
    return wrong("a private key without its certificate; give --oauth-cert-file");
  }
  const bool has_secret =
      !options.client_secret_file.empty() || !options.client_assertion_file.empty();
  if (options.client_auth == OauthClientAuth::kTls) {
    if (options.cert_file.empty()) {
      return wrong("--oauth-client-auth tls shows a certificate: give --oauth-cert-file");
    }
    if (has_secret) return wrong("--oauth-client-auth tls needs no secret: drop it");
  } else if (!exchanges && !has_secret) {
    return wrong(
        "a client without a secret: give --oauth-client-secret-file, "
        "--oauth-client-assertion-file, or --oauth-client-auth tls");
  }
  return {};
}

Result<FetchRequest> make_token_request(const OauthOptions& options) {
  FetchRequest request;
  Form form;
  const bool exchanges = !options.subject_token_file.empty();
  form.add("grant_type", exchanges ? kExchange : "client_credentials");
  if (exchanges) {
    const Result<Secret> subject = read_secret_file(options.subject_token_file);
    if (!subject) return subject.error();
    form.add("subject_token", subject.value().reveal());
    form.add("subject_token_type", options.subject_token_type);
    if (!options.requested_token_type.empty())
      form.add("requested_token_type", options.requested_token_type);
  }
  if (!options.scopes.empty()) form.add("scope", joined(options.scopes));
  for (const std::string& audience : options.audiences)
    form.add("audience", audience);
  for (const std::string& resource : options.resources)
    form.add("resource", resource);
  if (const auto added = add_client(options, form, request); !added) return added.error();
  Result<FetchProxy> proxy = fetch_proxy(options.proxy);
  if (!proxy) return proxy.error();
  request.url = options.token_url;
  request.method = FetchRequest::Method::kPost;
  request.fields.add("accept", "application/json");
  request.fields.add("content-type", "application/x-www-form-urlencoded");
  request.body = form.take();
  request.options.ca_file = options.ca_file;
  request.options.cert_file = options.cert_file;
  request.options.key_file = options.key_file;
  request.options.proxy = std::move(proxy).value();
  request.options.connect_timeout = options.timeout;
  request.options.deadline = options.timeout;
  request.options.body_bytes_max = options.response_bytes_max;
  return request;
}

}  // namespace ptth
