#include "common/dialer.h"

#include <algorithm>
#include <utility>

namespace ptth {

namespace {

constexpr size_t kFailuresTextMax = 600;

std::string in_seconds(Milliseconds time) {
  if (time.count() % 1000 == 0) return std::to_string(time.count() / 1000) + " s";
  return std::to_string(time.count()) + " ms";
}

}  // namespace

std::vector<Address> dial_order(const std::vector<Address>& addresses, uint32_t index) {
  std::vector<Address> preferred;
  std::vector<Address> others;
  for (const Address& address : addresses)
    (address.family() == addresses.front().family() ? preferred : others).push_back(address);
  std::vector<Address> order;
  for (size_t i = 0; i < std::max(preferred.size(), others.size()); ++i) {
    if (i < preferred.size()) order.push_back(preferred[i]);
    if (i < others.size()) order.push_back(others[i]);
  }
  if (order.empty()) return order;
  const auto first = static_cast<std::ptrdiff_t>(index % order.size());
  std::rotate(order.begin(), order.begin() + first, order.end());
  return order;
}

Dialer::Dialer(Loop& loop, Network& network, const DialOptions& options, Listener& listener)
    : loop_(loop),
      network_(network),
      options_(options),
      listener_(listener),
      race_(loop, [this] { start_next(); }),
      deadline_(loop, [this] { on_deadline(); }) {
  deadline_.start(options_.deadline);
  if (const auto literal = Address::from_literal(options_.host, options_.port)) {
    addresses_.push_back(*literal);
    start_next();
    return;
  }
  if (options_.host == "localhost") {
    // RFC 6761 section 6.3: always the loopbacks, both of them, whatever a resolver would say.
    addresses_.push_back(*Address::from_literal("127.0.0.1", options_.port));
    addresses_.push_back(*Address::from_literal("::1", options_.port));
    start_next();
    return;
  }
  query_ = network_.resolve(
      options_.host, options_.port,
      [this](Result<std::vector<Address>> resolved) { on_addresses(std::move(resolved)); });
}

Dialer::~Dialer() = default;

void Dialer::cancel() {
  race_.stop();
  deadline_.stop();
  loop_.retire(std::move(query_));
  // A retired attempt may still report in this turn: the callback finds none of that number.
  for (Attempt& attempt : attempts_)
    loop_.retire(std::move(attempt.connecting));
  attempts_.clear();
}

void Dialer::on_addresses(Result<std::vector<Address>> resolved) {
  if (!query_) return;
  loop_.retire(std::move(query_));
  if (!resolved) {
    for (const std::string& hint : options_.address_hints) {
      if (const auto address = Address::from_literal(hint, options_.port))
        addresses_.push_back(*address);
    }
    if (!addresses_.empty()) resolved = std::exchange(addresses_, {});
  }
  if (!resolved) {
    Error error = resolved.error();
    error.side = options_.connect.peer;
    fail(error);
    return;
  }
  addresses_ = dial_order(resolved.value(), options_.index);
  if (addresses_.size() > options_.addresses_max) {
    addresses_.erase(addresses_.begin() + options_.addresses_max, addresses_.end());
  }
  start_next();
  listener_.on_resolved();
}

void Dialer::start_next() {
  const size_t number = attempts_.size();
  const Address& address = addresses_[number];
  auto connecting = network_.connect(address, options_.connect,
                                     [this, number](Result<std::unique_ptr<ByteStream>> result) {
                                       on_attempt_done(number, std::move(result));
                                     });
  attempts_.push_back({address, std::move(connecting)});
  if (attempts_.size() < addresses_.size()) {
    race_.start(options_.race_delay);
  } else {
    race_.stop();
  }
}

void Dialer::on_attempt_done(size_t number, Result<std::unique_ptr<ByteStream>> result) {
  if (number >= attempts_.size() || !attempts_[number].connecting) return;
  if (result) {
    const Address address = attempts_[number].address;
    cancel();
    listener_.on_dialed(std::move(result).value(), address);
    return;
  }
  loop_.retire(std::move(attempts_[number].connecting));
  const std::string address = attempts_[number].address.text();
  std::string& said = failures_;
  if (said.size() < kFailuresTextMax) {
    if (!said.empty()) said += "; ";
    const std::string& detail = result.error().detail;
    said += detail.find(address) == std::string::npos ? address + ": " + detail : detail;
  }
  if (attempts_.size() < addresses_.size()) {
    start_next();
  } else if (!any_connecting()) {
    fail({ErrorKind::kUnreachable, options_.connect.peer,
          "cannot connect to " + options_.host + ": " + failures_, true});
  }
}

void Dialer::on_deadline() {
  const std::string within = " within " + in_seconds(options_.deadline);
  if (query_) {
    fail({ErrorKind::kTimeout, options_.connect.peer,
          "cannot resolve \"" + options_.host + "\"" + within + " (check this host's DNS)", true});
    return;
  }
  fail({ErrorKind::kTimeout, options_.connect.peer,
        "cannot connect to " + options_.host + within + ": no answer from " + tried() +
            (failures_.empty() ? "" : "; " + failures_),
        true});
}

bool Dialer::any_connecting() const {
  return std::any_of(attempts_.begin(), attempts_.end(),
                     [](const Attempt& attempt) { return attempt.connecting != nullptr; });
}

std::string Dialer::tried() const {
  std::string list;
  for (const Attempt& attempt : attempts_) {
    if (!attempt.connecting) continue;
    list += (list.empty() ? "" : ", ") + attempt.address.text();
  }
  return list;
}

void Dialer::fail(const Error& error) {
  cancel();
  listener_.on_dial_failed(error);
}

}  // namespace ptth
