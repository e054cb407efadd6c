#include "common/tls_engine.h"

#include "common/tls_words.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace ptth {

namespace {

// "gw.example." and "[::1]" as certificates write them.
std::string name_to_verify(std::string name) {
  if (name.size() >= 2 && name.front() == '[' && name.back() == ']') {
    return name.substr(1, name.size() - 2);
  }
  if (!name.empty() && name.back() == '.') name.pop_back();
  return name;
}

// The wire form of RFC 7301: each id behind its length. Empty if an id is.
std::optional<std::string> alpn_wire_form(const std::vector<std::string>& ids) {
  std::string wire;
  for (const std::string& id : ids) {
    if (id.empty() || id.size() > 255) return std::nullopt;
    wire += static_cast<char>(static_cast<unsigned char>(id.size()));
    wire += id;
  }
  return wire;
}

const unsigned char* as_unsigned(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// Ids are bytes; what is not printable is shown in hex.
std::string alpn_text(const std::vector<std::string>& ids) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  constexpr size_t kTextBytesMax = 500;
  std::string text;
  for (const std::string& id : ids) {
    if (text.size() > kTextBytesMax) return text + ", ...";
    if (!text.empty()) text += ", ";
    for (const char raw : id) {
      const auto byte = static_cast<unsigned char>(raw);
      if (byte > 0x20 && byte < 0x7f) {
        text += raw;
      } else {
        text += std::string("\\x") + kDigits[byte >> 4U] + kDigits[byte & 15U];
      }
    }
  }
  return text;
}

// What another user of OpenSSL on this thread left behind would be taken for ours. Looking first is
// cheaper than clearing, which counts with a call per record.
void forget_old_errors() {
  if (ERR_peek_error() != 0) ERR_clear_error();
}

Error cannot_start() {
  return {ErrorKind::kInternal, Side::kLocal, "TLS cannot start: " + take_openssl_error().text};
}

Error wrong_parameter(const std::string& what) {
  return {ErrorKind::kConfiguration, Side::kLocal, what};
}

}  // namespace

TlsEngine::TlsEngine(OpenSslContext& context, TlsStream::Parameters parameters, ByteStream& beneath)
    : context_(context),
      parameters_(std::move(parameters)),
      channel_{&beneath, {}},
      ssl_(SSL_new(context.ssl_context())) {}

Result<void> TlsEngine::configure(Role role) {
  forget_old_errors();
  BIO* bio = ssl_ ? make_record_bio(channel_) : nullptr;
  if (bio == nullptr) return cannot_start();
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  SSL_set_verify(ssl_.get(), SSL_get_verify_mode(ssl_.get()), on_verified);
  if (role == Role::kClient) return configure_client();
  SSL_set_accept_state(ssl_.get());
  SSL_CTX_set_alpn_select_cb(context_.ssl_context(), on_alpn_offered, nullptr);
  return {};
}

Result<void> TlsEngine::configure_client() {
  SSL* ssl = ssl_.get();
  SSL_set_connect_state(ssl);
  parameters_.server_name = name_to_verify(std::move(parameters_.server_name));
  std::string& name = parameters_.server_name;
  if (name.empty()) return wrong_parameter("TLS needs a server name to verify");
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, name.c_str()) != 1) {
    ERR_clear_error();
    // RFC 9110 section 4.3.4: the common name is no name to verify.
    X509_VERIFY_PARAM_set_hostflags(
        rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_host(rules, name.data(), name.size()) != 1) {
      return wrong_parameter("no name that a certificate could carry: " + name);
    }
    // RFC 6066 section 3: only DNS names.
    if (SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data()) != 1) {
      return cannot_start();
    }
  }
  SSL_set_cert_cb(ssl, on_certificate_asked, nullptr);
  const std::optional<std::string> alpn = alpn_wire_form(parameters_.alpn);
  if (!alpn) return wrong_parameter("an ALPN id has 1 to 255 bytes");
  // Returns 0 for success.
  if (!alpn->empty() &&
      SSL_set_alpn_protos(ssl, as_unsigned(*alpn), static_cast<unsigned int>(alpn->size())) != 0) {
    return cannot_start();
  }
  return {};
}

TlsEngine::Outcome TlsEngine::handshake() {
  forget_old_errors();
  if (SSL_do_handshake(ssl_.get()) != 1) return outcome_of_failed_call();
  alpn_missing_ = needs_alpn() && alpn().empty();
  request_missing_ = parameters_.require_certificate_request && !certificate_asked_;
  if (alpn_missing_ || request_missing_) return Outcome::kFailed;
  secured_ = true;
  return Outcome::kDone;
}

TlsEngine::Outcome TlsEngine::read(std::span<uint8_t> memory, size_t& count) {
  forget_old_errors();
  if (SSL_read_ex(ssl_.get(), memory.data(), memory.size(), &count) == 1) return Outcome::kDone;
  return outcome_of_failed_call();
}

TlsEngine::Outcome TlsEngine::write(Bytes bytes) {
  forget_old_errors();
  size_t written = 0;
  if (SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1) return Outcome::kDone;
  return outcome_of_failed_call();
}

void TlsEngine::send_close_notify() {
  // It fails only in the middle of a message of the other side; the end of the stream then says it.
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

TlsEngine::Outcome TlsEngine::outcome_of_failed_call() const {
  switch (SSL_get_error(ssl_.get(), 0)) {
    case SSL_ERROR_WANT_READ:
      return Outcome::kWait;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::kEnd;
    default:
      return Outcome::kFailed;
  }
}

// What OpenSSL's error queue says, which is empty afterwards.
Error TlsEngine::fault() {
  const OpenSslError error = take_openssl_error();
  if (!verification_problem_.empty()) {
    return peer_error(ErrorKind::kCertificate, std::exchange(verification_problem_, {}));
  }
  if (!alpn_offered_.empty()) {
    return peer_error(ErrorKind::kProtocol,
                      "none of the application protocols (ALPN) that it offers is known here: it "
                      "offers " +
                          alpn_offered_ + "; known are " + alpn_text(parameters_.alpn));
  }
  if (alpn_missing_ && SSL_is_server(ssl_.get()) == 1) {
    return peer_error(
        ErrorKind::kProtocol,
        "it offers no application protocol (ALPN); known here are " + alpn_text(parameters_.alpn));
  }
  if (alpn_missing_) {
    return peer_error(ErrorKind::kProtocol, "it did not agree on an application protocol (ALPN): " +
                                                alpn_text(parameters_.alpn));
  }
  if (request_missing_) {
    return peer_error(ErrorKind::kProtocol,
                      "it did not ask for our certificate, so it cannot know who we are");
  }
  const int alert = alert_number(error);
  if (alert >= 0) return alert_fault(alert);
  if (error.library == ERR_LIB_SSL) {
    switch (error.reason) {
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return peer_error(ErrorKind::kCertificate, "it sent no certificate, and one is required");
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_HTTP_REQUEST:
      case SSL_R_PACKET_LENGTH_TOO_LONG:
        return peer_error(ErrorKind::kProtocol, "it does not speak TLS: " + error.text);
      case SSL_R_UNSUPPORTED_PROTOCOL:
        return peer_error(ErrorKind::kProtocol, "it does not speak a TLS version that is allowed");
      default:
        break;
    }
  }
  return peer_error(ErrorKind::kProtocol, "TLS failed: " + error.text);
}

Error TlsEngine::alert_fault(int alert) const {
  const std::string text = SSL_alert_desc_string_long(alert);
  const bool has_none = certificate_asked_ && !context_.has_certificate();
  const bool wants_one =
      has_none && (alert == SSL3_AD_HANDSHAKE_FAILURE || alert == TLS13_AD_CERTIFICATE_REQUIRED);
  if (wants_one) {
    return peer_error(ErrorKind::kRefused,
                      "it asks for a client certificate, and none is configured");
  }
  if (refuses_our_certificate(alert)) {
    return peer_error(ErrorKind::kRefused, "it does not accept our certificate, " +
                                               context_.identity_file() + ": " +
                                               refusal_text(alert));
  }
  if (alert == TLS1_AD_NO_APPLICATION_PROTOCOL) {
    return peer_error(ErrorKind::kProtocol,
                      "it accepts none of the application protocols (ALPN) "
                      "that were offered: " +
                          alpn_text(parameters_.alpn));
  }
  if (alert == TLS1_AD_PROTOCOL_VERSION) {
    return peer_error(ErrorKind::kProtocol, "it does not speak a TLS version that is allowed");
  }
  return peer_error(ErrorKind::kProtocol, "it ended TLS with the alert: " + text);
}

Error TlsEngine::peer_error(ErrorKind kind, const std::string& what) const {
  const std::string& name = parameters_.server_name;
  return {kind, parameters_.peer, name.empty() ? what : name + ": " + what, !secured_};
}

std::string_view TlsEngine::alpn() const {
  const unsigned char* id = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &id, &size);
  return {reinterpret_cast<const char*>(id), size};
}

std::string_view TlsEngine::tls_version() const {
  return SSL_get_version(ssl_.get());
}

std::string TlsEngine::peer_common_name() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate == nullptr ? std::string() : common_name(certificate);
}

std::optional<std::string> TlsEngine::exporter_value(std::string_view label) const {
  constexpr size_t kExporterBytes = 32;
  // RFC 9266 section 3: else two connections can be made to have the same value.
  const bool has_own =
      SSL_version(ssl_.get()) >= TLS1_3_VERSION || SSL_get_extms_support(ssl_.get()) == 1;
  if (!secured_ || !has_own) return std::nullopt;
  std::string value(kExporterBytes, '\0');
  const int done =
      SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(value.data()),
                                 value.size(), label.data(), label.size(), nullptr, 0, 0);
  ERR_clear_error();
  if (done != 1) return std::nullopt;
  return value;
}

TlsEngine& TlsEngine::of(const SSL* ssl) {
  return *static_cast<TlsEngine*>(SSL_get_app_data(ssl));
}

int TlsEngine::on_verified(int accepted, X509_STORE_CTX* store) noexcept {
  const auto* ssl = static_cast<const SSL*>(
      X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  TlsEngine& engine = of(ssl);
  if (accepted == 0) {
    engine.verification_problem_ = verification_problem(store, engine.parameters_.server_name);
    return 0;
  }
  // The peer's own certificate comes last, when its chain is complete.
  if (X509_STORE_CTX_get_error_depth(store) > 0 || engine.has_pinned_key(store)) return 1;
  engine.verification_problem_ = "none of the keys in its chain is pinned; its own is " +
                                 to_string(spki_pin_of(X509_STORE_CTX_get_current_cert(store)));
  X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

bool TlsEngine::has_pinned_key(X509_STORE_CTX* store) const {
  const std::vector<SpkiPin>& pins = context_.pins();
  if (pins.empty()) return true;
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(store);
  for (int index = 0; index < sk_X509_num(chain); ++index) {
    const SpkiPin pin = spki_pin_of(sk_X509_value(chain, index));
    if (std::find(pins.begin(), pins.end(), pin) != pins.end()) return true;
  }
  return false;
}

int TlsEngine::on_certificate_asked(SSL* ssl, void*) noexcept {
  of(ssl).certificate_asked_ = true;
  return 1;
}

// NOLINTNEXTLINE(readability-function-size): the parameters are OpenSSL's.
int TlsEngine::on_alpn_offered(SSL* ssl, const unsigned char** selected,
                               unsigned char* selected_size, const unsigned char* offered,
                               unsigned int offered_size, void*) noexcept {
  TlsEngine& engine = of(ssl);
  for (const std::string& id : engine.parameters_.alpn) {
    for (unsigned int at = 0; at < offered_size; at += 1U + offered[at]) {
      const std::string_view candidate(reinterpret_cast<const char*>(&offered[at + 1]),
                                       offered[at]);
      if (candidate != id) continue;
      *selected = &offered[at + 1];
      *selected_size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  if (!engine.needs_alpn()) return SSL_TLSEXT_ERR_NOACK;
  std::vector<std::string> ids;
  for (unsigned int at = 0; at < offered_size; at += 1U + offered[at])
    ids.emplace_back(reinterpret_cast<const char*>(&offered[at + 1]), offered[at]);
  engine.alpn_offered_ = alpn_text(ids);
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace ptth
