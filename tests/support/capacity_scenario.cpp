#include "tests/support/capacity_scenario.h"

#include "common/metrics.h"

#include <map>
#include <memory>
#include <random>
#include <utility>

namespace ptth::test {

namespace {

constexpr int kMillisecondsPerTick = 500;

// Sees how long the origin itself takes.
class Stopwatch final : public Origin {
 public:
  Stopwatch(Loop& loop, Origin& inner) : loop_(loop), inner_(inner) {}

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot slot) override {
    return std::make_unique<Call>(*this, head, listener, std::move(slot));
  }

  [[nodiscard]] double take_mean_ms() {
    const double mean = served_ == 0 ? 0 : sum_ms_ / served_;
    sum_ms_ = 0;
    served_ = 0;
    return mean;
  }

 private:
  class Call final : public OriginCall, private ResponseListener {
   public:
    Call(Stopwatch& watch, const RequestHead& head, ResponseListener& listener, WorkSlot slot)
        : watch_(watch),
          listener_(listener),
          started_ms_(watch.loop_.now_ms()),
          inner_(watch.inner_.start(head, *this, std::move(slot))) {}

    void write_body(Bytes /*bytes*/) override {}

    void end_body(const FieldList& /*trailers*/) override {}

    void pause_response() override {}

    void resume_response() override {}

   private:
    void on_interim_response(const ResponseHead& /*head*/) override {}

    void on_response_head(const ResponseHead& head) override {
      watch_.sum_ms_ += static_cast<double>(watch_.loop_.now_ms() - started_ms_);
      ++watch_.served_;
      listener_.on_response_head(head);
    }

    void on_response_body(Bytes /*bytes*/) override {}

    void on_response_end(const FieldList& trailers) override {
      listener_.on_response_end(trailers);
    }

    void on_response_failed(const Error& error) override { listener_.on_response_failed(error); }

    void on_request_body_taken(size_t /*count*/) override {}

    Stopwatch& watch_;
    ResponseListener& listener_;
    uint64_t started_ms_;
    std::unique_ptr<OriginCall> inner_;
  };

  Loop& loop_;
  Origin& inner_;
  double sum_ms_ = 0;
  double served_ = 0;
};

class Scenario {
 public:
  Scenario(uint32_t limit, const std::vector<CapacityPhase>& phases)
      : phases_(phases),
        admission_(make_admission({loop_, metrics_, watch_, work_, shares_}, options(limit),
                                  [this] { return loop_.now_ms() * 1000; })) {}

  std::vector<CapacityTick> run() {
    std::vector<CapacityTick> ticks;
    for (const CapacityPhase& phase : phases_) {
      origin_.change(phase.threads, phase.service_ms);
      const auto count = static_cast<int>(phase.seconds * 1000) / kMillisecondsPerTick;
      for (int tick = 0; tick < count; ++tick)
        ticks.push_back(run_tick(phase));
    }
    visitors_.clear();
    loop_.turn();
    return ticks;
  }

 private:
  class Visitor final : public ResponseListener {
   public:
    explicit Visitor(Scenario& scenario) : scenario_(scenario) {}

    RequestHead head;
    std::unique_ptr<OriginCall> call;

   private:
    void on_interim_response(const ResponseHead& /*head*/) override {}

    void on_response_head(const ResponseHead& /*head*/) override { ++scenario_.served_; }

    void on_response_body(Bytes /*bytes*/) override {}

    void on_response_end(const FieldList& /*trailers*/) override { scenario_.leave(*this); }

    void on_response_failed(const Error& /*error*/) override {
      ++scenario_.refused_;
      scenario_.leave(*this);
    }

    void on_request_body_taken(size_t /*count*/) override {}

    Scenario& scenario_;
  };

  static AdmissionOptions options(uint32_t limit) {
    AdmissionOptions options;
    options.capacity.limit = limit;
    return options;
  }

  CapacityTick run_tick(const CapacityPhase& phase) {
    const double per_ms = phase.load * phase.threads / phase.service_ms;
    std::poisson_distribution<int> arrivals(per_ms);
    for (int millisecond = 0; millisecond < kMillisecondsPerTick; ++millisecond) {
      for (int more = arrivals(random_); more > 0; --more)
        arrive();
      loop_.advance(Milliseconds(1));
    }
    constexpr double kPerSecond = 1000.0 / kMillisecondsPerTick;
    return {static_cast<double>(loop_.now_ms()) / 1e3,
            phase.threads,
            phase.service_ms,
            admission_->capacity(),
            watch_.take_mean_ms(),
            std::exchange(served_, 0) * kPerSecond,
            std::exchange(refused_, 0) * kPerSecond};
  }

  void arrive() {
    auto visitor = std::make_unique<Visitor>(*this);
    Visitor& arrived = *visitor;
    visitors_.emplace(&arrived, std::move(visitor));
    arrived.call = admission_->start(arrived.head, arrived, WorkSlot());
  }

  void leave(Visitor& visitor) {
    auto left = visitors_.extract(&visitor);
    loop_.retire(std::move(left.mapped()));
  }

  Loop loop_{ClockMode::kManual};
  Metrics metrics_;
  CapacityShares shares_{metrics_, 0};
  OriginWork work_;
  std::vector<CapacityPhase> phases_;
  std::mt19937_64 random_{7};
  int served_ = 0;
  int refused_ = 0;
  SimulatedOrigin origin_{loop_};
  Stopwatch watch_{loop_, origin_};
  std::unique_ptr<Admission> admission_;
  std::map<Visitor*, std::unique_ptr<Visitor>> visitors_;
};

}  // namespace

std::vector<CapacityTick> run_capacity_scenario(uint32_t limit,
                                                const std::vector<CapacityPhase>& phases) {
  return std::make_unique<Scenario>(limit, phases)->run();
}

std::vector<CapacityPhase> usual_capacity_phases() {
  return {{90, 40, 50, 1.3}, {90, 15, 50, 2.0}, {90, 80, 50, 1.3}, {90, 40, 120, 1.3}};
}

}  // namespace ptth::test
