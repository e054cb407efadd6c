#pragma once

// HelloSpec: all that a hello which is an HTTP request says, and what counts as a yes. It is data:
// each profile brings its own values, and configuration may replace any of them, so that another
// revision of a draft is another configuration.

#include "agent/link/uri_template.h"
#include "common/authority.h"
#include "common/error.h"
#include "common/http_message.h"
#include "common/http_uri.h"
#include "common/loop.h"
#include "common/token_bucket.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

// What configuration says otherwise than the profile; what is empty is as the profile has it.
struct HelloOptions {
  std::string uri;           // Fixed, by arrangement with the gateway; instead of a template.
  std::string uri_template;  // RFC 6570.
  std::string method;
  std::string token;                        // What Upgrade names.
  std::string offer_field;                  // Where we offer channels.
  std::vector<std::string> choice_fields;   // Where the gateway may name one.
  std::vector<std::string> channels;        // ALPN ids, as bytes, the best first.
  std::vector<std::string> statuses;        // That say yes.
  std::vector<std::string> fields;          // "name: value", beside those of the hello itself.
  std::vector<std::string> variables;       // "name=value", for the template.
  ServedAuthorities origins;                // serialized_origin; empty: all that is served.
  std::vector<std::string> redirect_hosts;  // Where 307 and 308 may lead; empty: the same host.
  uint32_t redirects_max = 4;               // One after the other.
  Milliseconds poll_timeout{300'000};       // Of a profile whose hello is a poll.
  // A gateway that makes us wait says so with 1xx; more often than this is an attack.
  Rate interim_answers{32, 1};

  [[nodiscard]] bool operator==(const HelloOptions&) const = default;
};

// What a profile brings.
struct HelloDefaults {
  std::string_view profile;
  std::string_view method;
  std::string_view token;              // Empty: no upgrade is asked for.
  std::string_view path_template;      // Behind the gateway's scheme, host and port.
  std::string_view required_variable;  // That any template must have; empty: none.
  std::string_view offer_field;        // Empty: channels are not offered.
  std::vector<std::string_view> choice_fields;
  std::vector<std::string_view> channels;
  std::string_view status;      // Empty: any 2xx but 204.
  bool states_no_body = false;  // Content-Length: 0.
  bool is_poll = false;         // The answer may come only when the gateway needs us.
};

// Where the gateway is, as configured.
struct HelloPlace {
  std::string_view host;
  uint16_t port = 443;
  Scheme scheme = Scheme::kHttps;
  std::string_view server_name;  // Its name, when host is only where to dial; else empty.
};

// Complete, and checked.
struct HelloSpec {
  std::string method;
  HttpUri uri;
  std::string token;
  std::string offer_field;
  std::vector<std::string> choice_fields;  // In lower case.
  std::vector<std::string> channels;
  std::vector<int> statuses;  // Empty: any 2xx but 204.
  FieldList fields;
  bool states_no_body = false;
  std::vector<std::string> redirect_hosts;  // In lower case; at least that of the URI.
  uint32_t redirects_max = 0;
  Rate interim_answers{};
  bool is_poll = false;
  Milliseconds poll_timeout{};  // Asked anew on another connection after that.
  // A gateway that has not said no for so long holds the hello until it needs us.
  Milliseconds poll_settle_time{200};
};

// kConfiguration: what is wrong, and which setting mends it.
[[nodiscard]] Result<HelloSpec> make_hello_spec(const HelloDefaults& defaults,
                                                const HelloOptions& options,
                                                const HelloPlace& place,
                                                const ServedAuthorities& served);

struct NameAndValue {
  std::string name;
  std::string value;
};

// "name: value" with the name in lower case. kConfiguration also for fields that the hello writes
// itself, and for credentials, which do not belong where they would be shown.
[[nodiscard]] Result<NameAndValue> parse_hello_field(std::string_view text);
// "name=value".
[[nodiscard]] Result<NameAndValue> parse_hello_variable(std::string_view text);
// 100 to 599, but no interim answer other than 101.
[[nodiscard]] Result<int> parse_hello_status(std::string_view text);
// "ptth", "PTTH/1.0" (RFC 9110 section 7.8).
[[nodiscard]] bool is_protocol(std::string_view text);

// An ALPN id as a field has it (RFC 7639): a token in which all else, and %, is percent-encoded.
[[nodiscard]] std::string encode_alpn_id(std::string_view id);
// Nothing unless the text is such a token.
[[nodiscard]] std::optional<std::string> decode_alpn_id(std::string_view text);

}  // namespace ptth
