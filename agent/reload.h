#pragma once

// Reload: the configuration over time. It is read again when someone asks for it or when its file
// has changed, on a thread of its own, and handed on only when all of it is valid.

#include "agent/config.h"
#include "common/errand.h"
#include "common/file_stamp.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/metrics.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ptth {

// Where the configuration comes from.
struct ConfigOrigin {
  std::string file;                    // Empty: none.
  std::function<LoadedConfig()> load;  // Reads it again. Called on another thread; throws nothing.
};

// Keys whose values are not the same, with commas between them.
[[nodiscard]] std::string changed_keys(const LoadedConfig& before, const LoadedConfig& after);
// Those of them that are read at the start only.
[[nodiscard]] std::string keys_for_restart(const LoadedConfig& before, const LoadedConfig& after);
// Of all settings: the same in each agent that has the same. Fits a double.
[[nodiscard]] uint64_t hash_of(const LoadedConfig& loaded);

class Reload {
 public:
  enum class Outcome { kApplied, kRefused };

  // valid: whatever it says is without a problem. From the loop.
  using Apply = std::function<Outcome(LoadedConfig&& valid, std::string_view reason)>;

  // Loop, log and metrics outlive it. in_use: what the process began with; stamp: of its file, from
  // before it was read.
  Reload(Loop& loop, Log& log, Metrics& metrics, ConfigOrigin origin, const FileStamp& stamp,
         Apply apply);
  ~Reload();
  Reload(const Reload&) = delete;
  Reload& operator=(const Reload&) = delete;
  Reload(Reload&&) = delete;
  Reload& operator=(Reload&&) = delete;

  // Looks so often whether the file, or what a link leads to, is another; 0: never. Another call
  // changes that.
  void watch(Milliseconds interval);
  void request(std::string_view reason);
  // For the metrics: this is in force now.
  void note_in_force(const LoadedConfig& loaded);

 private:
  void look();
  void finish(LoadedConfig&& loaded);
  [[nodiscard]] Counter& outcomes(const char* outcome);

  Loop& loop_;
  Log& log_;
  Metrics& metrics_;
  const ConfigOrigin origin_;
  const Apply apply_;
  FileStamp in_use_;
  // What was there last time: what is just being written is not read.
  FileStamp seen_;
  Milliseconds interval_{0};
  std::string reason_;
  bool is_wanted_again_ = false;
  std::unique_ptr<Errand> reading_;
  Timer timer_;
};

}  // namespace ptth
