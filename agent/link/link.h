#pragma once

// Link: one connection slot to one gateway and its whole life: dial, TLS, reverse, serve, drain,
// back off, for ever. It owns the stream and the session; it never touches another link.

#include "agent/link/auth.h"
#include "agent/link/auto_options.h"
#include "agent/link/backoff.h"
#include "agent/link/challenge_options.h"
#include "agent/link/discovery_options.h"
#include "agent/link/envoy_options.h"
#include "agent/link/link_state.h"
#include "agent/link/profile.h"
#include "agent/link/proxy_options.h"
#include "agent/link/worker_document.h"
#include "agent/origin/origin.h"
#include "agent/relay/session.h"
#include "agent/relay/turn_share.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/network.h"
#include "common/tls_contexts.h"
#include "common/tls_stream.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ptth {

class ProfileChooser;
struct Budget;
struct RelayMetrics;
class TunnelPool;

// How many links a gateway gets that speaks HTTP/1.1, where each carries one exchange at a time.
struct LinkPoolOptions {
  uint32_t spare = 2;                  // Attached and free, for the next requests.
  uint32_t max = 0;                    // In all; 0: as many as the capacity.
  uint32_t dials = 4;                  // Under way at once, beside the first `connections`.
  Milliseconds surplus_after{30'000};  // What was not needed for so long is closed.

  [[nodiscard]] bool operator==(const LinkPoolOptions&) const = default;
};

struct GatewayOptions {
  std::string name;  // In logs and metrics; default: host:port of the url.
  std::string host;  // From the url.
  uint16_t port = 443;
  bool tls = true;  // https; http only with an option whose name says insecure.
  // Where gateways of this kind are found, instead of the three above.
  DiscoveryOptions discovery;
  // Addresses to dial when the host has none that can be resolved (RFC 9460 section 7.3).
  std::vector<std::string> address_hints;
  std::string profile = "haproxy";
  AutoOptions automatic;                // For the profile auto.
  std::vector<std::string> alpn;        // As bytes; empty: the profile's.
  std::vector<std::string> http1_alpn;  // Offered behind those; they mean HTTP/1.1.
  std::vector<std::string> revisions;   // Of the profile's draft; empty: all that are known.
  uint32_t connections = 1;             // Links, spread over the addresses of the host.
  LinkPoolOptions pool;                 // More of them, for HTTP/1.1.
  TlsOptions tls_options;
  AuthOptions auth;
  ChallengeOptions challenge;
  WorkerDocumentOptions worker_document;
  bool load_report = false;  // Each answer says how busy the worker is.
  ProxyOptions proxy;
  std::string source_address;  // As ConnectAttempt::Options has it.
  std::string server_name;     // SNI and verified name; empty: host.
  BackoffOptions backoff;
  SessionLimits session;
  RequestRules rules;
  Milliseconds connect_timeout{10'000};  // Resolve to TLS secured.
  Milliseconds address_race_delay{250};  // RFC 8305 section 5.
  Milliseconds hello_timeout{10'000};  // The profile's hello to its end, or to a sign of patience.
  HelloOptions hello;
  Milliseconds max_age{0};  // A connection is replaced at this age at the latest; 0: never.
  Milliseconds renew_spread{5'000};  // A replacement is dialled somewhere within this time.
  uint32_t tunnel_window_bytes = 1024 * 1024;  // TunnelOptions::window_bytes.
  uint32_t channels_per_connection = 1;  // Links that share one; profiles of extended CONNECT.
  EnvoyOptions envoy;
  uint32_t exchanges_max = 0;  // At the origin at once; 0: what the reserve of the others leaves.
  size_t buffer_bytes = 0;     // Bodies buffered on all links; 0: an equal share of the process's.
  TurnShareOptions turn;

  [[nodiscard]] bool operator==(const GatewayOptions&) const = default;
  // How it learns that it may send a request elsewhere; HTTP/1.1 has only the answer.
  ReplayStyle refusal = ReplayStyle::kReset;
};

// From one to the other only such settings change that a link takes from its options whenever it
// needs them: no connection has to be made anew.
[[nodiscard]] bool is_retuning(const GatewayOptions& from, const GatewayOptions& to);
// Copies those settings.
void retune(GatewayOptions& options, const GatewayOptions& to);

class Link {
 public:
  class Listener {
   public:
    // From the loop, never from inside a method of the link. Whoever lets go of a link that is
    // kClosed in here uses Loop::retire.
    virtual void on_link_state(const Link& link, LinkState state) = 0;

    // Where carries_one_exchange(): exchanges_in_flight() has changed. From the loop.
    virtual void on_link_load_changed(const Link& link) { static_cast<void>(link); }

   protected:
    ~Listener() = default;
  };

  // What a link borrows; all of it outlives the link.
  struct Surroundings {
    Loop& loop;
    Origin& origin;
    Log& log;
    Metrics& metrics;
    RelayMetrics& relay_metrics;
    Budget& budget;
    ProfileChooser& profiles;
    Listener& listener;
    Network& network;
    TlsContexts& tls_contexts;
    Random random = {};               // For the waits; empty: seeded by the system.
    TurnShare* turn_share = nullptr;  // Of the gateway; null: no limit.
    TunnelPool* tunnels = nullptr;    // Lends what carries the links; null: each dials for itself.
    // For the worker document, of this gateway; empty: there is none.
    std::function<WorkerFacts()> worker_facts = {};
  };

  // index: 0 .. connections-1, chooses the address; it is also the id. capacity: the first share of
  // it, see set_share(). options: borrowed; its owner may change in it what is_retuning() allows.
  [[nodiscard]] static std::unique_ptr<Link> create(const Surroundings& surroundings,
                                                    const GatewayOptions& options, uint32_t index,
                                                    uint32_t capacity);
  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  Link(Link&&) = delete;
  Link& operator=(Link&&) = delete;
  virtual ~Link() = default;

  // These take effect at the end of the turn. start() once; drain() and abort() in every state.
  virtual void start() = 0;
  // Ends in kClosed once what is in flight has finished; how long that may take is the caller's to
  // bound, with abort().
  virtual void drain() = 0;
  // Make before break: another connection is dialled, and takes over once it is attached; what is
  // in flight ends on the one before it, which stays if the other cannot be had. While the link is
  // not attached its next dial does the same. reason: for the log.
  virtual void renew(std::string_view reason) = 0;
  // A link that waits because it had no credentials, or was refused with those that it had, dials
  // again soon; others stay as they are.
  virtual void credentials_arrived() = 0;
  // Ends in kClosed at once: exchanges are reset, and that gets a second to leave.
  virtual void abort() = 0;

  // How many exchanges the gateway may have on this link, from now on and on later connections.
  virtual void set_share(uint32_t share) = 0;
  // What the gateway has been told; while the link is not attached, what it will be told. 0 with
  // HTTP/1.1, which has no such limit.
  [[nodiscard]] virtual uint32_t share() const = 0;
  // See Session::take_demand.
  [[nodiscard]] virtual uint32_t take_demand() = 0;

  [[nodiscard]] virtual LinkState state() const = 0;
  [[nodiscard]] virtual const std::string& gateway() const = 0;
  [[nodiscard]] virtual uint64_t id() const = 0;
  [[nodiscard]] virtual size_t exchanges_in_flight() const = 0;
  // The gateway speaks HTTP/1.1. False until the first connection is reversed.
  [[nodiscard]] virtual bool carries_one_exchange() const = 0;
  // The last failure was a refusal of our credentials.
  [[nodiscard]] virtual bool credentials_refused() const = 0;
  [[nodiscard]] virtual const std::string& last_error() const = 0;
};

}  // namespace ptth
