#pragma once

// The BIO through which OpenSSL reads and writes records: between tls_stream.cpp and the ByteStream
// beneath it. Nobody else includes this.

#include "common/byte_stream.h"

#include <memory>

#include <openssl/bio.h>

namespace ptth {

// Where the records come from and go to. Outlives the BIO.
struct RecordChannel {
  ByteStream* beneath = nullptr;  // Takes every write.
  Bytes incoming;                 // Not read by OpenSSL yet; at its end OpenSSL is told to wait.
};

// Null when there is no memory. SSL_set_bio takes it over.
[[nodiscard]] BIO* make_record_bio(RecordChannel& channel);

}  // namespace ptth
