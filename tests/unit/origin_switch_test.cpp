#include "agent/relay/origin_switch.h"

#include "tests/support/scripted_origin.h"

#include <memory>

#include <doctest/doctest.h>

using ptth::OriginSwitch;
using ptth::RequestHead;
using ptth::ScriptedOrigin;

namespace {

struct Listener final : ptth::ResponseListener {
  void on_interim_response(const ptth::ResponseHead&) override {}

  void on_response_head(const ptth::ResponseHead&) override {}

  void on_response_body(ptth::Bytes) override {}

  void on_response_end(const ptth::FieldList&) override {}

  void on_response_failed(const ptth::Error&) override {}

  void on_request_body_taken(size_t) override {}
};

}  // namespace

TEST_CASE("calls end in the origin where they began, and take it along when they are the last") {
  auto before = std::make_shared<ScriptedOrigin>();
  auto after = std::make_shared<ScriptedOrigin>();
  const std::weak_ptr<ScriptedOrigin> old = before;
  OriginSwitch entrance(before);
  const RequestHead head;
  Listener listener;
  auto first = entrance.start(head, listener, {});
  auto second = entrance.start(head, listener, {});
  CHECK(before->calls.size() == 2);

  entrance.set(after);
  before.reset();
  REQUIRE_FALSE(old.expired());
  const std::string bytes = "abc";
  first->write_body({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  first->end_body({});
  CHECK(old.lock()->calls[0]->body == "abc");
  CHECK(old.lock()->calls[0]->body_ended);
  const auto third = entrance.start(head, listener, {});
  CHECK(after->calls.size() == 1);

  first.reset();
  CHECK_FALSE(old.expired());
  second.reset();
  CHECK(old.expired());
}
