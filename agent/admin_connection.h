#pragma once

// One connection to the admin listener: requests one after the other, each answered before the next
// is read, within limits on the head and on every wait.

#include "agent/admin_pages.h"
#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/http1_request_parser.h"
#include "common/loop.h"

#include <cstdint>
#include <memory>
#include <string>

namespace ptth {

struct AdminOptions;

//            head complete             answer taken
//   kIdle -> kRequest ------> kAnswer ---------------> kIdle
//     |          |                |
//     |          | refused        | last one
//     v          v                v
//   kClosing: our side is shut, the rest of theirs is read and dropped, so that no reset overtakes
//   the answer; then kOver.
class AdminConnection final : private ByteStream::Listener {
 public:
  class Owner {
   public:
    // Terminal. Retire the connection; it is silent already.
    virtual void on_connection_over(AdminConnection& connection) = 0;

   protected:
    ~Owner() = default;
  };

  // Outlives the connection.
  struct Surroundings {
    Loop& loop;
    AdminPages& pages;
    const AdminOptions& options;
    Owner& owner;
  };

  AdminConnection(const Surroundings& around, std::unique_ptr<ByteStream> stream, AdminClient from);
  ~AdminConnection();
  AdminConnection(const AdminConnection&) = delete;
  AdminConnection& operator=(const AdminConnection&) = delete;
  AdminConnection(AdminConnection&&) = delete;
  AdminConnection& operator=(AdminConnection&&) = delete;

  // When it began to wait for what it waits for.
  [[nodiscard]] uint64_t waiting_since_ms() const { return waiting_since_ms_; }

 private:
  enum class State { kIdle, kRequest, kAnswer, kClosing, kOver };
  enum class After { kNextRequest, kClose };

  void on_bytes(Bytes bytes) override;
  void on_end() override;
  void on_failed(const Error& error) override;
  void on_sent() override;
  void on_timeout();

  void read_requests(Bytes& input);
  void answer_request();
  void refuse(int status, std::string_view text);
  void write_page(const AdminPage& page, After after);
  void transition(State state);
  void close();
  void end();

  Loop& loop_;
  std::unique_ptr<ByteStream> stream_;
  const AdminClient from_;
  AdminPages& pages_;
  const AdminOptions& options_;
  Owner& owner_;
  Http1RequestParser parser_;
  Timer timer_;
  State state_ = State::kIdle;
  After after_answer_ = After::kNextRequest;
  uint64_t waiting_since_ms_ = 0;
  bool other_side_ended_ = false;
  std::string body_;
  ByteQueue input_;  // Read already, behind the request that is being answered.
};

}  // namespace ptth
