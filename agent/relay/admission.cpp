#include "agent/relay/admission.h"

#include <utility>

namespace ptth {

namespace {

class Admission final : public Origin {
 public:
  Admission(Loop& loop, Metrics& metrics, Origin& inner, const AdmissionOptions& options,
            uint32_t& in_use)
      : loop_(loop),
        inner_(inner),
        options_(options),
        in_use_(in_use),
        refusals_(metrics.counter("ptth_admission_refusals",
                                  "Exchanges refused because the origin had its fill.")) {
    Gauge& capacity = metrics.gauge("ptth_capacity", "Exchanges that the origin may have in hand.");
    capacity.set(options.capacity);
    Gauge& in_use_gauge =
        metrics.gauge("ptth_capacity_in_use", "Exchanges that the origin has in hand.");
    metrics.on_collect([&in_use, &in_use_gauge] { in_use_gauge.set(in_use); });
  }

  std::unique_ptr<OriginCall> start(const RequestHead& head, ResponseListener& listener,
                                    WorkSlot /*slot*/) override {
    if (in_use_ >= options_.capacity) {
      refusals_.add();
      return make_failed_call(
          loop_, listener,
          {ErrorKind::kOverload, Side::kLocal,
           "the origin has " + std::to_string(in_use_) + " exchanges in hand", true});
    }
    return inner_.start(head, listener, WorkSlot(in_use_));
  }

 private:
  Loop& loop_;
  Origin& inner_;
  const AdmissionOptions options_;
  uint32_t& in_use_;
  Counter& refusals_;
};

}  // namespace

std::unique_ptr<Origin> make_admission(Loop& loop, Metrics& metrics, Origin& inner,
                                       const AdmissionOptions& options, uint32_t& in_use) {
  return std::make_unique<Admission>(loop, metrics, inner, options, in_use);
}

}  // namespace ptth
