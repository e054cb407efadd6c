#pragma once

// What the control group of this process (Linux cgroups, version 2 or 1) has used and may use: in a
// container, that is the container. Limits of groups above it are not looked at.

#include <cstdint>
#include <optional>
#include <string>

namespace ptth {

// Nothing stands for what cannot be read: there is no such controller, or no group at all.
struct CgroupUsage {
  std::optional<double> cpu_seconds;     // Used so far.
  std::optional<double> cpu_limit;       // Processors. Nothing also where there is no limit.
  std::optional<uint64_t> memory_bytes;  // In use, without what the kernel can drop at once.
  std::optional<uint64_t> memory_limit;  // Bytes. Nothing also where there is no limit.

  [[nodiscard]] bool operator==(const CgroupUsage&) const = default;
};

// Where the kernel shows control groups; tests have their own.
struct CgroupFiles {
  std::string mount = "/sys/fs/cgroup";
  std::string membership = "/proc/self/cgroup";
};

// Reads a handful of small files of the kernel's, which wait for no disk.
[[nodiscard]] CgroupUsage read_cgroup(const CgroupFiles& files = {});

}  // namespace ptth
