#include "tests/gateway/worker_session.h"

#include "tests/gateway/worker_http1.h"
#include "tests/gateway/worker_http2.h"

#include <utility>

namespace ptth::dev {

std::unique_ptr<WorkerSession> WorkerSession::start(Loop& loop, std::unique_ptr<ByteStream> stream,
                                                    Options options, Listener& listener) {
  if (options.channel == Channel::kHttp1) {
    return std::make_unique<Http1WorkerSession>(loop, std::move(stream), std::move(options),
                                                listener);
  }
  return std::make_unique<Http2WorkerSession>(loop, std::move(stream), std::move(options),
                                              listener);
}

}  // namespace ptth::dev
