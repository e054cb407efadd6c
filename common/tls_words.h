#pragma once

// What OpenSSL reports, in words for people: its error queue, alerts, and why a certificate was not
// accepted. For tls_context.cpp and tls_stream.cpp.

#include <string>

#include <openssl/types.h>

namespace ptth {

// The first error in the queue, which is the cause of the others. Empties the queue.
struct OpenSslError {
  int library = 0;
  int reason = 0;
  std::string text;  // "no error was reported" when the queue is empty.
};

[[nodiscard]] OpenSslError take_openssl_error();

// "2026-03-01 12:00:00 UTC".
[[nodiscard]] std::string time_text(const ASN1_TIME* time);

// "; by the clock of this machine it is 2026-11-29 12:00:00 UTC": where a time is what is wrong,
// the clock may be too.
[[nodiscard]] std::string clock_text();

// Empty if it has none.
[[nodiscard]] std::string common_name(const X509* certificate);

// Why verification stops at the current certificate of the store. expected_name is the one that we
// asked for; empty when none was.
[[nodiscard]] std::string verification_problem(X509_STORE_CTX* store,
                                               const std::string& expected_name);

// The number of the TLS alert that an error of libssl stands for, or -1.
[[nodiscard]] int alert_number(const OpenSslError& error);

// The alert is about a certificate that we sent, or that we did not send.
[[nodiscard]] bool refuses_our_certificate(int alert);

// What such an alert says of our certificate, and what OpenSSL calls it.
[[nodiscard]] std::string refusal_text(int alert);

}  // namespace ptth
