#include "tests/gateway/program.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <pthread.h>
#include <utility>

namespace ptth::dev {

namespace {

// Ends the thread that waits; nobody else sends it.
constexpr int kWakeSignal = SIGUSR2;

sigset_t awaited_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, kWakeSignal);
  return signals;
}

}  // namespace

StopSignals::StopSignals(Loop& loop, std::function<void()> on_signal) {
  const sigset_t signals = awaited_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  thread_ = std::thread([&loop, function = std::move(on_signal), signals] {
    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && signal != kWakeSignal)
      loop.post(function);
  });
}

StopSignals::~StopSignals() {
  pthread_kill(thread_.native_handle(), kWakeSignal);
  thread_.join();
}

std::string bound_address(const std::string& address, int port) {
  if (port == 0) return address;
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon);
  return (host.empty() ? "127.0.0.1" : host) + ":" + std::to_string(port);
}

std::string ports_text(const std::vector<Port>& ports) {
  std::string text;
  for (const Port& port : ports)
    text += port.name + "=" + port.address + "\n";
  return text;
}

Result<void> write_ports_file(const std::string& path, const std::vector<Port>& ports) {
  const std::string unfinished = path + ".new";
  std::ofstream file(unfinished);
  file << ports_text(ports);
  file.close();
  if (!file || std::rename(unfinished.c_str(), path.c_str()) != 0) {
    return Error{ErrorKind::kConfiguration, Side::kLocal,
                 "cannot write " + path + ": " + std::strerror(errno)};
  }
  return {};
}

}  // namespace ptth::dev
