#include "agent/admin_pages.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using ptth::AdminClient;
using ptth::AdminPage;
using ptth::AdminPages;
using ptth::AdminSource;
using ptth::Check;
using ptth::Exposition;
using ptth::FieldList;
using ptth::HostCheck;
using ptth::Metrics;
using ptth::RequestHead;

namespace {

class FakeSource final : public AdminSource {
 public:
  std::vector<Check> readiness() override { return ready; }

  std::vector<Check> startup() override { return started; }

  std::string status() override { return "{}"; }

  void begin_drain() override { ++drains; }

  int drains = 0;

  std::vector<Check> ready = {{"links", Check::State::kPassing, "2 of 2 attached"},
                              {"origin", Check::State::kPassing, ""}};
  std::vector<Check> started = {{"links", Check::State::kFailing, "none yet"}};
};

struct Fixture {
  FakeSource source;
  Metrics metrics;
  AdminPages pages{source, metrics, HostCheck::kLoopbackNames};

  AdminPage get(const std::string& path, const std::string& host = "localhost",
                const std::string& method = "GET", AdminClient from = AdminClient::kThisMachine) {
    RequestHead head;
    head.method = method;
    head.path = path;
    head.authority = host;
    return pages.page_for(head, from);
  }
};

Exposition exposition_for(const std::vector<std::string>& accept) {
  FieldList fields;
  for (const std::string& value : accept)
    fields.add("accept", value);
  return ptth::choose_exposition(fields);
}

}  // namespace

TEST_CASE("liveness is there whatever the checks say") {
  Fixture admin;
  admin.source.ready[0].state = Check::State::kFailing;
  CHECK(admin.get("/livez").status == 200);
  CHECK(admin.get("/livez?x=y").status == 200);
}

TEST_CASE("readiness passes when every check does, and names those that do not") {
  Fixture admin;
  CHECK(admin.get("/readyz").status == 200);
  CHECK(admin.get("/readyz").body == "ok\n");
  admin.source.ready[1] = {"origin", Check::State::kFailing, "connection\nrefused\x1b"};
  CHECK(admin.get("/readyz").status == 503);
  CHECK(admin.get("/readyz").body == "not ok: origin\n");
  const AdminPage verbose = admin.get("/readyz?a=b&verbose");
  CHECK(verbose.status == 503);
  CHECK(verbose.body == "[+] links: 2 of 2 attached\n[-] origin: connection?refused?\nnot ok\n");
  CHECK(admin.get("/readyz?verbose=1").body == verbose.body);
  CHECK(admin.get("/readyz?verbosely").body == "not ok: origin\n");
}

TEST_CASE("start-up has its own checks") {
  Fixture admin;
  CHECK(admin.get("/startupz").status == 503);
  admin.source.started.clear();
  CHECK(admin.get("/startupz").status == 200);
}

TEST_CASE("other paths are not found, other methods not allowed") {
  Fixture admin;
  for (const std::string path : {"/statusz", "/livez/", "/livezz", "//livez", "/LIVEZ", "*",
                                 "/metrics/x", "/other", "/%6civez", "/../livez"}) {
    CAPTURE(path);
    CHECK(admin.get(path).status == 404);
  }
  CHECK(admin.get("/livez", "localhost", "HEAD").status == 200);
  for (const std::string method : {"POST", "PUT", "OPTIONS", "TRACE", "get"}) {
    CAPTURE(method);
    CHECK(admin.get("/livez", "localhost", method).status == 405);
  }
}

TEST_CASE("on loopback, only loopback may be named in Host") {
  Fixture admin;
  for (const std::string host : {"localhost", "LOCALHOST:9600", "127.0.0.1", "127.0.0.1:1", "",
                                 "127.5.6.7:80", "[::1]", "[::1]:9600", "[0:0::1]:80"}) {
    CAPTURE(host);
    CHECK(admin.get("/livez", host).status == 200);
  }
  for (const std::string host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.evil", "10.0.0.1",
        "[::2]", "localhost.", "0.0.0.0", "[::ffff:127.0.0.1]", "x@localhost", "localhost,evil"}) {
    CAPTURE(host);
    CHECK(admin.get("/metrics", host).status == 421);
  }
  AdminPages wider(admin.source, admin.metrics, HostCheck::kNone);
  RequestHead head;
  head.method = "GET";
  head.path = "/livez";
  head.authority = "10.1.2.3:9600";
  CHECK(wider.page_for(head, AdminClient::kElsewhere).status == 200);
}

TEST_CASE("the status, and the page that shows it, are for this machine only") {
  Fixture admin;
  for (const std::string path : {"/", "/status"}) {
    CAPTURE(path);
    CHECK(admin.get(path).status == 200);
    CHECK(admin.get(path, "localhost", "POST").status == 405);
    CHECK(admin.get(path, "evil.example").status == 421);
    CHECK(admin.get(path, "localhost", "GET", AdminClient::kElsewhere).status == 403);
  }
  CHECK(admin.get("/status").content_type == "application/json");
  CHECK(admin.get("/").body.starts_with("<!doctype html>"));
  // Also where probes are bound wider, and on a Unix socket a browser names who it thinks we are.
  AdminPages wider(admin.source, admin.metrics, HostCheck::kNone);
  RequestHead head;
  head.method = "GET";
  head.path = "/status";
  head.authority = "10.1.2.3:9600";
  CHECK(wider.page_for(head, AdminClient::kElsewhere).status == 421);
  head.authority = "localhost";
  CHECK(wider.page_for(head, AdminClient::kElsewhere).status == 403);
  CHECK(wider.page_for(head, AdminClient::kThisMachine).status == 200);
}

TEST_CASE(
    "a drain is asked for by a POST of JSON, from this machine and no page of another place") {
  Fixture admin;
  RequestHead head;
  head.method = "POST";
  head.path = "/drain";
  head.authority = "localhost:9600";
  CHECK(admin.pages.page_for(head, AdminClient::kThisMachine).status == 415);
  head.fields.add("content-type", "application/json");
  CHECK(admin.pages.page_for(head, AdminClient::kElsewhere).status == 403);
  CHECK(admin.source.drains == 0);
  CHECK(admin.pages.page_for(head, AdminClient::kThisMachine).status == 202);
  CHECK(admin.source.drains == 1);
  head.authority = "evil.example";
  CHECK(admin.pages.page_for(head, AdminClient::kThisMachine).status == 421);
  head.authority = "localhost:9600";
  head.fields.add("origin", "http://evil.example");
  CHECK(admin.pages.page_for(head, AdminClient::kThisMachine).status == 403);
  head.method = "GET";
  const AdminPage page = admin.pages.page_for(head, AdminClient::kThisMachine);
  CHECK(page.status == 405);
  CHECK(page.allow == "POST");
  CHECK(admin.source.drains == 1);
}

TEST_CASE("Host is checked where the listener is bound to loopback") {
  CHECK(ptth::host_check_for("127.0.0.1:9600") == HostCheck::kLoopbackNames);
  CHECK(ptth::host_check_for("127.0.0.9:0") == HostCheck::kLoopbackNames);
  CHECK(ptth::host_check_for("[::1]:9600") == HostCheck::kLoopbackNames);
  CHECK(ptth::host_check_for("[::]:9600") == HostCheck::kNone);
  CHECK(ptth::host_check_for(":9600") == HostCheck::kNone);
  CHECK(ptth::host_check_for("10.0.0.1:9600") == HostCheck::kNone);
  CHECK(ptth::host_check_for("unix:/run/admin.sock") == HostCheck::kNone);
}

TEST_CASE("metrics are OpenMetrics, unless the older format is preferred") {
  CHECK(exposition_for({}) == Exposition::kOpenMetrics);
  CHECK(exposition_for({"*/*"}) == Exposition::kOpenMetrics);
  CHECK(exposition_for({"text/plain"}) == Exposition::kPrometheusText);
  CHECK(exposition_for({"text/*"}) == Exposition::kPrometheusText);
  CHECK(exposition_for({"text/plain;version=0.0.4;q=0.5, */*;q=0.1"}) ==
        Exposition::kPrometheusText);
  CHECK(exposition_for({"application/openmetrics-text; version=1.0.0; q=0.2",
                        "text/plain;q=0.3"}) == Exposition::kPrometheusText);
  // What Prometheus 2.42 sends.
  CHECK(exposition_for({"application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                        "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"}) ==
        Exposition::kOpenMetrics);
  CHECK(exposition_for({"text/html,*/*;q=0.8"}) == Exposition::kOpenMetrics);
  CHECK(exposition_for({"application/openmetrics-text;q=0, */*"}) == Exposition::kPrometheusText);
  CHECK(exposition_for({",,;;,q=,text/plain;q=nonsense,*/*;q=0.1"}) == Exposition::kOpenMetrics);
}

TEST_CASE("the content type of metrics says which format it is") {
  Fixture admin;
  const AdminPage open = admin.get("/metrics");
  CHECK(open.content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8");
  CHECK(open.body.ends_with("# EOF\n"));
  RequestHead head;
  head.method = "GET";
  head.path = "/metrics";
  head.authority = "localhost";
  head.fields.add("accept", "text/plain");
  const AdminPage text = admin.pages.page_for(head, AdminClient::kThisMachine);
  CHECK(text.content_type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(text.body.find("# EOF") == std::string::npos);
}

TEST_CASE("requests are counted by page and status, whatever paths strangers think of") {
  Fixture admin;
  for (int time = 0; time < 50; ++time)
    CHECK(admin.get("/" + std::to_string(time)).status == 404);
  const std::string text = admin.get("/metrics").body;
  CHECK(text.find("ptth_admin_requests_total{code=\"404\",path=\"other\"} 50\n") !=
        std::string::npos);
  CHECK(text.find("/49") == std::string::npos);
}
