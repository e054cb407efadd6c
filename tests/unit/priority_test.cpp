#include "common/priority.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace ptth {

TEST_CASE("a priority field says urgency and whether pieces are of use") {
  CHECK(parse_priority("") == Priority{3, false});
  CHECK(parse_priority("u=0") == Priority{0, false});
  CHECK(parse_priority("u=7, i") == Priority{7, true});
  CHECK(parse_priority("i=?0,u=5;why=\"so\"") == Priority{5, false});
  CHECK(parse_priority("u=1, u=4") == Priority{4, false});
  CHECK(parse_priority("x=(1 2), u=2, z") == Priority{2, false});
}

TEST_CASE("members of a priority that make no sense count as absent, and a broken one altogether") {
  CHECK(parse_priority("u=8, i=1") == Priority{3, false});
  CHECK(parse_priority("u=-1") == Priority{3, false});
  CHECK(parse_priority("u=1.0") == Priority{3, false});
  CHECK(parse_priority("u=\"1\", i") == Priority{3, true});
  CHECK_FALSE(parse_priority("u=1,"));
  CHECK_FALSE(parse_priority("u=1; i; ="));
  CHECK_FALSE(parse_priority("U=1"));
}

TEST_CASE("the priority of a request is that of all its fields together") {
  FieldList fields;
  CHECK(priority_of(fields) == Priority{3, false});
  fields.add("priority", "u=1");
  CHECK(priority_of(fields) == Priority{1, false});
  fields.add("priority", "i");
  CHECK(priority_of(fields) == Priority{1, true});
  fields.add("priority", "u=");
  CHECK(priority_of(fields) == Priority{3, false});
}

}  // namespace ptth
