#include "agent/relay/request_class.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

namespace {

RequestHead request(const std::string& method, const std::string& path) {
  RequestHead head;
  head.method = method;
  head.path = path;
  return head;
}

RequestClass with(const ClassMatch& match) {
  RequestClass heavy;
  heavy.match = match;
  return heavy;
}

bool belongs(const ClassMatch& match, const RequestHead& head) {
  return RequestClasses({with(match)}, 10).class_of(head) == 1;
}

}  // namespace

TEST_CASE("a star in a pattern stands for any text") {
  CHECK(matches_pattern("/export/*", "/export/"));
  CHECK(matches_pattern("/export/*", "/export/a/b"));
  CHECK(matches_pattern("*", ""));
  CHECK(matches_pattern("*.pdf", "/a.pdf.pdf"));
  CHECK(matches_pattern("/*/report/*", "/shop/x/report/1"));
  CHECK(matches_pattern("", ""));
  CHECK_FALSE(matches_pattern("/export/*", "/export"));
  CHECK_FALSE(matches_pattern("/export", "/export/"));
  CHECK_FALSE(matches_pattern("*.pdf", "/a.pdf.p"));
  CHECK_FALSE(matches_pattern("", "a"));
  CHECK_FALSE(matches_pattern(std::string(50, '*') + "b", std::string(10'000, 'a')));
}

TEST_CASE("all that a class asks for must hold") {
  ClassMatch match;
  match.paths = {"/export/*", "/report"};
  match.methods = {"GET", "POST"};
  CHECK(belongs(match, request("GET", "/report?year=2026")));
  CHECK(belongs(match, request("POST", "/export/all")));
  CHECK_FALSE(belongs(match, request("PUT", "/export/all")));
  CHECK_FALSE(belongs(match, request("GET", "/?/export/all")));
}

TEST_CASE("a class may ask for fields, any of several lines") {
  ClassMatch match;
  match.fields = {{"x-kind", "batch*"}};
  RequestHead head = request("GET", "/");
  CHECK_FALSE(belongs(match, head));
  head.fields.add("x-kind", "page");
  CHECK_FALSE(belongs(match, head));
  head.fields.add("x-kind", "batch-7");
  CHECK(belongs(match, head));
}

TEST_CASE("a class may ask for a body that is announced as large") {
  ClassMatch match;
  match.body_size_min = 1000;
  RequestHead head = request("POST", "/");
  head.body = BodyKind::kUnknown;
  CHECK_FALSE(belongs(match, head));
  head.body = BodyKind::kLength;
  head.content_length = 999;
  CHECK_FALSE(belongs(match, head));
  head.content_length = 1000;
  CHECK(belongs(match, head));
}

TEST_CASE("the first class that matches counts") {
  ClassMatch narrow;
  narrow.paths = {"/a/*"};
  const RequestClasses classes({with(narrow), with({})}, 10);
  CHECK(classes.class_of(request("GET", "/a/b")) == 1);
  CHECK(classes.class_of(request("GET", "/b")) == 2);
  CHECK(RequestClasses({with(narrow)}, 10).class_of(request("GET", "/b")) == RequestClasses::kNone);
}

TEST_CASE("a route's latency is known once it has been seen a few times") {
  RouteLatencies routes(10);
  for (int sample = 0; sample < 4; ++sample)
    routes.add(request("GET", "/a/b/c"), 1000);
  CHECK(routes.latency_us(request("GET", "/a/b/c")) == 0);
  routes.add(request("GET", "/a/b/other?x"), 1000);
  CHECK(routes.latency_us(request("GET", "/a/b")) == 1000);
  CHECK(routes.latency_us(request("POST", "/a/b")) == 0);
  CHECK(routes.latency_us(request("GET", "/a/c")) == 0);
}

TEST_CASE("so many routes are known, whatever paths a gateway makes up") {
  RouteLatencies routes(10);
  for (int sample = 0; sample < 5; ++sample)
    routes.add(request("GET", "/used"), 1000);
  for (int number = 0; number < 1000; ++number) {
    routes.add(request("GET", "/made/up" + std::to_string(number)), 1);
    if (number % 5 == 0) routes.add(request("GET", "/used"), 1000);
  }
  CHECK(routes.size() == 10);
  CHECK(routes.latency_us(request("GET", "/used")) == 1000);
}

}  // namespace ptth
