#include "agent/reload.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <utility>

namespace ptth {

namespace {

// At the end of the process: the thread uses what main takes away.
constexpr Milliseconds kFarewell{2'000};
constexpr size_t kProblemsLogged = 10;

template <class Wanted>
std::string differences(const LoadedConfig& before, const LoadedConfig& after, Wanted wanted) {
  std::map<std::string_view, std::pair<std::string_view, std::string_view>> values;
  for (const EffectiveValue& value : before.effective)
    values[value.key].first = value.value;
  for (const EffectiveValue& value : after.effective)
    values[value.key].second = value.value;
  std::string keys;
  for (const auto& [key, value] : values) {
    if (value.first == value.second || !wanted(key)) continue;
    if (!keys.empty()) keys += ", ";
    keys += key;
  }
  return keys;
}

// The admin listener and the log's writer are there before anything else.
bool is_for_restart(std::string_view key) {
  return key.starts_with("admin.") || (key.starts_with("log.") && key != "log.level") ||
         key == "startup.timeout";
}

}  // namespace

std::string changed_keys(const LoadedConfig& before, const LoadedConfig& after) {
  return differences(before, after, [](std::string_view) { return true; });
}

std::string keys_for_restart(const LoadedConfig& before, const LoadedConfig& after) {
  return differences(before, after, is_for_restart);
}

// FNV-1a; its upper 48 bits.
uint64_t hash_of(const LoadedConfig& loaded) {
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  const auto add = [&hash](std::string_view text) {
    for (const char c : text)
      hash = (hash ^ static_cast<unsigned char>(c)) * UINT64_C(0x100000001b3);
    hash = (hash ^ 0xff) * UINT64_C(0x100000001b3);
  };
  for (const EffectiveValue& value : loaded.effective) {
    add(value.key);
    add(value.value);
  }
  return hash >> 16;
}

Reload::Reload(Loop& loop, Log& log, Metrics& metrics, ConfigOrigin origin, const FileStamp& stamp,
               Apply apply)
    : loop_(loop),
      log_(log),
      metrics_(metrics),
      origin_(std::move(origin)),
      apply_(std::move(apply)),
      in_use_(stamp),
      seen_(stamp),
      timer_(loop, [this] { look(); }) {}

Reload::~Reload() {
  if (reading_) reading_->wait(kFarewell);
}

void Reload::watch(Milliseconds interval) {
  interval_ = interval;
  if (origin_.file.empty() || interval.count() <= 0) {
    timer_.stop();
  } else {
    timer_.start(interval);
  }
}

void Reload::look() {
  const FileStamp before = std::exchange(seen_, FileStamp::of(origin_.file));
  timer_.start(interval_);
  if (seen_ == before && !(seen_ == in_use_)) request("its file has changed");
}

void Reload::request(std::string_view reason) {
  if (reading_) {
    is_wanted_again_ = true;
    return;
  }
  reason_ = reason;
  in_use_ = seen_ = FileStamp::of(origin_.file);
  reading_ = Errand::start(loop_, [this, load = origin_.load]() -> Errand::Done {
    // A function must be copyable, so what was read is shared by its copies.
    const auto loaded = std::make_shared<LoadedConfig>(load());
    return [this, loaded] { finish(std::move(*loaded)); };
  });
  if (reading_) return;
  outcomes("failed").add();
  log_.error("the configuration is not read again: this host gives us no thread for it");
}

void Reload::finish(LoadedConfig&& loaded) {
  loop_.retire(std::move(reading_));
  if (!loaded.problems.empty()) {
    outcomes("invalid").add();
    log_.error("the configuration is not valid any more; all stays as it is",
               {{"reason", reason_}, {"problems", uint64_t{loaded.problems.size()}}});
    const size_t count = std::min(loaded.problems.size(), kProblemsLogged);
    for (size_t index = 0; index < count; ++index)
      log_.error("configuration", {{"detail", loaded.problems[index].text}});
  } else if (apply_(std::move(loaded), reason_) == Outcome::kApplied) {
    outcomes("ok").add();
  } else {
    outcomes("refused").add();
  }
  if (std::exchange(is_wanted_again_, false)) request("asked for again meanwhile");
}

void Reload::note_in_force(const LoadedConfig& loaded) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  metrics_
      .gauge("ptth_config_last_success_timestamp_seconds",
             "When the configuration in force was read, in seconds since 1970.")
      .set(static_cast<double>(std::chrono::duration_cast<std::chrono::seconds>(now).count()));
  metrics_
      .gauge("ptth_config_hash",
             "Of the settings in force: the same in each agent that has the same.")
      .set(static_cast<double>(hash_of(loaded)));
  for (const char* outcome : {"ok", "invalid", "refused", "failed"})
    static_cast<void>(outcomes(outcome));
}

Counter& Reload::outcomes(const char* outcome) {
  return metrics_.counter("ptth_reloads", "Times at which the configuration was read again.",
                          {{"outcome", outcome}});
}

}  // namespace ptth
