#include "tests/gateway/program.h"
#include "tests/gateway/settings.h"
#include "tests/support/test_certificates.h"

#include <cstdio>
#include <exception>

namespace {

using namespace ptth;       // NOLINT(google-build-using-namespace)
using namespace ptth::dev;  // NOLINT(google-build-using-namespace)

int complain(const Error& error) {
  std::fprintf(stderr, "ptth-dev-gateway: %s\n", error.detail.c_str());
  return 1;
}

int run(Settings settings) {
  if (!settings.make_certificates.empty()) {
    if (auto made = test::make_certificate_files(settings.make_certificates); !made) {
      return complain(made.error());
    }
  }
  Loop loop;
  DevGateway* running = nullptr;
  int signals = 0;
  const StopSignals stop_signals(loop, [&] {
    ++signals;
    if (signals > 1 || running == nullptr) {
      loop.stop();
    } else {
      running->stop([&loop] { loop.stop(); });
    }
  });
  Log log(settings.log);
  auto gateway = DevGateway::open(loop, log, std::move(settings.gateway));
  if (!gateway) return complain(gateway.error());
  running = gateway.value().get();
  const std::vector<Port> ports = running->ports();
  for (const Port& port : ports)
    log.info("listening", {{"for", port.name}, {"at", port.address}});
  if (!settings.ports_file.empty()) {
    if (auto written = write_ports_file(settings.ports_file, ports); !written) {
      return complain(written.error());
    }
  }
  loop.run();
  log.info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    SettingsOrExit read = read_settings(argc, argv);
    return read.exit_now ? read.exit_status : run(std::move(read.settings));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ptth-dev-gateway: %s\n", error.what());
    return 1;
  }
}
