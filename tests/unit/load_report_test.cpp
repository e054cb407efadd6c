#include "agent/relay/load_report.h"

#include "agent/load_meter.h"
#include "agent/relay/reporting_origin.h"
#include "common/cgroup.h"
#include "tests/support/scripted_origin.h"
#include "tests/support/temp_dir.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include <doctest/doctest.h>

using ptth::CgroupFiles;
using ptth::CgroupUsage;
using ptth::ClockMode;
using ptth::LoadMeter;
using ptth::LoadReport;
using ptth::Loop;
using ptth::Milliseconds;

namespace {

// A tree of control groups as the kernel shows it.
struct Groups {
  void write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = directory.path() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  [[nodiscard]] CgroupUsage read() const {
    return ptth::read_cgroup({directory.path() + "/mount", directory.path() + "/membership"});
  }

  ptth::test::TempDir directory;
};

class HeadKeeper final : public ptth::ResponseListener {
 public:
  void on_interim_response(const ptth::ResponseHead& /*head*/) override {}

  void on_response_head(const ptth::ResponseHead& head) override { last = head; }

  void on_response_body(ptth::Bytes bytes) override { body_bytes += bytes.size(); }

  void on_response_end(const ptth::FieldList& /*trailers*/) override { ended = true; }

  void on_response_failed(const ptth::Error& /*error*/) override {}

  void on_request_body_taken(size_t count) override { taken += count; }

  ptth::ResponseHead last;
  size_t body_bytes = 0;
  size_t taken = 0;
  bool ended = false;
};

}  // namespace

TEST_CASE("the use and the limits of a control group are read, of version 2") {
  Groups groups;
  groups.write("membership", "0::/app\n");
  groups.write("mount/app/cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
  groups.write("mount/app/memory.current", "1000\n");
  groups.write("mount/app/memory.stat", "anon 5\ninactive_file 400\n");
  groups.write("mount/app/memory.max", "2000\n");
  groups.write("mount/app/cpu.max", "50000 100000\n");
  CgroupUsage usage = groups.read();
  CHECK(usage.cpu_seconds == doctest::Approx(2.5));
  CHECK(usage.cpu_limit == doctest::Approx(0.5));
  CHECK(usage.memory_bytes == 600);
  CHECK(usage.memory_limit == 2000U);
  groups.write("mount/app/memory.max", "max\n");
  groups.write("mount/app/cpu.max", "max 100000\n");
  usage = groups.read();
  CHECK_FALSE(usage.cpu_limit);
  CHECK_FALSE(usage.memory_limit);
}

TEST_CASE("in a container the group is the root of the mount") {
  Groups groups;
  groups.write("membership", "0::/kubepods/pod1\n");
  groups.write("mount/cpu.stat", "usage_usec 10\n");
  groups.write("mount/memory.current", "7\n");
  const CgroupUsage usage = groups.read();
  CHECK(usage.memory_bytes == 7);
}

TEST_CASE("the use and the limits of a control group are read, of version 1") {
  Groups groups;
  groups.write("membership", "4:memory:/app\n2:cpu,cpuacct:/app\n0::/\n");
  groups.write("mount/cpuacct/app/cpuacct.usage", "1500000000\n");
  groups.write("mount/cpu/app/cpu.cfs_quota_us", "200000\n");
  groups.write("mount/cpu/app/cpu.cfs_period_us", "100000\n");
  groups.write("mount/memory/app/memory.usage_in_bytes", "4096\n");
  groups.write("mount/memory/app/memory.limit_in_bytes", "9223372036854771712\n");
  CgroupUsage usage = groups.read();
  CHECK(usage.cpu_seconds == doctest::Approx(1.5));
  CHECK(usage.cpu_limit == doctest::Approx(2));
  CHECK(usage.memory_bytes == 4096);
  CHECK_FALSE(usage.memory_limit);
  groups.write("mount/cpu/app/cpu.cfs_quota_us", "-1\n");
  usage = groups.read();
  CHECK_FALSE(usage.cpu_limit);
}

TEST_CASE("a part of a control group that is not there or makes no sense is nothing") {
  Groups groups;
  CHECK(groups.read() == CgroupUsage());
  groups.write("membership", "nonsense\n:::\n0::/app\n");
  CHECK(groups.read() == CgroupUsage());
  groups.write("mount/app/cpu.stat", "usage_usec many\n");
  groups.write("mount/app/cpu.max", "50000\n");
  groups.write("mount/app/memory.current", "7\n");
  groups.write("mount/app/memory.stat", "inactive_file 8\n");
  CHECK(groups.read() == CgroupUsage{{}, {}, 7, {}});
  groups.write("mount/app/cpu.max", "50000 0\n");
  CHECK_FALSE(groups.read().cpu_limit);
}

TEST_CASE("where both versions are mounted, the one with the controllers is read") {
  Groups groups;
  groups.write("membership", "4:memory:/\n2:cpuacct:/\n1:cpu:/\n0::/\n");
  groups.write("mount/cpuacct/cpuacct.usage", "2000000000\n");
  CHECK(groups.read() == CgroupUsage{2, {}, {}, {}});
}

TEST_CASE("the control group of this process is read where the kernel shows one") {
  const bool has_any = std::filesystem::exists("/sys/fs/cgroup/cpuacct/cpuacct.usage") ||
                       std::filesystem::exists("/sys/fs/cgroup/cpu.stat");
  CHECK(ptth::read_cgroup().cpu_seconds.has_value() == has_any);
}

TEST_CASE("a load report is written as ORCA has it, without what is not known") {
  CHECK(ptth::orca_text({0.305, 0.5, 1, 1234.567, 0}) ==
        "TEXT cpu_utilization:0.31, mem_utilization:0.5, application_utilization:1, "
        "rps_fractional:1234.57, eps:0");
  CHECK(ptth::orca_text({{}, {}, 0.25, 1e12, -1}) ==
        "TEXT application_utilization:0.25, rps_fractional:1000000000000, eps:0");
  CHECK(ptth::orca_text({std::nan(""), 1, HUGE_VAL, 0, 0}) ==
        "TEXT mem_utilization:1, rps_fractional:0, eps:0");
}

TEST_CASE("the load is what happened since the last look") {
  Loop loop(ClockMode::kManual);
  LoadMeter::Reading reading;
  size_t reads = 0;
  reading.sample.capacity = 10;
  reading.usage = {.cpu_seconds = 5, .cpu_limit = 2, .memory_bytes = 50, .memory_limit = 200};
  LoadMeter meter(loop, {.processors = 8, .memory_bytes = 500}, [&] {
    ++reads;
    return reading;
  });
  loop.advance(LoadMeter::kInterval);
  CHECK(reads == 0);
  meter.start();
  meter.start();
  CHECK(reads == 1);
  CHECK(meter.text().empty());
  reading.sample.in_flight = 4;
  reading.sample.exchanges = 100;
  reading.sample.failures = 10;
  reading.usage.cpu_seconds = 6;
  loop.advance(LoadMeter::kInterval);
  CHECK(meter.report().cpu_utilization == doctest::Approx(0.5));
  CHECK(meter.report().mem_utilization == doctest::Approx(0.25));
  CHECK(meter.report().application_utilization == doctest::Approx(0.4));
  CHECK(meter.report().rps_fractional == doctest::Approx(100));
  CHECK(meter.report().eps == doctest::Approx(10));
  CHECK(meter.text() == ptth::orca_text(meter.report()));
  // Without a limit of its own, the machine's processors and memory are what there is; also with
  // one beyond it.
  reading.usage.cpu_limit.reset();
  reading.usage.cpu_seconds = 8;
  reading.usage.memory_limit = 1'000;
  loop.advance(LoadMeter::kInterval);
  CHECK(meter.report().cpu_utilization == doctest::Approx(0.25));
  CHECK(meter.report().mem_utilization == doctest::Approx(0.1));
  CHECK(meter.report().rps_fractional == doctest::Approx(0));
  // The series of a gateway that has gone are counted no more.
  reading.sample.exchanges = 1;
  reading.usage = {};
  loop.advance(LoadMeter::kInterval);
  CHECK(meter.report().rps_fractional == doctest::Approx(0));
  CHECK_FALSE(meter.report().cpu_utilization);
  CHECK_FALSE(meter.report().mem_utilization);
  meter.stop();
  CHECK(meter.text().empty());
  reads = 0;
  loop.advance(2 * LoadMeter::kInterval);
  CHECK(reads == 0);
  meter.start();
  CHECK(meter.text().empty());
}

TEST_CASE("answers carry the load report, unless there is none or the application has its own") {
  ptth::ScriptedOrigin inner;
  std::string text;
  const auto origin = ptth::make_reporting_origin(inner, text);
  HeadKeeper keeper;
  const ptth::RequestHead head;
  auto call = origin->start(head, keeper, {});
  inner.calls[0]->answer_head(200, ptth::BodyKind::kNone);
  CHECK(keeper.last.fields.empty());
  text = "TEXT eps:1";
  call = origin->start(head, keeper, {});
  inner.calls[1]->answer_head(200, ptth::BodyKind::kUnknown);
  CHECK(keeper.last.fields.find("endpoint-load-metrics") == "TEXT eps:1");
  ptth::FieldList own;
  own.add("endpoint-load-metrics", "TEXT eps:9");
  call = origin->start(head, keeper, {});
  inner.calls[2]->answer_head(200, ptth::BodyKind::kUnknown, own);
  CHECK(keeper.last.fields.size() == 1);
  CHECK(keeper.last.fields.find("endpoint-load-metrics") == "TEXT eps:9");
  // In gRPC's form, too.
  ptth::FieldList of_grpc;
  of_grpc.add("endpoint-load-metrics-bin", "CQAAAAAAAOA/");
  const auto another = origin->start(head, keeper, {});
  inner.calls[3]->answer_head(200, ptth::BodyKind::kUnknown, of_grpc);
  CHECK(keeper.last.fields.size() == 1);
  // All else passes.
  call->write_body(ptth::Bytes(reinterpret_cast<const uint8_t*>("ab"), 2));
  CHECK(inner.calls[2]->body == "ab");
  inner.calls[2]->take(2);
  CHECK(keeper.taken == 2);
  inner.calls[2]->answer_body("xyz");
  CHECK(keeper.body_bytes == 3);
  call->pause_response();
  CHECK(inner.calls[2]->paused);
  call->resume_response();
  CHECK_FALSE(inner.calls[2]->paused);
  inner.calls[2]->answer_end();
  CHECK(keeper.ended);
  call.reset();
  CHECK(inner.calls[2]->cancelled);
}
