#pragma once

// From what the HTTP/1.1 parser read to what an exchange starts with, by the rules that HTTP/2
// requests go by: RequestReader keeps them.

#include "agent/relay/request_reader.h"
#include "common/error.h"
#include "common/http1_request_parser.h"
#include "common/http_message.h"

namespace ptth {

// After the parser's kHead. The reader is new.
[[nodiscard]] Result<RequestHead> take_http1_head(const Http1RequestParser& parser,
                                                  RequestReader& reader);
// After its kFailed: who and what was asked for, as far as it was understood, for the log line.
[[nodiscard]] RequestHead describe_http1_request(const Http1RequestParser& parser);

}  // namespace ptth
