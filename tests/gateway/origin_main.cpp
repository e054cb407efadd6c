#include "common/log.h"
#include "tests/gateway/entrance.h"
#include "tests/gateway/program.h"
#include "tests/gateway/toy_origin.h"
#include "tests/gateway/user_front.h"

#include <cstdio>
#include <exception>
#include <string>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace {

using namespace ptth;       // NOLINT(google-build-using-namespace)
using namespace ptth::dev;  // NOLINT(google-build-using-namespace)

constexpr Milliseconds kDrainTimeout{5'000};

struct Settings {
  std::string address = "127.0.0.1:3000";
  std::string ports_file;
  bool quiet = false;
};

int complain(const Error& error) {
  std::fprintf(stderr, "ptth-dev-origin: %s\n", error.detail.c_str());
  return 1;
}

int run(const Settings& settings) {
  Loop loop;
  std::unique_ptr<Entrance> entrance;
  UserFront* running = nullptr;
  int signals = 0;
  const StopSignals stop_signals(loop, [&] {
    ++signals;
    if (signals > 1 || running == nullptr) {
      loop.stop();
    } else {
      entrance = nullptr;
      running->leave(kDrainTimeout, [&loop] { loop.stop(); });
    }
  });
  Log::Options log_options;
  log_options.format = LogFormat::kHuman;
  if (settings.quiet) log_options.level = LogLevel::kWarn;
  Log log(log_options);
  ToyOrigin origin(loop, log);
  UserFront front(loop, origin, {});
  running = &front;
  Entrance::Options options;
  options.name = "http";
  options.address = settings.address;
  auto opened = Entrance::open(
      loop, log, options, [&front](Entrance::Arrival arrival) { front.add(std::move(arrival)); });
  if (!opened) return complain(opened.error());
  entrance = std::move(opened).value();
  const Port port{options.name, bound_address(options.address, entrance->port())};
  log.info("listening", {{"at", port.address}});
  if (!settings.ports_file.empty()) {
    if (auto written = write_ports_file(settings.ports_file, {port}); !written) {
      return complain(written.error());
    }
  }
  loop.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Settings settings;
    CLI::App app("An application to put behind ptth-agent, for the demo and for tests.\n\n" +
                     std::string(toy_origin_help()),
                 "ptth-dev-origin");
    app.add_option("--listen", settings.address,
                   "HOST:PORT (port 0 lets the system choose) or unix:PATH; default 127.0.0.1:3000")
        ->type_name("ADDRESS");
    app.add_option("--ports-file", settings.ports_file,
                   "Write what is listened on to this file, as http=127.0.0.1:3000")
        ->type_name("FILE");
    app.add_flag("--quiet", settings.quiet, "No line for each request");
    CLI11_PARSE(app, argc, argv);
    return run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ptth-dev-origin: %s\n", error.what());
    return 1;
  }
}
