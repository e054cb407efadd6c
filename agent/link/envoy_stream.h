#pragma once

// The hello of an Envoy, and what it does with the connection afterwards (protocols.md section 6):
// it leaves TLS without a word, keeps the raw connection alive with pings, and at last begins
// HTTP/2 on it, in TLS of its own or in cleartext.

#include "agent/link/envoy_options.h"
#include "agent/link/hello_request.h"
#include "agent/link/hello_spec.h"
#include "agent/link/profile.h"
#include "common/record_gate.h"
#include "common/tls_contexts.h"

#include <memory>

namespace ptth {

// What the streams of one profile share; outlives them.
struct EnvoyHello {
  HelloSpec spec;
  HelloCredentials credentials;
  EnvoyOptions options;
  std::unique_ptr<TlsContexts> inner_contexts = std::make_unique<TlsContexts>();
};

// gate: beneath the TLS that is connected; null without TLS.
[[nodiscard]] std::unique_ptr<ByteStream> make_envoy_stream(Loop& loop,
                                                            std::unique_ptr<ByteStream> connected,
                                                            RecordGate* gate,
                                                            const EnvoyHello& hello,
                                                            Profile::Listener& listener);

}  // namespace ptth
