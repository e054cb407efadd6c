#pragma once

// An Origin whose answers the test gives, call by call.

#include "agent/origin/origin.h"
#include "common/http_rules.h"

#include <memory>
#include <string>
#include <vector>

namespace ptth {

class ScriptedOrigin final : public Origin {
 public:
  // One call as the test sees it. Stays after the call has been cancelled.
  struct Seen {
    RequestHead head;
    std::string body;
    bool body_ended = false;
    FieldList trailers;
    bool cancelled = false;
    bool paused = false;
    ResponseListener* listener = nullptr;
    WorkSlot slot;

    void answer_head(int status, BodyKind body_kind, FieldList fields = {}) const {
      ResponseHead response;
      response.status = status;
      response.body = body_kind;
      const auto length = fields.find("content-length");
      if (body_kind == BodyKind::kLength && length) {
        response.content_length = parse_content_length(*length).value();
      }
      response.fields = std::move(fields);
      listener->on_response_head(response);
    }

    void answer_body(const std::string& text) const {
      listener->on_response_body({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    }

    void answer_end(const FieldList& response_trailers = {}) {
      slot.release();
      listener->on_response_end(response_trailers);
    }

    void fail(const Error& error) {
      slot.release();
      listener->on_response_failed(error);
    }

    // The origin's socket takes what has come so far.
    void take(size_t count) const { listener->on_request_body_taken(count); }
  };

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override {
    calls.push_back(std::make_unique<Seen>());
    Seen& seen = *calls.back();
    seen.head = head;
    seen.listener = &listener;
    seen.slot = std::move(slot);
    return std::make_unique<Call>(seen);
  }

  std::vector<std::unique_ptr<Seen>> calls;

 private:
  class Call final : public OriginCall {
   public:
    explicit Call(Seen& seen) : seen_(seen) {}

    ~Call() override {
      seen_.cancelled = true;
      seen_.listener = nullptr;
    }

    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    Call(Call&&) = delete;
    Call& operator=(Call&&) = delete;

    void write_body(Bytes bytes) override {
      seen_.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    }

    void end_body(const FieldList& trailers) override {
      seen_.body_ended = true;
      seen_.trailers = trailers;
    }

    void pause_response() override { seen_.paused = true; }

    void resume_response() override { seen_.paused = false; }

   private:
    Seen& seen_;
  };
};

}  // namespace ptth
