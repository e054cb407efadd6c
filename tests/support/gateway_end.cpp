#include "tests/support/gateway_end.h"

#include "common/check.h"

#include <utility>

namespace ptth::test {

GatewayEnd::GatewayEnd(std::unique_ptr<ByteStream> stream, Opening opening)
    : opening_(std::move(opening)), stream_(std::move(stream)) {}

GatewayEnd::~GatewayEnd() {
  stream_->set_listener(nullptr);
}

std::string GatewayEnd::text_of(const std::map<int32_t, std::string>& texts, int32_t exchange) {
  const auto found = texts.find(exchange);
  return found == texts.end() ? std::string() : found->second;
}

void GatewayEnd::begin() {
  stream_->set_listener(this);
  if (opening_.worker_sends.empty()) open();
}

void GatewayEnd::write(std::string_view text) {
  stream_->write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void GatewayEnd::open() {
  is_open_ = true;
  write(opening_.gateway_sends);
  on_open();
}

void GatewayEnd::on_bytes(Bytes bytes) {
  const bool any_request = opening_.worker_sends == kAnyRequest;
  while (!is_open_ && !bytes.empty()) {
    begun_ += static_cast<char>(bytes.front());
    bytes = bytes.subspan(1);
    if (any_request ? begun_.ends_with(kAnyRequest) : begun_ == opening_.worker_sends) open();
    CHECK_INVARIANT(any_request || opening_.worker_sends.starts_with(begun_));
  }
  if (!bytes.empty()) read(bytes);
}

void GatewayEnd::on_end() {
  ended_ = true;
  on_ended();
}

void GatewayEnd::on_failed(const Error& /*error*/) {
  ended_ = true;
}

}  // namespace ptth::test
