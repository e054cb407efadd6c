#pragma once

// HelloExchange: a hello that is an HTTP/1.1 request, and the gateway's answers to it, to the one
// that decides. It asks again where a gateway gave up waiting. Of what follows a yes it knows
// nothing. Part of a HelloStream, which reads and writes for it.

#include "agent/link/hello_answer.h"
#include "agent/link/hello_request.h"
#include "agent/link/hello_spec.h"
#include "agent/link/profile.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/loop.h"

#include <cstdint>
#include <string>

namespace ptth {

class HelloExchange {
 public:
  // Called from the loop and from inside read(). The last three are terminal.
  class Listener {
   public:
    // False: nobody wants to know any more.
    [[nodiscard]] virtual bool wants_hello() const = 0;
    virtual void send_hello(Bytes request) = 0;
    // The time for an answer starts anew.
    virtual void on_hello_patience() = 0;
    // channel: the ALPN id; rest: what followed the answer.
    virtual void on_hello_accepted(const std::string& channel, Bytes rest) = 0;
    virtual void on_hello_refused(const Error& error) = 0;
    // As Profile::Listener::on_redirected.
    virtual void on_hello_redirected(const Redirect* redirect) = 0;

   protected:
    ~Listener() = default;
  };

  // All are borrowed and outlive the exchange. An empty credentials function brings none. The
  // request leaves at the end of the turn.
  HelloExchange(Loop& loop, const HelloSpec& spec, const HelloCredentials& credentials,
                Listener& listener);
  HelloExchange(const HelloExchange&) = delete;
  HelloExchange& operator=(const HelloExchange&) = delete;
  HelloExchange(HelloExchange&&) = delete;
  HelloExchange& operator=(HelloExchange&&) = delete;
  ~HelloExchange() = default;

  // What the gateway sent.
  void read(Bytes bytes);
  // The stream has ended, or failed, before a terminal call: the error to report.
  [[nodiscard]] Error explain_end(const Error& error);

 private:
  void ask();
  void on_given_up(Bytes rest);
  void on_moved();

  Loop& loop_;
  const HelloSpec& spec_;
  const HelloCredentials& credentials_;
  Listener& listener_;
  HelloAnswerReader answer_;
  bool has_asked_ = false;
  uint64_t asked_ms_ = 0;
  EndOfTurn ask_;
  Timer ask_later_;
  Timer reason_timeout_;
};

}  // namespace ptth
