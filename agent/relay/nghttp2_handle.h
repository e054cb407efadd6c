#pragma once

#include <memory>

struct nghttp2_session;

namespace ptth {

struct DeleteNghttp2Session {
  void operator()(nghttp2_session* session) const noexcept;
};

using Nghttp2Handle = std::unique_ptr<nghttp2_session, DeleteNghttp2Session>;

}  // namespace ptth
