#include "agent/admin_capacity.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

namespace {

class Desk final : public AdminCapacity {
 public:
  [[nodiscard]] Report report() const override {
    return {said.value_or(100), said ? "admin" : "fixed", 3, 2};
  }

  void set(std::optional<uint32_t> capacity) override {
    said = capacity;
    ++changes;
  }

  std::optional<uint32_t> said;
  int changes = 0;
};

class Source final : public AdminSource {
 public:
  std::vector<Check> readiness() override { return {}; }

  std::vector<Check> startup() override { return {}; }

  std::string status() override { return {}; }

  void begin_drain() override {}
};

struct Fixture {
  AdminPage ask(const std::string& method, const std::string& body = "",
                const std::vector<Field>& fields = {{"content-type", "application/json"}}) {
    RequestHead head;
    head.method = method;
    head.path = "/capacity";
    head.authority = "localhost:9600";
    for (const Field& field : fields)
      head.fields.add(field.name, field.value);
    return pages.page_for(head, ptth::AdminClient::kThisMachine, body);
  }

  Desk desk;
  Source source;
  Metrics metrics;
  AdminPages pages{source, metrics, HostCheck::kLoopbackNames, &desk};
};

}  // namespace

TEST_CASE("the capacity in force can be read") {
  Fixture admin;
  const AdminPage page = admin.ask("GET", "", {});
  CHECK(page.status == 200);
  CHECK(page.content_type == "application/json");
  CHECK(page.body ==
        "{\"capacity\": 100, \"source\": \"fixed\", \"in_flight\": 3, \"queued\": 2}\n");
}

TEST_CASE("the capacity can be set and given back") {
  Fixture admin;
  const AdminPage set = admin.ask("PUT", "{\"capacity\": 20}\n");
  CHECK(set.status == 200);
  CHECK(set.body.starts_with("{\"capacity\": 20, \"source\": \"admin\""));
  CHECK(admin.desk.said == 20);
  CHECK(admin
            .ask("PUT", R"({"capacity": null})",
                 {{"content-type", "Application/JSON; charset=utf-8"}})
            .status == 200);
  CHECK_FALSE(admin.desk.said);
  CHECK(admin.desk.changes == 2);
}

TEST_CASE("a capacity that is not one changes nothing") {
  Fixture admin;
  for (const char* body :
       {"", "20", "{}", "[20]", "null", R"({"capacity": 20, "more": 1})", R"({"capacity": 20)",
        R"({"limit": 20})", R"({"capacity": 2, "capacity": 3})"}) {
    CAPTURE(body);
    CHECK(admin.ask("PUT", body).status == 400);
  }
  for (const char* body : {R"({"capacity": 0})", R"({"capacity": -1})", R"({"capacity": 1.5})",
                           R"({"capacity": 1000001})", R"({"capacity": "20"})",
                           R"({"capacity": true})", R"({"capacity": 99999999999999999999})"}) {
    CAPTURE(body);
    CHECK(admin.ask("PUT", body).status == 422);
  }
  CHECK(admin.desk.changes == 0);
}

TEST_CASE("a web page of another place changes nothing") {
  Fixture admin;
  const std::string body = R"({"capacity": 1})";
  const auto from = [&](const std::string& origin) {
    return admin.ask("PUT", body, {{"content-type", "application/json"}, {"origin", origin}})
        .status;
  };
  CHECK(from("https://evil.example") == 403);
  CHECK(from("null") == 403);
  CHECK(from("http://localhost:3000") == 403);
  // What a form can send.
  CHECK(admin.ask("PUT", body, {}).status == 415);
  CHECK(admin.ask("PUT", body, {{"content-type", "text/plain"}}).status == 415);
  CHECK(admin.ask("POST", body).status == 405);
  CHECK(admin.ask("DELETE", body).status == 405);
  CHECK(admin.desk.changes == 0);
  CHECK(from("http://localhost:9600") == 200);
}

TEST_CASE("where the listener is bound wider nobody changes anything") {
  Fixture admin;
  AdminPages wider(admin.source, admin.metrics, HostCheck::kNone, &admin.desk);
  RequestHead head;
  head.method = "PUT";
  head.path = "/capacity";
  head.authority = "10.0.0.1:9600";
  head.fields.add("content-type", "application/json");
  CHECK(wider.page_for(head, ptth::AdminClient::kElsewhere, R"({"capacity": 1})").status == 403);
  CHECK(admin.desk.changes == 0);
  head.method = "GET";
  CHECK(wider.page_for(head, ptth::AdminClient::kElsewhere).status == 200);
}

TEST_CASE("only the capacity takes a body") {
  RequestHead head;
  head.method = "PUT";
  head.path = "/capacity?x";
  CHECK(AdminPages::takes_body(head));
  head.path = "/metrics";
  CHECK_FALSE(AdminPages::takes_body(head));
  head.method = "POST";
  head.path = "/capacity";
  CHECK_FALSE(AdminPages::takes_body(head));
}

}  // namespace ptth
