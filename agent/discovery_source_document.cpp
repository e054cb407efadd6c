// The document of an HTTPS URL: fetched with If-None-Match, kept in memory, and in a file if one is
// configured.

#include "agent/discovery_document.h"
#include "agent/discovery_source.h"
#include "common/errand.h"
#include "common/fetch.h"
#include "common/log.h"
#include "common/secret_file.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace ptth {

namespace {

constexpr int kOk = 200;
constexpr int kNotModified = 304;

// RFC 9111 section 5.2.2: of the directives, those that say how long it is good.
std::optional<Milliseconds> max_age_of(std::string_view control) {
  while (!control.empty()) {
    const size_t comma = std::min(control.find(','), control.size());
    std::string_view directive = control.substr(0, comma);
    control.remove_prefix(std::min(comma + 1, control.size()));
    while (directive.starts_with(' ') || directive.starts_with('\t'))
      directive.remove_prefix(1);
    if (directive == "no-store" || directive == "no-cache") return Milliseconds(0);
    constexpr std::string_view kMaxAge = "max-age=";
    if (!directive.starts_with(kMaxAge)) continue;
    directive.remove_prefix(kMaxAge.size());
    uint32_t seconds = 0;
    const auto read =
        std::from_chars(directive.data(), directive.data() + directive.size(), seconds);
    if (read.ec == std::errc()) return Milliseconds(int64_t{seconds} * 1000);
  }
  return std::nullopt;
}

// On a thread. The file is whole or as it was. Empty: it is written.
std::string replace_file(const std::string& name, const std::string& text) {
  const std::string fresh = name + ".new";
  const int descriptor =
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return fresh + " cannot be written";
  const bool written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const bool closed = ::close(descriptor) == 0;
  if (written && closed && std::rename(fresh.c_str(), name.c_str()) == 0) return {};
  ::unlink(fresh.c_str());
  return name + " cannot be written";
}

class DocumentSource final : public DiscoverySource {
 public:
  DocumentSource(Loop& loop, Log& log, Fetcher& fetcher, const DiscoveryOptions& options,
                 const ProxyOptions& proxy)
      : loop_(loop),
        log_(log),
        fetcher_(fetcher),
        options_(options),
        proxy_(proxy),
        fail_(loop, [this] {
          const Done done = std::exchange(done_, {});
          if (done) done(early_error_);
        }) {}

  void look(Done done) override {
    done_ = std::move(done);
    FetchRequest request;
    request.url = options_.target;
    request.fields.add("accept", "application/json");
    if (!etag_.empty()) request.fields.add("if-none-match", etag_);
    request.options.ca_file = options_.ca_file;
    request.options.connect_timeout = options_.timeout;
    request.options.deadline = options_.timeout;
    request.options.body_bytes_max = options_.document_bytes_max;
    if (const auto secrets = add_secrets(request); !secrets) {
      early_error_ = secrets.error();
      fail_.schedule();
      return;
    }
    call_ = fetcher_.fetch(std::move(request), [this](Result<FetchResponse> response) {
      loop_.retire(std::move(call_));
      const Done finish = std::exchange(done_, {});
      finish(response ? judge(response.value()) : Result<Looked>(response.error()));
    });
  }

  void cancel() override {
    fail_.cancel();
    done_ = {};
    loop_.retire(std::move(call_));
  }

  std::vector<FoundGateway> remembered() override {
    if (options_.cache_file.empty()) return {};
    std::ifstream file(options_.cache_file, std::ios::binary);
    if (!file) return {};
    std::string text(options_.document_bytes_max + 1, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    auto found = parse_discovery_document(text, options_);
    if (found) return std::move(found).value();
    log_.warn("the copy of a discovery document cannot be used",
              {{"file", options_.cache_file}, {"detail", found.error().detail}});
    return {};
  }

 private:
  // Read anew each time.
  [[nodiscard]] Result<void> add_secrets(FetchRequest& request) const {
    if (!options_.token_file.empty()) {
      const auto token = read_secret_file(options_.token_file);
      if (!token) return token.error();
      request.authorization = Secret("Bearer " + std::string(token.value().reveal()));
    }
    if (proxy_.mode != ProxyOptions::Mode::kGiven) return {};
    FetchProxy& proxy = request.options.proxy;
    proxy.host = proxy_.host;
    proxy.port = proxy_.port;
    proxy.tls = proxy_.tls;
    proxy.ca_file = proxy_.ca_file;
    proxy.credentials = proxy_.credentials;
    if (proxy_.credentials_file.empty()) return {};
    auto credentials = read_secret_file(proxy_.credentials_file);
    if (!credentials) return credentials.error();
    proxy.credentials = std::move(credentials).value();
    return {};
  }

  [[nodiscard]] Result<Looked> judge(const FetchResponse& response) {
    Looked looked;
    if (const auto control = response.fields.find("cache-control")) {
      looked.good_for = max_age_of(*control);
    }
    if (response.status == kNotModified && !etag_.empty()) {
      looked.is_unchanged = true;
      return looked;
    }
    if (response.status != kOk) {
      return Error{ErrorKind::kUnavailable, Side::kGateway,
                   options_.target + " answers " + std::to_string(response.status), true};
    }
    auto found = parse_discovery_document(response.body, options_);
    if (!found) {
      Error error = found.error();
      error.detail = options_.target + ": " + error.detail;
      return error;
    }
    etag_ = response.fields.find("etag").value_or("");
    looked.gateways = std::move(found).value();
    if (!options_.cache_file.empty()) keep(response.body);
    return looked;
  }

  void keep(const std::string& text) {
    if (writing_) return;
    writing_ = Errand::start(loop_, [this, file = options_.cache_file, text]() -> Errand::Done {
      const std::string wrong = replace_file(file, text);
      return [this, wrong] {
        loop_.retire(std::move(writing_));
        if (!wrong.empty()) log_.warn("no copy of a discovery document", {{"detail", wrong}});
      };
    });
  }

  Loop& loop_;
  Log& log_;
  Fetcher& fetcher_;
  const DiscoveryOptions options_;
  const ProxyOptions proxy_;
  std::string etag_;
  Done done_;
  Error early_error_;
  EndOfTurn fail_;
  std::unique_ptr<Fetcher::Call> call_;
  std::unique_ptr<Errand> writing_;
};

}  // namespace

std::unique_ptr<DiscoverySource> make_document_source(Loop& loop, Log& log, Fetcher& fetcher,
                                                      const DiscoveryOptions& options,
                                                      const ProxyOptions& proxy) {
  return std::make_unique<DocumentSource>(loop, log, fetcher, options, proxy);
}

}  // namespace ptth
