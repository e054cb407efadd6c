#include "agent/origin/http_origin.h"

#include "agent/origin/origin_connection.h"
#include "agent/origin/origin_dial.h"
#include "common/byte_queue.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace ptth {

namespace {

// A refused dial is repeated after this, doubling.
constexpr Milliseconds kRedialMin{20};
constexpr Milliseconds kRedialMax{250};

// An origin that accepts is probed so many times less often.
constexpr int kCalmProbes = 10;

// RFC 9110 section 9.2.2.
bool is_idempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS" || method == "PUT" ||
         method == "DELETE" || method == "TRACE";
}

class Pool;

// One request on its way to the origin: waits for a connection, then uses it.
class HttpCall final : public OriginCall, private OriginConnection::Caller {
 public:
  HttpCall(Loop& loop, Pool& pool, const RequestHead& head, ResponseListener& listener,
           WorkSlot slot);
  ~HttpCall() override;
  HttpCall(const HttpCall&) = delete;
  HttpCall& operator=(const HttpCall&) = delete;
  HttpCall(HttpCall&&) = delete;
  HttpCall& operator=(HttpCall&&) = delete;

  void write_body(Bytes bytes) override;
  void end_body(const FieldList& trailers) override;
  void pause_response() override;
  void resume_response() override;

  // The pool has a connection for it.
  void use(OriginConnection& connection);
  // The pool has room for one more connection.
  void dial();

 private:
  // What happens before there is a connection; most calls never need it.
  struct Waiting {
    Waiting(Loop& loop, HttpCall& call)
        : deadline(loop, [&call] { call.on_connect_timeout(); }),
          redial(loop, [&call] { call.redial(); }) {}

    std::unique_ptr<OriginDial> dial;
    Milliseconds next_redial = kRedialMin;
    uint64_t started_ns = uv_hrtime();
    ByteQueue body;
    std::optional<FieldList> body_end;
    bool dialing = false;
    Timer deadline;
    Timer redial;
  };

  ResponseListener& response_listener() override { return listener_; }

  void on_connection_released() override;
  bool on_stale_connection() override;

  void get_connection();
  void redial();
  void on_dial_done(Result<std::unique_ptr<ByteStream>> result);
  void on_connect_timeout();
  void stop_waiting();
  void fail(const Error& error);

  Loop& loop_;
  Pool& pool_;
  const RequestHead& head_;
  ResponseListener& listener_;
  WorkSlot slot_;
  std::unique_ptr<Waiting> waiting_;
  OriginConnection* connection_ = nullptr;
  bool resent_ = false;
  bool over_ = false;
  std::optional<Error> early_error_;
};

class Pool final : public HttpOrigin, private OriginConnection::Owner {
 public:
  Pool(Loop& loop, Network& network, Metrics& metrics, const HttpOriginOptions& options);
  ~Pool() override;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  Pool(Pool&&) = delete;
  Pool& operator=(Pool&&) = delete;

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override;

  bool reachable() const override { return reachable_; }

  const std::string& name() const override { return name_; }

  [[nodiscard]] const Histogram& connect_seconds() const override { return connect_seconds_; }

  // Gives the call a connection now, or has it dial, or lets it wait for a place.
  void serve(HttpCall& call);
  void dial_for(HttpCall& call);
  void give_back(OriginConnection& connection);
  void forget(const HttpCall& call);
  void end_dial();
  OriginConnection& adopt(std::unique_ptr<ByteStream> stream);
  std::unique_ptr<OriginDial> new_dial(OriginDial::Done done);
  void note_reachable(uint64_t connect_ns);
  void note_unreachable();

  void count_resent() { resent_.add(); }

  const HttpOriginOptions& options() const { return options_; }

 private:
  void on_connection_free(OriginConnection& connection) override;
  void on_connection_done(OriginConnection& connection) override;

  void on_origin_cut_off() override { cut_off_.add(); }

  void show(size_t open, size_t idle);
  void serve_next_waiting();
  void probe();

  Loop& loop_;
  Network& network_;
  const HttpOriginOptions options_;
  const std::string name_;
  bool reachable_ = false;
  Counter& connects_;
  Counter& connect_failures_;
  Counter& reuses_;
  Counter& resent_;
  Counter& cut_off_;
  Gauge& open_;
  Gauge& idle_gauge_;
  Histogram& connect_seconds_;
  size_t open_shown_ = 0;
  size_t idle_shown_ = 0;
  size_t dialing_ = 0;
  std::vector<std::unique_ptr<OriginConnection>> connections_;
  // The one that rested last is used first, so that the others can go.
  std::vector<OriginConnection*> resting_;
  std::deque<HttpCall*> waiting_;
  std::unique_ptr<OriginDial> probe_dial_;
  Timer probe_timer_;
};

// --- HttpCall -----------------------------------------------------------------------------------

HttpCall::HttpCall(Loop& loop, Pool& pool, const RequestHead& head, ResponseListener& listener,
                   WorkSlot slot)
    : loop_(loop), pool_(pool), head_(head), listener_(listener), slot_(std::move(slot)) {
  pool_.serve(*this);
}

HttpCall::~HttpCall() {
  if (connection_ != nullptr) connection_->abandon(std::move(slot_));
  stop_waiting();
  pool_.forget(*this);
}

void HttpCall::use(OriginConnection& connection) {
  stop_waiting();
  if (const Result<void> begun = connection.begin(head_, *this); !begun) {
    // Reported from the loop: this may be inside start().
    connection.rest();
    pool_.give_back(connection);
    early_error_ = begun.error();
    waiting_ = std::make_unique<Waiting>(loop_, *this);
    waiting_->deadline.start(Milliseconds(0));
    return;
  }
  connection_ = &connection;
  if (!waiting_) return;
  const std::unique_ptr<Waiting> waiting = std::move(waiting_);
  connection.write_body(waiting->body.front());
  if (waiting->body_end) connection.end_body(*waiting->body_end);
}

void HttpCall::dial() {
  if (!waiting_) waiting_ = std::make_unique<Waiting>(loop_, *this);
  if (!waiting_->deadline.running()) waiting_->deadline.start(pool_.options().connect_timeout);
  waiting_->dialing = true;
  redial();
}

void HttpCall::redial() {
  loop_.retire(std::move(waiting_->dial));
  waiting_->dial = pool_.new_dial(
      [this](Result<std::unique_ptr<ByteStream>> result) { on_dial_done(std::move(result)); });
}

void HttpCall::on_dial_done(Result<std::unique_ptr<ByteStream>> result) {
  if (result) {
    pool_.note_reachable(uv_hrtime() - waiting_->started_ns);
    pool_.end_dial();
    waiting_->dialing = false;
    use(pool_.adopt(std::move(result).value()));
    return;
  }
  pool_.note_unreachable();
  if (result.error().kind == ErrorKind::kUnreachable) {
    // Perhaps it is just starting: try again until the time for connecting is over.
    waiting_->redial.start(waiting_->next_redial);
    waiting_->next_redial = std::min(waiting_->next_redial * 2, kRedialMax);
    return;
  }
  fail(result.error());
}

void HttpCall::on_connect_timeout() {
  if (early_error_) {
    fail(*early_error_);
    return;
  }
  fail({ErrorKind::kUnreachable, Side::kOrigin,
        "no connection to the origin " + pool_.name() + " within " +
            std::to_string(pool_.options().connect_timeout.count()) + " ms"});
}

void HttpCall::stop_waiting() {
  if (!waiting_) return;
  waiting_->deadline.stop();
  waiting_->redial.stop();
  loop_.retire(std::move(waiting_->dial));
  if (std::exchange(waiting_->dialing, false)) pool_.end_dial();
}

void HttpCall::fail(const Error& error) {
  stop_waiting();
  pool_.forget(*this);
  over_ = true;
  slot_.release();
  listener_.on_response_failed(error);
}

void HttpCall::write_body(Bytes bytes) {
  if (connection_ != nullptr) {
    connection_->write_body(bytes);
  } else if (!over_) {
    if (!waiting_) waiting_ = std::make_unique<Waiting>(loop_, *this);
    waiting_->body.append(bytes);
  }
}

void HttpCall::end_body(const FieldList& trailers) {
  if (connection_ != nullptr) {
    connection_->end_body(trailers);
  } else if (!over_) {
    if (!waiting_) waiting_ = std::make_unique<Waiting>(loop_, *this);
    waiting_->body_end = trailers;
  }
}

void HttpCall::pause_response() {
  if (connection_ != nullptr) connection_->pause_response();
}

void HttpCall::resume_response() {
  if (connection_ != nullptr) connection_->resume_response();
}

void HttpCall::on_connection_released() {
  connection_ = nullptr;
  over_ = true;
  slot_.release();
}

bool HttpCall::on_stale_connection() {
  // The origin closed an idle connection just as we used it: harmless only if nothing can happen
  // twice (behaviour.md). A body is not kept, so a request with one is not sent again.
  if (resent_ || head_.body != BodyKind::kNone || !is_idempotent(head_.method)) return false;
  resent_ = true;
  pool_.count_resent();
  connection_ = nullptr;
  waiting_ = std::make_unique<Waiting>(loop_, *this);
  waiting_->body_end.emplace();
  // A new connection, not another one from the pool that may be stale as well.
  pool_.dial_for(*this);
  return true;
}

// --- Pool ---------------------------------------------------------------------------------------

std::string origin_name(const HttpOriginOptions& options) {
  if (!options.unix_path.empty()) return "unix:" + options.unix_path;
  return options.host + ":" + std::to_string(options.port);
}

Pool::Pool(Loop& loop, Network& network, Metrics& metrics, const HttpOriginOptions& options)
    : loop_(loop),
      network_(network),
      options_(options),
      name_(origin_name(options)),
      connects_(metrics.counter("ptth_origin_connects", "Connections made to the origin.")),
      connect_failures_(metrics.counter("ptth_origin_connect_failures",
                                        "Attempts to connect to the origin that failed.")),
      reuses_(metrics.counter("ptth_origin_reuses", "Requests sent on a kept connection.")),
      resent_(
          metrics.counter("ptth_origin_resent",
                          "Idempotent requests sent again because a kept connection was gone.")),
      cut_off_(metrics.counter("ptth_origin_cut_off",
                               "Cancelled answers of which the origin went on to send too much.")),
      open_(metrics.gauge("ptth_origin_connections_open", "Connections to the origin.")),
      idle_gauge_(
          metrics.gauge("ptth_origin_connections_idle", "Connections that are kept unused.")),
      connect_seconds_(metrics.histogram("ptth_origin_connect_seconds",
                                         "Time to a connection to the origin.", latency_bounds())),
      probe_timer_(loop, [this] { probe(); }) {
  probe_timer_.start(Milliseconds(0));
}

Pool::~Pool() {
  show(0, 0);
}

// By difference: another pool may be at its end while this one begins.
void Pool::show(size_t open, size_t idle) {
  open_.add(static_cast<double>(open) - static_cast<double>(std::exchange(open_shown_, open)));
  idle_gauge_.add(static_cast<double>(idle) -
                  static_cast<double>(std::exchange(idle_shown_, idle)));
}

std::unique_ptr<OriginCall> Pool::start(const RequestHead& head, ResponseListener& listener,
                                        WorkSlot slot) {
  return std::make_unique<HttpCall>(loop_, *this, head, listener, std::move(slot));
}

void Pool::serve(HttpCall& call) {
  if (!resting_.empty()) {
    OriginConnection& connection = *resting_.back();
    resting_.pop_back();
    show(connections_.size(), resting_.size());
    reuses_.add();
    call.use(connection);
    return;
  }
  const size_t open = connections_.size() + dialing_;
  if (options_.connections_max > 0 && open >= options_.connections_max) {
    waiting_.push_back(&call);
    return;
  }
  dial_for(call);
}

void Pool::dial_for(HttpCall& call) {
  ++dialing_;
  call.dial();
}

void Pool::give_back(OriginConnection& connection) {
  resting_.push_back(&connection);
  show(connections_.size(), resting_.size());
}

void Pool::forget(const HttpCall& call) {
  if (!waiting_.empty()) std::erase(waiting_, &call);
}

void Pool::end_dial() {
  --dialing_;
}

void Pool::serve_next_waiting() {
  if (waiting_.empty()) return;
  HttpCall& call = *waiting_.front();
  waiting_.pop_front();
  serve(call);
}

OriginConnection& Pool::adopt(std::unique_ptr<ByteStream> stream) {
  connects_.add();
  OriginConnection::Owner& owner = *this;
  auto connection = std::make_unique<OriginConnection>(loop_, std::move(stream), options_, owner);
  OriginConnection& adopted = *connection;
  adopted.pool_index = connections_.size();
  connections_.push_back(std::move(connection));
  show(connections_.size(), resting_.size());
  return adopted;
}

std::unique_ptr<OriginDial> Pool::new_dial(OriginDial::Done done) {
  return std::make_unique<OriginDial>(loop_, network_, options_, std::move(done));
}

void Pool::on_connection_free(OriginConnection& connection) {
  if (!waiting_.empty()) {
    connection.rest();
    HttpCall& call = *waiting_.front();
    waiting_.pop_front();
    call.use(connection);
    return;
  }
  if (resting_.size() >= options_.idle_connections_max) {
    on_connection_done(connection);
    return;
  }
  connection.rest();
  give_back(connection);
}

void Pool::on_connection_done(OriginConnection& connection) {
  std::erase(resting_, &connection);
  const size_t index = connection.pool_index;
  loop_.retire(std::move(connections_[index]));
  if (index + 1 != connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->pool_index = index;
  }
  connections_.pop_back();
  show(connections_.size(), resting_.size());
  serve_next_waiting();
}

void Pool::note_reachable(uint64_t connect_ns) {
  reachable_ = true;
  connect_seconds_.observe(static_cast<double>(connect_ns) / 1e9);
}

void Pool::note_unreachable() {
  connect_failures_.add();
  reachable_ = false;
  probe_timer_.start(options_.probe_interval);
}

// Readiness asks whether the origin accepts connections: often while it does not, seldom when
// nothing else tells.
void Pool::probe() {
  if (!connections_.empty()) {
    probe_timer_.start(kCalmProbes * options_.probe_interval);
    return;
  }
  loop_.retire(std::move(probe_dial_));
  probe_dial_ = new_dial([this](const Result<std::unique_ptr<ByteStream>>& result) {
    reachable_ = result.ok();
    probe_timer_.start(reachable_ ? kCalmProbes * options_.probe_interval
                                  : options_.probe_interval);
  });
}

}  // namespace

std::unique_ptr<HttpOrigin> make_http_origin(Loop& loop, Network& network, Metrics& metrics,
                                             const HttpOriginOptions& options) {
  return std::make_unique<Pool>(loop, network, metrics, options);
}

}  // namespace ptth
