#pragma once

// What the admin listener answers: a function of the request, of the checks that the composition
// root supplies, and of the metrics. Knows nothing of sockets.

#include "agent/readiness.h"
#include "common/http_message.h"
#include "common/metrics.h"

#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// What the pages show. /livez asks nothing: that the loop answers is the proof.
class AdminSource {
 public:
  // Damped (DampedCheck), but for draining, which counts at once.
  virtual std::vector<Check> readiness() = 0;
  // Passing once, passing for ever.
  virtual std::vector<Check> startup() = 0;
  // What the agent is doing: StatusReport as JSON.
  virtual std::string status() = 0;
  // As SIGTERM. Whoever asks so wants to see the receipt, in the status.
  virtual void begin_drain() = 0;

 protected:
  ~AdminSource() = default;
};

struct AdminPage {
  int status = 200;
  std::string_view content_type = "text/plain; charset=utf-8";
  std::string body;
  std::string_view allow = "GET, HEAD";  // With 405.
};

// Who may be named in Host. A web page that makes a browser take its own name for 127.0.0.1 (DNS
// rebinding) is then refused; where the listener is bound wider, everybody may read.
enum class HostCheck { kLoopbackNames, kNone };
[[nodiscard]] HostCheck host_check_for(std::string_view listen);

class AdminCapacity;

// Where a request comes from. Probes and metrics are for everybody whom the listener lets in, the
// rest is for this machine only.
enum class AdminClient { kThisMachine, kElsewhere };

class AdminPages {
 public:
  // capacity: null: it cannot be changed here.
  AdminPages(AdminSource& source, Metrics& metrics, HostCheck host_check,
             AdminCapacity* capacity = nullptr);

  // body: that of the request.
  [[nodiscard]] AdminPage page_for(const RequestHead& request, AdminClient from,
                                   std::string_view body = {});
  // Some page takes the body of such a request.
  [[nodiscard]] static bool takes_body(const RequestHead& request);
  // For a request that could not be read, or was refused before it was.
  [[nodiscard]] AdminPage error_page(int status, std::string_view text);

 private:
  enum class Path {
    kLive,
    kReady,
    kStartup,
    kMetrics,
    kCapacity,
    kStatus,
    kPage,
    kDrain,
    kUnknown
  };
  [[nodiscard]] static Path path_of(std::string_view path);
  [[nodiscard]] static std::string_view name_of(Path path);
  [[nodiscard]] static bool is_for_this_machine(Path path);
  [[nodiscard]] bool may_be_named(Path path, const std::string& host) const;
  [[nodiscard]] AdminPage make_page(Path path, const RequestHead& request);
  [[nodiscard]] AdminPage drain_page(const RequestHead& request);
  [[nodiscard]] AdminPage metrics_page(const RequestHead& request);
  void count(Path path, int status);

  AdminSource& source_;
  Metrics& metrics_;
  HostCheck host_check_;
  AdminCapacity* capacity_;
};

// From the Accept fields: the older text format only for those who prefer it.
[[nodiscard]] Exposition choose_exposition(const FieldList& fields);

}  // namespace ptth
