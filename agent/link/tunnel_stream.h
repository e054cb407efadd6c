#pragma once

// TunnelStream: the DATA of one extended CONNECT (RFC 8441) as a ByteStream, on a connection of its
// own or on one that is lent. Whoever asks, and judges the answer, is its Owner. Credit returns to
// the gateway when the listener has taken the bytes: what waits is never more than the window.

#include "agent/link/nghttp2_client.h"
#include "agent/link/profile.h"
#include "agent/link/tunnel_connection.h"
#include "common/byte_queue.h"
#include "common/byte_stream.h"
#include "common/http_message.h"
#include "common/loop.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace ptth {

class TunnelStream final : public ByteStream, private Nghttp2Client::Stream {
 public:
  enum class ExtendedConnect : uint8_t { kRefused, kTaken };

  // Called from the loop.
  class Owner {
   public:
    // A lent one only, and before all others.
    virtual void on_tunnel_carried(const Carrier& carrier) = 0;
    // The gateway's SETTINGS are known.
    virtual void on_tunnel_ready(ExtendedConnect extended_connect) = 0;
    // 1xx.
    virtual void on_tunnel_interim() = 0;
    // The final head. What follows arrives at the stream's listener.
    virtual void on_tunnel_answer(const ResponseHead& head) = 0;
    // The gateway wants to be rid of the connection beneath; the stream goes on.
    virtual void on_tunnel_leaving() = 0;

   protected:
    ~Owner() = default;
  };

  // To whom a lent stream returns.
  class Lender {
   public:
    virtual void on_returned(TunnelStream& stream) = 0;

   protected:
    ~Lender() = default;
  };

  explicit TunnelStream(std::unique_ptr<TunnelConnection> own);
  // Is carried later. The lender outlives this.
  explicit TunnelStream(Lender& lender);
  ~TunnelStream() override;
  TunnelStream(const TunnelStream&) = delete;
  TunnelStream& operator=(const TunnelStream&) = delete;
  TunnelStream(TunnelStream&&) = delete;
  TunnelStream& operator=(TunnelStream&&) = delete;

  // Once, at once; outlives this.
  void set_owner(Owner& owner) { owner_ = &owner; }

  // Once, after on_tunnel_ready. Pseudo fields first. False: there is no stream to be had.
  [[nodiscard]] bool ask(const std::vector<Nghttp2Client::FieldView>& fields);

  void set_listener(ByteStream::Listener* listener) override;
  void write(Bytes bytes) override;
  [[nodiscard]] size_t unsent_bytes() const override;
  void pause_reading() override;
  void resume_reading() override;
  void shutdown() override;
  void break_off() override;

  // For the lender; from the loop.
  void carry(TunnelConnection& connection, const Carrier& carrier);
  void fail(const Error& error);

  // For the connection.
  void on_carrier_ready(ExtendedConnect extended_connect);
  void on_carrier_leaving();
  void on_carrier_flushed();
  void on_carrier_sent();
  void deliver();

  [[nodiscard]] bool is_open() const { return connection_ != nullptr && id_ != 0; }

  // The gateway has ended it, or it never began: its place in the connection is free.
  [[nodiscard]] bool is_over() const { return failed_ || is_done_; }

  // The connection is no more.
  void lose() { connection_ = nullptr; }

 private:
  // Nghttp2Client::Stream
  void on_field(std::string_view name, std::string_view value) override;
  void on_fields_end(Nghttp2Client::Ending ending) override;
  void on_data(Bytes bytes) override;
  void on_stream_end() override;
  void on_closed(uint32_t code, std::string_view name) override;
  size_t read_outgoing(std::span<uint8_t> memory, Nghttp2Client::Ending& ending) override;

  [[nodiscard]] bool deliverable() const { return listener_ != nullptr && !paused_ && !failed_; }

  void work_soon();
  void send_soon();
  void return_credit(size_t count);

  std::unique_ptr<TunnelConnection> own_;  // Null if lent.
  Lender* lender_ = nullptr;               // Null if not.
  TunnelConnection* connection_ = nullptr;
  Owner* owner_ = nullptr;
  ByteStream::Listener* listener_ = nullptr;
  int32_t id_ = 0;  // 0: not open.
  ResponseHead head_;
  size_t head_bytes_ = 0;
  bool is_ready_ = false;
  bool has_answer_ = false;
  ByteQueue outgoing_;
  ByteQueue incoming_;  // That nobody could be given; the gateway has no credit for it.
  bool outgoing_shrank_ = false;
  bool shutdown_wanted_ = false;
  bool paused_ = false;
  bool ended_ = false;
  bool end_delivered_ = false;
  bool is_done_ = false;  // Both directions have ended as they should.
  bool failed_ = false;
};

}  // namespace ptth
