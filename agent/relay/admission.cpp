#include "agent/relay/admission.h"

#include "agent/relay/admission_metrics.h"
#include "agent/relay/admitted_call.h"
#include "agent/relay/codel.h"
#include "agent/relay/wait_queue.h"
#include "common/structured_fields.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace ptth {

namespace {

// Gateways are told apart by the names that the configuration gave them.
constexpr size_t kGatewaysMax = 1024;

std::string_view explain(QueueDrop reason) {
  switch (reason) {
    case QueueDrop::kFull:
      return "the origin has its fill, and the queue is full";
    case QueueDrop::kShare:
      return "the origin has its gateway's share in hand, the rest is kept for others, and the "
             "queue "
             "is full";
    case QueueDrop::kDisplaced:
      return "another request took its place in the queue";
    case QueueDrop::kBytes:
      return "the bodies in the queue are over their limit";
    case QueueDrop::kAge:
      return "it waited for too long in the queue";
    case QueueDrop::kDelay:
      return "the queue stands, and is being shortened";
    case QueueDrop::kDeadline:
      return "the gateway's deadline passed in the queue";
    case QueueDrop::kAbandoned:
      break;
  }
  return "given up";
}

Error refusal(QueueDrop reason) {
  return {ErrorKind::kOverload, Side::kLocal, std::string(explain(reason)), true};
}

// The requests of one class, or of none.
struct Lane {
  Lane(Metrics& metrics, const std::string& name, uint32_t concurrency_limit,
       const QueueOptions& queue_options, WorkCount& work_count)
      : concurrency(concurrency_limit),
        options(queue_options),
        work(work_count),
        codel(Priority::kUrgencies, CoDel(queue_options.codel)),
        numbers(metrics, name) {}

  [[nodiscard]] bool has_room() const { return work.in_hand() < concurrency; }

  const uint32_t concurrency;
  const QueueOptions options;
  WorkCount& work;
  WaitQueue queue;
  size_t queue_bytes = 0;
  // Each urgency by itself: the wait of bulk requests says nothing of urgent ones.
  std::vector<CoDel> codel;
  ClassMetrics numbers;
};

class QueueingAdmission final : public Admission,
                                private AdmittedCall::Owner,
                                private WorkCount::Listener {
 public:
  QueueingAdmission(const AdmissionSurroundings& around, AdmissionOptions options,
                    MicrosecondClock clock)
      : loop_(around.loop),
        inner_(around.inner),
        options_(std::move(options)),
        work_(around.work),
        shares_(around.shares),
        clock_(std::move(clock)),
        capacity_(around.metrics, options_.capacity, now_us()),
        classes_(options_.classes, options_.routes_max),
        watches_(capacity_.needs_answers() || classes_.learns()),
        refusals_(around.metrics.counter("ptth_admission_refusals",
                                         "Exchanges refused because the origin had its fill.")),
        dispatch_(around.loop, [this] { dispatch(); }) {
    Metrics& metrics = around.metrics;
    add_lane(metrics, "none", UINT32_MAX, options_.queue);
    for (const RequestClass& each : options_.classes)
      add_lane(metrics, each.name, each.concurrency, each.queue);
    WorkCount::Listener& self = *this;
    work_.total.add_listener(self);
    Gauge& saturation =
        metrics.gauge("ptth_saturation", "What is in flight or waits, divided by the capacity.");
    collector_.emplace(metrics, [this, &saturation] { refresh(saturation); });
  }

  ~QueueingAdmission() override {
    WorkCount::Listener& self = *this;
    work_.total.remove_listener(self);
  }

  QueueingAdmission(const QueueingAdmission&) = delete;
  QueueingAdmission& operator=(const QueueingAdmission&) = delete;
  QueueingAdmission(QueueingAdmission&&) = delete;
  QueueingAdmission& operator=(QueueingAdmission&&) = delete;

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override;

  [[nodiscard]] uint32_t capacity() const override { return capacity_.in_force(); }

  void set_capacity_by_admin(std::optional<uint32_t> limit) override {
    capacity_.set_by_admin(limit);
    look_at_queues();
  }

  [[nodiscard]] Capacity::Source capacity_source() const override { return capacity_.source(); }

  [[nodiscard]] uint32_t in_flight() const override { return work_.total.in_hand(); }

  [[nodiscard]] size_t queued() const override { return waiting_; }

  [[nodiscard]] std::vector<const Histogram*> queue_age_seconds() const override {
    std::vector<const Histogram*> all;
    for (const Lane& lane : lanes_)
      all.push_back(&lane.numbers.queue_age_seconds);
    return all;
  }

 private:
  // AdmittedCall::Owner
  [[nodiscard]] uint64_t now_us() const override { return clock_ ? clock_() : uv_hrtime() / 1000; }

  void on_reprioritized(AdmittedCall& call, const Priority& priority) override;
  void on_body_held(AdmittedCall& call, size_t count) override;
  void on_expired(AdmittedCall& call) override;
  void on_gone(AdmittedCall& call) override;
  void on_answer(const AdmittedCall& call, const AdmittedCall::Answer& answer) override;

  [[nodiscard]] const std::string& capacity_field() const override { return capacity_.header(); }

  void on_capacity_said(std::string_view value) override {
    capacity_.set_by_application(value);
    look_at_queues();
  }

  // WorkCount::Listener
  void on_work_done() override { look_at_queues(); }

  void look_at_queues() {
    if (waiting_ == 0) return;
    dispatch_is_due_ = true;
    dispatch_.schedule();
  }

  void add_lane(Metrics& metrics, const std::string& name, uint32_t concurrency,
                const QueueOptions& queue) {
    if (work_.of_class.size() <= lanes_.size()) work_.of_class.emplace_back();
    lanes_.emplace_back(metrics, name, concurrency, queue, work_.of_class[lanes_.size()]);
  }

  // Whoever waits and could start was here before.
  [[nodiscard]] bool may_start(const Lane& lane, const CapacityShares::Share& share) const {
    const bool queues_are_fair =
        waiting_ == 0 || (!dispatch_is_due_ && (lane.queue.empty() || next_of(lane) == nullptr));
    return queues_are_fair && has_room() && lane.has_room() && has_room(share);
  }

  [[nodiscard]] bool has_room() const { return work_.total.in_hand() < capacity_.in_force(); }

  [[nodiscard]] bool has_room(const CapacityShares::Share& share) const {
    return shares_.has_room(share, capacity_.in_force());
  }

  // The next of the lane whose gateway has room; null: none.
  [[nodiscard]] AdmittedCall* next_of(const Lane& lane) const {
    return static_cast<AdmittedCall*>(
        lane.queue.next([this](size_t gateway) { return has_room(*gateways_[gateway]); }));
  }

  WorkSlot take_place(Lane& lane, CapacityShares::Share& share, WorkSlot slot) {
    slot.also_count(work_.total);
    slot.also_count(lane.work);
    slot.also_count(share.work);
    return slot;
  }

  std::unique_ptr<OriginCall> enqueue(size_t lane_index, const RequestHead& head,
                                      ResponseListener& listener, WorkSlot slot);
  std::unique_ptr<OriginCall> refuse(Lane& lane, ResponseListener& listener, QueueDrop reason);
  std::unique_ptr<OriginCall> refuse_full(Lane& lane, const RequestHead& head,
                                          ResponseListener& listener);
  [[nodiscard]] size_t gateway_index(std::string_view name);
  [[nodiscard]] std::optional<Milliseconds> deadline_of(const RequestHead& head) const;
  void leave_queue(AdmittedCall& call);
  void drop_later(AdmittedCall& call, QueueDrop reason);
  void drop_now(AdmittedCall& call, QueueDrop reason);
  void note_left(AdmittedCall& call);
  void dispatch();
  [[nodiscard]] AdmittedCall* next_call();
  void refresh(Gauge& saturation);

  Lane& lane_of(const AdmittedCall& call) { return lanes_[call.lane()]; }

  Loop& loop_;
  Origin& inner_;
  const AdmissionOptions options_;
  OriginWork& work_;
  CapacityShares& shares_;
  const MicrosecondClock clock_;
  Capacity capacity_;
  RequestClasses classes_;
  const bool watches_;
  Counter& refusals_;
  std::deque<Lane> lanes_;
  size_t waiting_ = 0;
  bool dispatch_is_due_ = false;
  // Dropped, and not told yet.
  std::vector<AdmittedCall*> doomed_;
  // By the number that the queues know them by.
  std::vector<CapacityShares::Share*> gateways_;
  std::optional<Metrics::Collector> collector_;
  EndOfTurn dispatch_;
};

// --- The way in ---------------------------------------------------------------------------------

std::unique_ptr<OriginCall> QueueingAdmission::start(const RequestHead& head,
                                                     ResponseListener& listener, WorkSlot slot) {
  const size_t lane_index = classes_.size() == 0 ? RequestClasses::kNone : classes_.class_of(head);
  Lane& lane = lanes_[lane_index];
  CapacityShares::Share& share = shares_.of(head.gateway);
  if (!may_start(lane, share)) return enqueue(lane_index, head, listener, std::move(slot));
  slot = take_place(lane, share, std::move(slot));
  if (!watches_) return inner_.start(head, listener, std::move(slot));
  AdmittedCall::Owner& owner = *this;
  auto call = std::make_unique<AdmittedCall>(owner, lane_index, head, listener);
  call->begin(inner_, std::move(slot), {AdmittedCall::Watch::kYes, work_.total.in_hand()});
  return call;
}

std::unique_ptr<OriginCall> QueueingAdmission::enqueue(size_t lane_index, const RequestHead& head,
                                                       ResponseListener& listener, WorkSlot slot) {
  Lane& lane = lanes_[lane_index];
  const uint8_t urgency = priority_of(head.fields).urgency;
  const size_t gateway = gateway_index(head.gateway);
  const std::optional<Milliseconds> deadline = deadline_of(head);
  if (lane.options.length_max == 0) return refuse_full(lane, head, listener);
  if (deadline == Milliseconds(0)) return refuse(lane, listener, QueueDrop::kDeadline);
  if (lane.queue.size() >= lane.options.length_max) {
    WaitQueue::Entry* victim = lane.queue.victim_for(urgency, gateway);
    if (victim == nullptr) return refuse_full(lane, head, listener);
    drop_later(static_cast<AdmittedCall&>(*victim), QueueDrop::kDisplaced);
  }
  AdmittedCall::Owner& owner = *this;
  auto call = std::make_unique<AdmittedCall>(owner, lane_index, head, listener);
  const bool is_hurried = deadline && *deadline < lane.options.age_max;
  call->wait(loop_, std::move(slot), is_hurried ? *deadline : lane.options.age_max,
             is_hurried ? QueueDrop::kDeadline : QueueDrop::kAge);
  lane.queue.push(*call, urgency, gateway, loop_.now_ms());
  ++waiting_;
  return call;
}

std::unique_ptr<OriginCall> QueueingAdmission::refuse_full(Lane& lane, const RequestHead& head,
                                                           ResponseListener& listener) {
  CapacityShares::Share& share = shares_.of(head.gateway);
  if (!has_room() || has_room(share)) return refuse(lane, listener, QueueDrop::kFull);
  share.refusals->add();
  return refuse(lane, listener, QueueDrop::kShare);
}

std::unique_ptr<OriginCall> QueueingAdmission::refuse(Lane& lane, ResponseListener& listener,
                                                      QueueDrop reason) {
  refusals_.add();
  lane.numbers.drops[static_cast<size_t>(reason)]->add();
  return make_failed_call(loop_, listener, refusal(reason));
}

// Beyond the most, the last number stands for all others.
size_t QueueingAdmission::gateway_index(std::string_view name) {
  CapacityShares::Share* const share = &shares_.of(name);
  const auto found = std::find(gateways_.begin(), gateways_.end(), share);
  const auto index = static_cast<size_t>(found - gateways_.begin());
  if (found == gateways_.end() && index < kGatewaysMax) gateways_.push_back(share);
  return std::min(index, kGatewaysMax - 1);
}

std::optional<Milliseconds> QueueingAdmission::deadline_of(const RequestHead& head) const {
  if (options_.deadline_field.empty()) return std::nullopt;
  const auto value = head.fields.find(options_.deadline_field);
  if (!value) return std::nullopt;
  const Result<structured::Item> item = structured::parse_item(*value);
  if (!item) return std::nullopt;
  int64_t milliseconds = -1;
  if (const auto* seconds = std::get_if<int64_t>(&item.value().value)) {
    // More than any queue keeps anything, and it must not overflow.
    constexpr int64_t kSecondsMax = 1'000'000;
    milliseconds = 1000 * std::min(*seconds, kSecondsMax);
  } else if (const auto* exact = std::get_if<structured::Decimal>(&item.value().value)) {
    milliseconds = exact->thousandths;
  }
  return milliseconds < 0 ? std::nullopt : std::optional(Milliseconds(milliseconds));
}

// --- The way on ---------------------------------------------------------------------------------

// Whose turn it is: the most urgent, of those the one whose class has waited longest. Null: nobody
// can start.
AdmittedCall* QueueingAdmission::next_call() {
  AdmittedCall* best = nullptr;
  for (const Lane& lane : lanes_) {
    if (lane.queue.empty() || !lane.has_room()) continue;
    AdmittedCall* const candidate = next_of(lane);
    if (candidate == nullptr) continue;
    const bool is_better = best == nullptr || (candidate->urgency() != best->urgency()
                                                   ? candidate->urgency() < best->urgency()
                                                   : candidate->since_ms() < best->since_ms());
    if (is_better) best = candidate;
  }
  return best;
}

void QueueingAdmission::dispatch() {
  while (!doomed_.empty()) {
    AdmittedCall& call = *doomed_.back();
    doomed_.pop_back();
    call.fail(refusal(call.drop_reason()));
  }
  dispatch_is_due_ = false;
  const uint64_t now = loop_.now_ms();
  while (waiting_ > 0 && has_room()) {
    AdmittedCall* const next = next_call();
    if (next == nullptr) return;
    AdmittedCall& call = *next;
    Lane* lane = &lane_of(call);
    lane->queue.take(call);
    note_left(call);
    const bool is_last = lane->queue.has_none_of(call.urgency());
    if (lane->codel[call.urgency()].drops(Milliseconds(now - call.since_ms()), now, is_last)) {
      drop_now(call, QueueDrop::kDelay);
      continue;
    }
    WorkSlot slot = take_place(*lane, shares_.of(call.head().gateway), call.take_slot());
    call.begin(
        inner_, std::move(slot),
        {watches_ ? AdmittedCall::Watch::kYes : AdmittedCall::Watch::kNo, work_.total.in_hand()});
  }
}

// --- Out of the queue ---------------------------------------------------------------------------

void QueueingAdmission::note_left(AdmittedCall& call) {
  Lane& lane = lane_of(call);
  --waiting_;
  lane.queue_bytes -= call.bytes_held();
  lane.numbers.queue_age_seconds.observe(static_cast<double>(loop_.now_ms() - call.since_ms()) /
                                         1e3);
}

void QueueingAdmission::leave_queue(AdmittedCall& call) {
  lane_of(call).queue.remove(call);
  note_left(call);
}

// From inside a call's own method, or another's: its listener hears of it at the end of the turn.
void QueueingAdmission::drop_later(AdmittedCall& call, QueueDrop reason) {
  leave_queue(call);
  refusals_.add();
  lane_of(call).numbers.drops[static_cast<size_t>(reason)]->add();
  call.doom(reason);
  doomed_.push_back(&call);
  dispatch_.schedule();
}

// It has left the queue.
void QueueingAdmission::drop_now(AdmittedCall& call, QueueDrop reason) {
  refusals_.add();
  lane_of(call).numbers.drops[static_cast<size_t>(reason)]->add();
  call.fail(refusal(reason));
}

void QueueingAdmission::on_expired(AdmittedCall& call) {
  leave_queue(call);
  drop_now(call, call.drop_reason());
}

void QueueingAdmission::on_gone(AdmittedCall& call) {
  if (call.is_doomed()) {
    std::erase(doomed_, &call);
    return;
  }
  leave_queue(call);
  lane_of(call).numbers.drops[static_cast<size_t>(QueueDrop::kAbandoned)]->add();
}

void QueueingAdmission::on_reprioritized(AdmittedCall& call, const Priority& priority) {
  lane_of(call).queue.move_to(call, priority.urgency);
}

void QueueingAdmission::on_body_held(AdmittedCall& call, size_t count) {
  Lane& lane = lane_of(call);
  lane.queue_bytes += count;
  if (lane.queue_bytes > lane.options.bytes_max) drop_later(call, QueueDrop::kBytes);
}

void QueueingAdmission::on_answer(const AdmittedCall& call, const AdmittedCall::Answer& answer) {
  capacity_.add_sample(answer.sample);
  const bool is_answered = answer.sample.outcome == GradientLimit::Outcome::kAnswered;
  if (classes_.learns() && is_answered) {
    classes_.add_latency(call.head(), answer.sample.first_byte_us - answer.sample.started_us);
  }
  look_at_queues();
}

void QueueingAdmission::refresh(Gauge& saturation) {
  for (Lane& lane : lanes_) {
    lane.numbers.in_flight.set(lane.work.in_hand());
    lane.numbers.queue_length.set(static_cast<double>(lane.queue.size()));
    lane.numbers.queue_bytes.set(static_cast<double>(lane.queue_bytes));
  }
  const auto load = static_cast<double>(work_.total.in_hand()) + static_cast<double>(waiting_);
  saturation.set(load / capacity_.in_force());
}

}  // namespace

std::unique_ptr<Admission> make_admission(const AdmissionSurroundings& around,
                                          AdmissionOptions options, MicrosecondClock clock) {
  return std::make_unique<QueueingAdmission>(around, std::move(options), std::move(clock));
}

}  // namespace ptth
