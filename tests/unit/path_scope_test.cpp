#include "agent/link/path_scope.h"

#include <string>

#include <doctest/doctest.h>

using ptth::parse_path_prefix;
using ptth::PathScope;

TEST_CASE("a prefix holds itself and what is below it, by whole segments") {
  const PathScope scope({"/shop", "/a/b/"});
  for (const std::string path : {"/shop", "/shop/", "/shop?x", "/shop/cart?../..", "/shop//x",
                                 "/shop/...", "/shop/a.b", "/shop/%41", "/a/b", "/a/b/c"}) {
    CAPTURE(path);
    CHECK(scope.holds(path));
  }
  for (const std::string path : {"/", "*", "/shopping", "/Shop", "/a", "/a/bc", "//shop", "/x/shop",
                                 "/%73hop", "/shop%2fcart"}) {
    CAPTURE(path);
    CHECK_FALSE(scope.holds(path));
  }
}

TEST_CASE("a path that leads out of a prefix somewhere is not in it") {
  const PathScope scope({"/shop"});
  for (const std::string path :
       {"/shop/..", "/shop/../admin", "/shop/./x", "/shop/%2e%2e/admin", "/shop/.%2E/admin",
        "/shop/..%2fadmin", "/shop/%2e%2e%2Fadmin", "/shop/..%5cadmin", "/shop/..\\admin",
        "/shop/..;x=1/admin", "/shop/%252e%252e/admin", "/shop/..%252fadmin"}) {
    CAPTURE(path);
    CHECK_FALSE(scope.holds(path));
  }
}

TEST_CASE("the root and no prefix at all hold everything that has one meaning") {
  CHECK(PathScope({}).holds("/a/../b"));
  CHECK(PathScope({}).holds("*"));
  CHECK(PathScope({"/"}).holds("/"));
  CHECK(PathScope({"/"}).holds("/a?b"));
  CHECK_FALSE(PathScope({"/"}).holds("/a/../b"));
}

TEST_CASE("a prefix that means something else to somebody is refused") {
  for (const std::string text : {"/", "/shop", "/shop/", "/a.b/~c"}) {
    CAPTURE(text);
    CHECK(parse_path_prefix(text).ok());
  }
  for (const std::string text : {"", "shop", "*", "/shop*?", "/a?b", "/a#b", "/a b", "/a/../b",
                                 "/.", "/%61", "/a\\b", "/a;b", "//a", "/a//", "/\xc3\xa9"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_path_prefix(text).ok());
  }
}
