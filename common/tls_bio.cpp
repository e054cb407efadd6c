#include "common/tls_bio.h"

#include "common/c_handle.h"

#include <algorithm>
#include <cstring>

namespace ptth {

namespace {

using MethodPtr = std::unique_ptr<BIO_METHOD, FreeWith<BIO_meth_free>>;

RecordChannel& channel_of(BIO* bio) {
  return *static_cast<RecordChannel*>(BIO_get_data(bio));
}

int write_records(BIO* bio, const char* bytes, size_t count, size_t* written) noexcept {
  channel_of(bio).beneath->write({reinterpret_cast<const uint8_t*>(bytes), count});
  *written = count;
  return 1;
}

int read_records(BIO* bio, char* bytes, size_t count, size_t* taken) noexcept {
  BIO_clear_retry_flags(bio);
  Bytes& incoming = channel_of(bio).incoming;
  *taken = std::min(count, incoming.size());
  if (*taken == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(bytes, incoming.data(), *taken);
  incoming = incoming.subspan(*taken);
  return 1;
}

long control(BIO*, int command, long, void*) noexcept {
  // Everything is flushed at the end of the turn; all else is not supported, which is 0.
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

MethodPtr make_method() {
  MethodPtr method(BIO_meth_new(BIO_TYPE_SOURCE_SINK, "ptth records"));
  if (method) {
    BIO_meth_set_write_ex(method.get(), write_records);
    BIO_meth_set_read_ex(method.get(), read_records);
    BIO_meth_set_ctrl(method.get(), control);
  }
  return method;
}

}  // namespace

BIO* make_record_bio(RecordChannel& channel) {
  // Never changed after it was made.
  static const MethodPtr method = make_method();
  BIO* bio = method ? BIO_new(method.get()) : nullptr;
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &channel);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace ptth
