#include "common/fetch.h"

#include "common/address.h"
#include "common/curl_multi.h"
#include "common/curl_request.h"
#include "common/http_rules.h"
#include "common/http_uri.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <curl/curl.h>
#include <openssl/crypto.h>

namespace ptth {

namespace {

constexpr size_t kHeadBytesMax = size_t{64} * 1024;  // All heads of one answer together.

constexpr std::array<std::string_view, 6> kKeptFields{
    "cache-control", "content-type", "date", "etag", "last-modified", "retry-after"};

Error wrong(std::string detail) {
  return {ErrorKind::kConfiguration, Side::kLocal, std::move(detail)};
}

Result<HttpUri> parse_fetch_url(const std::string& url, bool insecure_cleartext) {
  Result<HttpUri> uri = parse_http_uri(url);
  if (!uri) return uri.error();
  if (uri.value().scheme != Scheme::kHttps && !insecure_cleartext) {
    return wrong("https:// is needed: over http:// anyone on the way reads and changes everything");
  }
  return uri;
}

// What libcurl did not get to say in its own words.
ErrorKind kind_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return ErrorKind::kResolve;
    case CURLE_COULDNT_CONNECT:
      return ErrorKind::kUnreachable;
    case CURLE_OPERATION_TIMEDOUT:
      return ErrorKind::kTimeout;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
      return ErrorKind::kClosed;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
      return ErrorKind::kCertificate;
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return ErrorKind::kConfiguration;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
      return ErrorKind::kInternal;
    default:
      return ErrorKind::kProtocol;
  }
}

// What is growing may be a token: no copy of it stays behind.
void append_wiping(std::string& text, std::string_view more) {
  if (text.size() + more.size() > text.capacity()) {
    std::string larger;
    larger.reserve(std::max(2 * text.capacity(), text.size() + more.size()));
    larger.append(text);
    OPENSSL_cleanse(text.data(), text.size());
    text.swap(larger);
  }
  text.append(more);
}

class CurlFetcher;

class CurlCall final : public Fetcher::Call, private CurlMulti::Transfer {
 public:
  CurlCall(CurlFetcher& fetcher, FetchRequest request, Fetcher::Done done);
  ~CurlCall() override;
  CurlCall(const CurlCall&) = delete;
  CurlCall& operator=(const CurlCall&) = delete;
  CurlCall(CurlCall&&) = delete;
  CurlCall& operator=(CurlCall&&) = delete;

 private:
  void start();
  void resolve(const std::string& host, uint16_t port);
  void begin(const std::vector<Address>& addresses);
  void let_go();

  void on_transfer_done(CURLcode code) override;
  void finish(Result<FetchResponse> result);
  void fail(ErrorKind kind, const std::string& why);
  [[nodiscard]] Error failure_of(CURLcode code) const;
  [[nodiscard]] bool take_head_line(std::string_view line);
  [[nodiscard]] bool take_body(std::string_view bytes);

  static size_t on_head_line(char* data, size_t size, size_t count, void* self) noexcept;
  static size_t on_body(char* data, size_t size, size_t count, void* self) noexcept;

  CurlFetcher& fetcher_;
  FetchRequest request_;
  Fetcher::Done done_;
  std::optional<HttpUri> uri_;
  std::string shown_url_;
  std::unique_ptr<Network::Query> query_;
  const CurlLibrary* curl_ = nullptr;
  std::optional<CurlRequest> easy_;
  bool is_running_ = false;  // The multi handle has it.
  FetchResponse response_;
  size_t head_bytes_ = 0;
  bool head_is_over_ = false;
  std::string over_limit_;
  std::optional<Result<FetchResponse>> result_;
  EndOfTurn deliver_;
  Timer deadline_;
};

class CurlFetcher final : public Fetcher {
 public:
  CurlFetcher(Loop& loop, Network& network) : loop_(loop), network_(network) {}

  std::unique_ptr<Call> fetch(FetchRequest request, Done done) override {
    return std::make_unique<CurlCall>(*this, std::move(request), std::move(done));
  }

  [[nodiscard]] Loop& loop() { return loop_; }

  [[nodiscard]] Network& network() { return network_; }

  [[nodiscard]] bool add(const CurlLibrary& curl, CURL* easy, CurlMulti::Transfer& transfer) {
    if (!multi_) multi_ = std::make_unique<CurlMulti>(loop_, curl);
    return multi_->add(easy, transfer);
  }

  void remove(CURL* easy) {
    multi_->remove(easy);
    if (multi_->empty()) loop_.retire(std::move(multi_));
  }

 private:
  Loop& loop_;
  Network& network_;
  std::unique_ptr<CurlMulti> multi_;  // While there are transfers.
};

CurlCall::CurlCall(CurlFetcher& fetcher, FetchRequest request, Fetcher::Done done)
    : fetcher_(fetcher),
      request_(std::move(request)),
      done_(std::move(done)),
      deliver_(fetcher.loop(), [this] { done_(std::move(*result_)); }),
      deadline_(fetcher.loop(), [this] {
        fail(ErrorKind::kTimeout,
             query_ ? "its name was not resolved in time" : "no answer in time");
      }) {
  deadline_.start(request_.options.deadline);
  start();
}

CurlCall::~CurlCall() {
  let_go();
  OPENSSL_cleanse(response_.body.data(), response_.body.size());
}

void CurlCall::start() {
  shown_url_ = "the URL";
  Result<HttpUri> uri = parse_fetch_url(request_.url, request_.options.insecure_cleartext);
  if (!uri) {
    fail(uri.error().kind, uri.error().detail);
    return;
  }
  uri_ = std::move(uri).value();
  shown_url_ = to_string(*uri_);
  shown_url_.resize(std::min(shown_url_.find('?'), shown_url_.size()));
  const Result<CurlLibrary>& curl = curl_library();
  if (!curl) {
    fail(curl.error().kind, curl.error().detail);
    return;
  }
  curl_ = &curl.value();
  const FetchProxy& proxy = request_.options.proxy;
  if (proxy.host.empty()) {
    resolve(uri_->authority.host, uri_->port());
  } else {
    resolve(proxy.host, proxy.port);
  }
}

// As for links: libcurl would wait for a resolver that hangs when a transfer ends, and with it all
// links of this loop.
void CurlCall::resolve(const std::string& host, uint16_t port) {
  if (Address::from_literal(host, port)) {
    begin({});
    return;
  }
  query_ = fetcher_.network().resolve(host, port, [this](Result<std::vector<Address>> found) {
    fetcher_.loop().retire(std::move(query_));
    if (!found) {
      fail(found.error().kind, found.error().detail);
      return;
    }
    begin(found.value());
  });
}

void CurlCall::begin(const std::vector<Address>& addresses) {
  easy_.emplace(*curl_);
  const CurlRequest::Sink sink{&CurlCall::on_head_line, &CurlCall::on_body, this};
  const Result<void> ready = easy_->set_up(request_, *uri_, addresses, sink);
  if (!ready) {
    fail(ready.error().kind, ready.error().detail);
    return;
  }
  is_running_ = fetcher_.add(*curl_, easy_->handle(), *this);
  if (!is_running_) fail(ErrorKind::kInternal, "no memory");
}

// Ends the transfer, and everything that libcurl has of it.
void CurlCall::let_go() {
  query_.reset();
  if (is_running_) fetcher_.remove(easy_->handle());
  is_running_ = false;
  easy_.reset();
}

void CurlCall::on_transfer_done(CURLcode code) {
  if (code != CURLE_OK) {
    finish(failure_of(code));
    return;
  }
  long status = 0;
  curl_->easy_getinfo(easy_->handle(), CURLINFO_RESPONSE_CODE, &status);
  if (status < 200 || status > 599) {
    fail(ErrorKind::kProtocol, "the answer has the status " + std::to_string(status));
    return;
  }
  response_.status = static_cast<int>(status);
  finish(std::move(response_));
}

Error CurlCall::failure_of(CURLcode code) const {
  const auto error = [this](ErrorKind kind, const std::string& why) {
    const Side side = kind == ErrorKind::kConfiguration ? Side::kLocal : Side::kGateway;
    return Error{kind, side, shown_url_ + ": " + why};
  };
  if (!over_limit_.empty()) return error(ErrorKind::kTooLarge, over_limit_);
  const std::string_view words =
      easy_->words().empty() ? curl_->easy_strerror(code) : easy_->words();
  long connect_status = 0;
  curl_->easy_getinfo(easy_->handle(), CURLINFO_HTTP_CONNECTCODE, &connect_status);
  if (connect_status >= 300) {
    return error(connect_status == 407 ? ErrorKind::kRefused : ErrorKind::kUnreachable,
                 "the proxy answers " + std::to_string(connect_status));
  }
  return error(kind_of(code), std::string(words));
}

void CurlCall::fail(ErrorKind kind, const std::string& why) {
  const bool ours = kind == ErrorKind::kConfiguration || kind == ErrorKind::kInternal;
  finish(Error{kind, ours ? Side::kLocal : Side::kGateway, shown_url_ + ": " + why});
}

void CurlCall::finish(Result<FetchResponse> result) {
  if (result_) return;
  deadline_.stop();
  result_ = std::move(result);
  deliver_.schedule();
}

bool CurlCall::take_head_line(std::string_view line) {
  head_bytes_ += line.size();
  if (head_bytes_ > kHeadBytesMax) {
    over_limit_ = "the head of the answer is over " + std::to_string(kHeadBytesMax) + " bytes";
    return false;
  }
  while (line.ends_with('\n') || line.ends_with('\r'))
    line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // Maybe not the first: there are interim answers.
    response_.fields.clear();
    head_is_over_ = false;
  } else if (line.empty()) {
    head_is_over_ = true;
  } else if (!head_is_over_) {  // Later lines are trailers.
    const size_t colon = std::min(line.find(':'), line.size());
    const std::string_view value = trim_whitespace(line.substr(std::min(colon + 1, line.size())));
    for (const std::string_view name : kKeptFields) {
      if (equals_ignoring_case(line.substr(0, colon), name) && is_field_value(value))
        response_.fields.add(name, value);
    }
  }
  return true;
}

bool CurlCall::take_body(std::string_view bytes) {
  const size_t most = request_.options.body_bytes_max;
  if (bytes.size() > most - response_.body.size()) {
    over_limit_ = "the answer is over " + std::to_string(most) + " bytes";
    return false;
  }
  append_wiping(response_.body, bytes);
  return true;
}

size_t CurlCall::on_head_line(char* data, size_t size, size_t count, void* self) noexcept {
  return static_cast<CurlCall*>(self)->take_head_line({data, size * count}) ? size * count : 0;
}

size_t CurlCall::on_body(char* data, size_t size, size_t count, void* self) noexcept {
  return static_cast<CurlCall*>(self)->take_body({data, size * count}) ? size * count : 0;
}

}  // namespace

std::unique_ptr<Fetcher> make_fetcher(Loop& loop, Network& network) {
  return std::make_unique<CurlFetcher>(loop, network);
}

Result<void> check_fetch_library() {
  const Result<CurlLibrary>& curl = curl_library();
  if (!curl) return curl.error();
  return {};
}

Result<void> check_fetch_url(const std::string& url, bool insecure_cleartext) {
  const Result<HttpUri> uri = parse_fetch_url(url, insecure_cleartext);
  if (!uri) return uri.error();
  return {};
}

}  // namespace ptth
