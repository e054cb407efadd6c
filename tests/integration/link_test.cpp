#include "agent/link/link.h"

#include "agent/link/profile_chooser.h"
#include "agent/relay/budget.h"
#include "agent/relay/relay_metrics.h"
#include "common/network.h"
#include "tests/support/framed_gateway.h"
#include "tests/support/run_until.h"
#include "tests/support/test_certificates.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

using ptth::Budget;
using ptth::EndOfTurn;
using ptth::FieldList;
using ptth::GatewayOptions;
using ptth::Link;
using ptth::LinkState;
using ptth::Log;
using ptth::Loop;
using ptth::Metrics;
using ptth::Milliseconds;
using ptth::Network;
using ptth::Origin;
using ptth::OriginCall;
using ptth::Profile;
using ptth::RelayMetrics;
using ptth::RequestHead;
using ptth::ResponseHead;
using ptth::ResponseListener;
using ptth::TlsContexts;
using ptth::TlsOptions;
using ptth::WorkSlot;
using ptth::test::FramedGateway;
using ptth::test::IdentityFiles;
using ptth::test::run_until;
using ptth::test::TestCertificates;

namespace {

using Dialect = FramedGateway::Dialect;
using Behaviour = FramedGateway::Behaviour;

class NoContentOrigin final : public Origin {
 public:
  explicit NoContentOrigin(Loop& loop) : loop_(loop) {}

  std::unique_ptr<OriginCall> start(const RequestHead&, ResponseListener& listener,
                                    WorkSlot) override {
    return std::make_unique<Call>(loop_, listener);
  }

 private:
  class Call final : public OriginCall {
   public:
    Call(Loop& loop, ResponseListener& listener)
        : listener_(listener), answer_(loop, [this] { answer(); }) {
      answer_.schedule();
    }

    void write_body(ptth::Bytes) override {}

    void end_body(const FieldList&) override {}

    void pause_response() override {}

    void resume_response() override {}

   private:
    void answer() {
      ResponseHead head;
      head.status = 204;
      listener_.on_response_head(head);
      listener_.on_response_end({});
    }

    ResponseListener& listener_;
    EndOfTurn answer_;
  };

  Loop& loop_;
};

// What the composition root does, for one gateway.
class Worker final : public Link::Listener {
 public:
  Worker(Loop& loop, Network& network, const GatewayOptions& options)
      : options_(options),
        relay_metrics_(metrics_, options.name),
        origin_(loop),
        profiles_(make_profiles(options.profile), {}) {
    for (uint32_t index = 0; index < options.connections; ++index) {
      links_.push_back(Link::create({loop,
                                     origin_,
                                     log_,
                                     metrics_,
                                     relay_metrics_,
                                     budget_,
                                     profiles_,
                                     *this,
                                     network,
                                     tls_contexts_,
                                     {}},
                                    options_, index, 100));
      links_.back()->start();
    }
  }

  void on_link_state(const Link& /*link*/, LinkState state) override {
    if (state == LinkState::kBackingOff) ++backoffs_;
  }

  [[nodiscard]] size_t in_state(LinkState state) const {
    return static_cast<size_t>(std::count_if(
        links_.begin(), links_.end(), [&](const auto& link) { return link->state() == state; }));
  }

  [[nodiscard]] Link& first() { return *links_.front(); }

  [[nodiscard]] size_t backoffs() const { return backoffs_; }

  void drain() {
    for (const auto& link : links_)
      link->drain();
  }

 private:
  static std::vector<std::unique_ptr<Profile>> make_profiles(const std::string& name) {
    std::vector<std::unique_ptr<Profile>> one;
    one.push_back(name == "direct" ? ptth::make_direct_profile() : ptth::make_haproxy_profile());
    return one;
  }

  GatewayOptions options_;
  Log log_{{.level = ptth::LogLevel::kOff}};
  Metrics metrics_;
  Budget budget_;
  RelayMetrics relay_metrics_;
  NoContentOrigin origin_;
  ptth::ProfileChooser profiles_;
  TlsContexts tls_contexts_;
  size_t backoffs_ = 0;
  std::vector<std::unique_ptr<Link>> links_;
};

struct Fixture {
  ~Fixture() {
    // Workers and gateways are gone; what they retired still uses what stands below.
    loop.turn();
  }

  [[nodiscard]] FramedGateway::Options gateway_options() const {
    FramedGateway::Options options;
    options.tls.ca_file = certificates.ca_file();
    options.tls.cert_file = certificates.gateway().cert_file;
    options.tls.key_file = certificates.gateway().key_file;
    return options;
  }

  [[nodiscard]] std::unique_ptr<FramedGateway> open(const FramedGateway::Options& options) {
    return std::make_unique<FramedGateway>(loop, options);
  }

  [[nodiscard]] GatewayOptions link_options(int port) const {
    GatewayOptions options;
    options.name = "gw";
    options.host = "127.0.0.1";
    options.port = static_cast<uint16_t>(port);
    options.server_name = "gw.test";
    options.tls_options.ca_file = certificates.ca_file();
    use_identity(options, certificates.worker());
    options.backoff.min = Milliseconds(1);
    options.backoff.max = Milliseconds(20);
    options.backoff.refused_min = Milliseconds(1);
    return options;
  }

  static void use_identity(GatewayOptions& options, const IdentityFiles& identity) {
    options.tls_options.cert_file = identity.cert_file;
    options.tls_options.key_file = identity.key_file;
  }

  [[nodiscard]] std::unique_ptr<Worker> work(const GatewayOptions& options) {
    return std::make_unique<Worker>(loop, *network, options);
  }

  // Each attached worker answers one more request.
  [[nodiscard]] bool serves(FramedGateway& gateway, size_t workers) {
    if (!run_until(loop, [&] { return gateway.attached() == workers; })) return false;
    const size_t wanted = gateway.responses() + workers;
    gateway.send_requests();
    return run_until(loop, [&] { return gateway.responses() == wanted; });
  }

  // The first attempt fails; the words for it.
  [[nodiscard]] std::string failure_of(const GatewayOptions& options) {
    const auto worker = work(options);
    CHECK(run_until(loop, [&] { return worker->backoffs() > 0; }));
    refused = worker->first().credentials_refused();
    return worker->first().last_error();
  }

  TestCertificates certificates;
  Loop loop;
  std::unique_ptr<Network> network = ptth::make_system_network(loop);
  bool refused = false;
};

bool contains(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "several links of one gateway serve, in both dialects") {
  for (const Dialect dialect : {Dialect::kHaproxy, Dialect::kDirect}) {
    FramedGateway::Options options = gateway_options();
    options.dialect = dialect;
    if (dialect == Dialect::kDirect) options.alpn = {"\xd5\x87\xc9\xa5"};
    const auto gateway = open(options);
    GatewayOptions dial = link_options(gateway->port());
    dial.connections = 3;
    dial.profile = dialect == Dialect::kDirect ? "direct" : "haproxy";
    const auto worker = work(dial);
    CHECK(serves(*gateway, 3));
    CHECK(serves(*gateway, 3));
    CHECK(worker->in_state(LinkState::kAttached) == 3);
    worker->drain();
    CHECK(run_until(loop, [&] { return worker->in_state(LinkState::kClosed) == 3; }));
    CHECK(run_until(loop, [&] { return gateway->attached() == 0; }));
    CHECK(worker->backoffs() == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "a gateway that never answers TLS does not touch the link to another") {
  const auto good = open(gateway_options());
  FramedGateway::Options silent = gateway_options();
  silent.behaviour = Behaviour::kSilent;
  const auto black_hole = open(silent);
  const auto worker = work(link_options(good->port()));
  GatewayOptions dial = link_options(black_hole->port());
  dial.name = "hole";
  dial.connect_timeout = Milliseconds(50);
  const auto lost = work(dial);
  CHECK(run_until(loop, [&] { return lost->backoffs() >= 3; }));
  contains(lost->first().last_error(), "TLS with 127.0.0.1:");
  contains(lost->first().last_error(), "was not established in time");
  CHECK_FALSE(lost->first().credentials_refused());
  CHECK(serves(*good, 1));
  CHECK(worker->backoffs() == 0);
  CHECK(lost->in_state(LinkState::kAttached) == 0);
}

TEST_CASE_FIXTURE(Fixture, "a gateway that dies and comes back is served again") {
  auto gateway = open(gateway_options());
  FramedGateway::Options again = gateway_options();
  again.port = gateway->port();
  GatewayOptions dial = link_options(gateway->port());
  dial.connections = 2;
  const auto worker = work(dial);
  CHECK(serves(*gateway, 2));
  gateway.reset();
  CHECK(run_until(loop, [&] { return worker->backoffs() >= 10; }));
  contains(worker->first().last_error(), "127.0.0.1:" + std::to_string(again.port));
  gateway = open(again);
  CHECK(serves(*gateway, 2));
  CHECK(worker->first().last_error().empty());
}

TEST_CASE_FIXTURE(Fixture, "a link that the gateway ends is back at once") {
  const auto gateway = open(gateway_options());
  GatewayOptions dial = link_options(gateway->port());
  // Any other wait would outlast the test.
  dial.backoff.min = Milliseconds(3'600'000);
  dial.backoff.max = Milliseconds(3'600'000);
  const auto worker = work(dial);
  for (size_t i = 1; i <= 4; ++i) {
    CHECK(serves(*gateway, 1));
    gateway->end_all();
    CHECK(run_until(loop, [&] { return gateway->accepted() == i + 1; }));
  }
  CHECK(serves(*gateway, 1));
  CHECK(worker->first().last_error().empty());
}

TEST_CASE_FIXTURE(Fixture, "a gateway that leaves is dialled again before it has gone") {
  const auto gateway = open(gateway_options());
  const auto worker = work(link_options(gateway->port()));
  CHECK(serves(*gateway, 1));
  gateway->leave();
  CHECK(run_until(loop, [&] { return gateway->accepted() == 2; }));
  CHECK(serves(*gateway, 1));
  CHECK(worker->in_state(LinkState::kAttached) == 1);
}

TEST_CASE_FIXTURE(Fixture, "a gateway that cannot be verified is told apart, in words") {
  const auto gateway = open(gateway_options());
  GatewayOptions wrong_ca = link_options(gateway->port());
  wrong_ca.tls_options.ca_file = certificates.other_ca_file();
  const std::string unknown_issuer = failure_of(wrong_ca);
  contains(unknown_issuer, "ptth test CA");
  CHECK_FALSE(refused);

  GatewayOptions wrong_name = link_options(gateway->port());
  wrong_name.server_name = "elsewhere.test";
  contains(failure_of(wrong_name), "not for elsewhere.test");
  CHECK_FALSE(refused);

  GatewayOptions no_file = link_options(gateway->port());
  no_file.tls_options.ca_file = "/nonexistent/ca.pem";
  contains(failure_of(no_file), "/nonexistent/ca.pem");
  CHECK_FALSE(refused);

  GatewayOptions wrong_alpn = link_options(gateway->port());
  wrong_alpn.alpn = {"something-else"};
  contains(failure_of(wrong_alpn), "ALPN");
  CHECK_FALSE(refused);
  CHECK(gateway->attached() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a certificate that the gateway does not accept is a refusal") {
  const auto gateway = open(gateway_options());
  GatewayOptions dial = link_options(gateway->port());
  use_identity(dial, certificates.worker_of_other_ca());
  CHECK_FALSE(failure_of(dial).empty());
  CHECK(refused);
}

TEST_CASE_FIXTURE(Fixture, "a gateway that closes right after TLS has refused our certificate") {
  FramedGateway::Options options = gateway_options();
  options.behaviour = Behaviour::kClosesAfterTls;
  const auto gateway = open(options);
  const GatewayOptions dial = link_options(gateway->port());
  contains(failure_of(dial), "does not accept the certificate in " + dial.tls_options.cert_file);
  CHECK(refused);

  options.tls.peer_certificate = ptth::PeerCertificate::kNone;
  const auto careless = open(options);
  GatewayOptions without = link_options(careless->port());
  use_identity(without, {});
  contains(failure_of(without), "may require a client certificate: --cert-file");
  CHECK_FALSE(refused);
}

TEST_CASE_FIXTURE(Fixture, "a certificate that was renewed on disk is used by the next dial") {
  const auto gateway = open(gateway_options());
  const IdentityFiles mounted{certificates.dir().file("mounted.crt"),
                              certificates.dir().file("mounted.key")};
  const auto mount = [&](const IdentityFiles& identity) {
    using std::filesystem::copy_options;
    std::filesystem::copy_file(identity.cert_file, mounted.cert_file,
                               copy_options::overwrite_existing);
    std::filesystem::copy_file(identity.key_file, mounted.key_file,
                               copy_options::overwrite_existing);
  };
  mount(certificates.worker_of_other_ca());
  GatewayOptions dial = link_options(gateway->port());
  use_identity(dial, mounted);
  const auto worker = work(dial);
  CHECK(run_until(loop, [&] { return worker->backoffs() >= 2; }));
  CHECK(worker->first().credentials_refused());
  mount(certificates.worker());
  CHECK(serves(*gateway, 1));
  CHECK_FALSE(worker->first().credentials_refused());
}

TEST_CASE_FIXTURE(Fixture, "a name is resolved by the system, and the family that answers wins") {
  const auto gateway = open(gateway_options());
  GatewayOptions dial = link_options(gateway->port());
  dial.host = "localhost";
  dial.server_name.clear();
  dial.connections = 4;
  const auto worker = work(dial);
  CHECK(serves(*gateway, 4));
}

TEST_CASE_FIXTURE(Fixture, "a name that is none fails without a question to a name server") {
  GatewayOptions dial = link_options(443);
  dial.host = "no such..name";
  contains(failure_of(dial), "cannot resolve \"no such..name\"");
}
