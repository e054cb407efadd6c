#pragma once

// TlsContexts: the contexts that dials use, made anew when one of their files has changed. Reading
// the system's roots takes tens of milliseconds, for which the loop would stand still at every
// dial.

#include "common/error.h"
#include "common/file_stamp.h"
#include "common/tls_stream.h"

#include <chrono>
#include <memory>
#include <vector>

namespace ptth {

class TlsContexts {
 public:
  // A file that was changed so short before it was read may change again without its stamp telling,
  // because file systems count time in steps: what was made from it is not kept.
  explicit TlsContexts(std::chrono::nanoseconds settle_time = std::chrono::seconds(2))
      : settle_time_(settle_time) {}

  TlsContexts(const TlsContexts&) = delete;
  TlsContexts& operator=(const TlsContexts&) = delete;
  TlsContexts(TlsContexts&&) = delete;
  TlsContexts& operator=(TlsContexts&&) = delete;
  ~TlsContexts() = default;

  // As TlsContext::for_client. Owned by this and by every connection that uses it: connections made
  // before a file was renewed keep the context that they began with.
  [[nodiscard]] Result<std::shared_ptr<TlsContext>> for_client(const TlsOptions& options);
  // As TlsContext::for_server; the rest is as above.
  [[nodiscard]] Result<std::shared_ptr<TlsContext>> for_server(const TlsOptions& options);

 private:
  // One of the two of TlsContext.
  using Make = Result<std::unique_ptr<TlsContext>> (*)(const TlsOptions& options);

  struct Entry {
    Make make;
    TlsOptions options;
    std::vector<FileStamp> stamps;
    std::chrono::steady_clock::time_point made;
    std::shared_ptr<TlsContext> context;
  };

  [[nodiscard]] static std::vector<FileStamp> stamps_of(const TlsOptions& options);
  [[nodiscard]] Result<std::shared_ptr<TlsContext>> find_or_make(Make make,
                                                                 const TlsOptions& options);
  [[nodiscard]] bool settled(const std::vector<FileStamp>& stamps) const;

  std::chrono::nanoseconds settle_time_;
  std::vector<Entry> entries_;
};

}  // namespace ptth
