#pragma once

// HelloJudge: what follows from a gateway's answer to our hello, whichever version of HTTP carried
// it. It holds no stream and no timer.

#include "agent/link/hello_spec.h"
#include "common/byte_stream.h"
#include "common/error.h"
#include "common/http_date.h"
#include "common/http_message.h"
#include "common/http_uri.h"
#include "common/loop.h"
#include "common/retry_after.h"
#include "common/secret.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

enum class HelloOutcome : uint8_t {
  kNeedMore,   // All of the bytes are taken.
  kReversed,   // channel() was chosen; the bytes that are left are its first.
  kAskAgain,   // The gateway gave up waiting (204), and waits for the next hello.
  kDialAgain,  // The same, but on another connection.
  kMoved,      // To location().
  kRefused,    // error().
};

// kTunnel: an answer to CONNECT, in which nothing frames the body of a yes.
enum class HelloForm : uint8_t { kMessage, kTunnel };

struct HelloAnswer {
  ResponseHead head;
  HelloForm form = HelloForm::kMessage;
  std::string upgrade;      // What Upgrade named, as one list.
  bool keeps_alive = true;  // Another request may follow on the connection.
};

class HelloJudge {
 public:
  // Of the body of a no: read, and shown to people.
  static constexpr size_t kBodyBytesMax = 1024;
  static constexpr size_t kBodyShownMax = 200;

  // The spec outlives the judge.
  explicit HelloJudge(const HelloSpec& spec);

  // Before each answer. What is in secrets is never repeated in an error.
  void start(std::vector<Secret> secrets);

  // The final head. kNeedMore: it is a no, and only words for people are still to come.
  [[nodiscard]] HelloOutcome judge(HelloAnswer answer);
  // Those words. kRefused once no more are wanted.
  [[nodiscard]] HelloOutcome add_body(Bytes bytes);
  // There are no more of them.
  [[nodiscard]] HelloOutcome finish_refusal();
  // The answer is none.
  [[nodiscard]] HelloOutcome refuse(ErrorKind kind, std::string detail);
  // The connection has ended, before the answer's final head.
  enum class Began : uint8_t { kNo, kYes };
  [[nodiscard]] HelloOutcome refuse_closed(Began began);

  [[nodiscard]] bool awaits_body() const { return is_refused_; }

  // The ALPN id.
  [[nodiscard]] const std::string& channel() const { return channel_; }

  [[nodiscard]] const HttpUri& location() const { return location_; }

  [[nodiscard]] const Error& error() const { return error_; }

 private:
  [[nodiscard]] bool is_accepted() const;
  [[nodiscard]] HelloOutcome accept();
  [[nodiscard]] HelloOutcome choose_channel();
  [[nodiscard]] HelloOutcome follow();
  [[nodiscard]] bool body_is_for_people() const;
  [[nodiscard]] bool tells_secrets(std::string_view text) const;
  [[nodiscard]] std::string shown(std::string_view text) const;

  const HelloSpec& spec_;
  HelloAnswer answer_;
  std::vector<Secret> secrets_;
  bool is_refused_ = false;
  bool head_tells_secrets_ = false;
  std::string body_;
  std::string channel_;
  HttpUri location_;
  Error error_;
};

// Where Location leads from base; kProtocol unless it is a URI or an absolute path.
[[nodiscard]] Result<HttpUri> resolve_location(std::string_view location, const HttpUri& base);

// What others sent, for people: printable ASCII in one line, at most so many characters (three at
// least).
[[nodiscard]] std::string visible(std::string_view text, size_t characters_max);

}  // namespace ptth
