#pragma once

// One request at one worker: an HTTP/2 stream seen as an OriginCall. It keeps the bodies and what
// is known of the answer; the session that made it moves frames. Between Exchange and
// WorkerSession.

#include "agent/origin/origin.h"
#include "common/byte_queue.h"
#include "common/loop.h"
#include "tests/gateway/faults.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace ptth::dev {

class WorkerCall final : public OriginCall {
 public:
  // The session as its calls see it.
  class Session {
   public:
    // Body bytes or the end of the body wait in the call.
    virtual void on_upload_ready(WorkerCall& call) = 0;
    // The listener has got so many bytes of the answer's body.
    virtual void on_body_delivered(WorkerCall& call, size_t count) = 0;
    // The call is being destroyed.
    virtual void on_call_gone(WorkerCall& call) = 0;

   protected:
    ~Session() = default;
  };

  enum class RequestMethod { kHead, kOther };

  WorkerCall(Loop& loop, Session& session, ResponseListener& listener, const RequestFaults& faults,
             RequestMethod method);
  ~WorkerCall() override;

  void write_body(Bytes bytes) override;
  void end_body(const FieldList& trailers) override;
  void pause_response() override;
  void resume_response() override;

  // From here on: for the session only.
  enum class StreamEnd { kNo, kYes };

  int32_t stream_id = 0;
  bool sent = false;  // HEADERS have left: the worker may have seen the request.

  void begin_fields();
  // False: the header list is over its limit.
  [[nodiscard]] bool add_field(std::string_view name, std::string_view value);
  void end_fields(StreamEnd end);
  void receive_body(Bytes bytes);
  void receive_end();
  // Terminal, unless the answer has already come to its end. Drops what is buffered.
  void fail(const Error& error);
  // Fails at the end of the turn: for a call that could not even be sent.
  void fail_later(Error error);

  // The stream has gone; the session is not called any more.
  void detach() { session_ = nullptr; }

  // The upload as DATA frames.
  size_t take_upload(std::span<uint8_t> into);

  [[nodiscard]] bool upload_empty() const { return upload_.empty(); }

  [[nodiscard]] bool upload_ended() const { return upload_ended_; }

  [[nodiscard]] const FieldList& upload_trailers() const { return upload_trailers_; }

  void tell_upload_taken();

  [[nodiscard]] bool answer_complete() const { return answer_ == Answer::kEnded; }

  [[nodiscard]] uint64_t body_received() const { return body_received_; }

  [[nodiscard]] uint64_t body_delivered() const { return body_delivered_; }

  [[nodiscard]] const RequestFaults& faults() const { return faults_; }

 private:
  enum class Answer { kWaiting, kBody, kReceived, kEnded };

  void give_head(StreamEnd end);
  void deliver();
  void give_body(Bytes bytes);
  void give_end();

  static constexpr size_t kHeaderListBytesMax = size_t{256} * 1024;

  Session* session_;
  ResponseListener* listener_;  // Null after the terminal event.
  RequestFaults faults_;
  RequestMethod method_;
  Answer answer_ = Answer::kWaiting;
  int status_ = 0;
  FieldList fields_;
  FieldList trailers_;
  ByteQueue download_;  // Only what came while the response was paused.
  bool paused_ = false;
  uint64_t body_received_ = 0;
  uint64_t body_delivered_ = 0;
  ByteQueue upload_;
  bool upload_ended_ = false;
  FieldList upload_trailers_;
  size_t upload_taken_ = 0;
  std::optional<Error> failure_;
  EndOfTurn deliver_;
};

}  // namespace ptth::dev
