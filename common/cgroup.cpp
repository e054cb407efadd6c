#include "common/cgroup.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>
#include <utility>

namespace ptth {

namespace {

// memory.stat, the longest of them, has about two.
constexpr size_t kFileBytesMax = size_t{16} * 1024;
// Version 1 writes "no limit" as the largest multiple of a page.
constexpr uint64_t kNoLimitV1 = uint64_t{1} << 62U;

std::optional<std::string> read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text(kFileBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return text;
}

std::optional<uint64_t> parse_number(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' '))
    text.remove_suffix(1);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "name 123", a line each.
std::optional<uint64_t> find_number(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    if (line.size() <= name.size() || !line.starts_with(name) || line[name.size()] != ' ') continue;
    return parse_number(std::string_view(line).substr(name.size() + 1));
  }
  return std::nullopt;
}

// The path of our group in that hierarchy: "0::/a" for version 2, "4:cpu,cpuacct:/a" for version 1.
std::optional<std::string> group_path(const std::string& membership, std::string_view controller) {
  std::istringstream lines(membership);
  std::string line;
  const std::string wanted = ',' + std::string(controller) + ',';
  while (std::getline(lines, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = ',' + line.substr(first + 1, second - first - 1) + ',';
    std::string path = line.substr(second + 1);
    if (names.find(wanted) != std::string::npos && path.starts_with('/')) return path;
  }
  return std::nullopt;
}

// The files of one group. A container sees its own group as the root of the mount, whatever path
// the membership names.
class Group {
 public:
  Group(std::string mount, const std::string& path)
      : inside_(mount + path + '/'), root_(std::move(mount) + '/') {}

  [[nodiscard]] std::optional<std::string> text(const std::string& file) const {
    auto found = read_file(inside_ + file);
    return found ? found : read_file(root_ + file);
  }

  [[nodiscard]] std::optional<uint64_t> number(const std::string& file) const {
    const auto found = text(file);
    return found ? parse_number(*found) : std::nullopt;
  }

  [[nodiscard]] std::optional<uint64_t> number(const std::string& file,
                                               std::string_view name) const {
    const auto found = text(file);
    return found ? find_number(*found, name) : std::nullopt;
  }

 private:
  std::string inside_;
  std::string root_;
};

std::optional<uint64_t> without(std::optional<uint64_t> all, std::optional<uint64_t> part) {
  return all && part && *part < *all ? *all - *part : all;
}

std::optional<double> quotient(std::optional<uint64_t> part, std::optional<uint64_t> whole) {
  if (!part || !whole || *whole == 0) return std::nullopt;
  return static_cast<double>(*part) / static_cast<double>(*whole);
}

CgroupUsage read_version_2(const Group& group) {
  CgroupUsage usage;
  usage.cpu_seconds = quotient(group.number("cpu.stat", "usage_usec"), 1'000'000);
  usage.memory_bytes =
      without(group.number("memory.current"), group.number("memory.stat", "inactive_file"));
  usage.memory_limit = group.number("memory.max");
  // "50000 100000"; "max 100000" where there is no limit.
  if (const auto quota = group.text("cpu.max")) {
    const std::string_view both = *quota;
    const size_t space = both.find(' ');
    if (space != std::string_view::npos) {
      usage.cpu_limit =
          quotient(parse_number(both.substr(0, space)), parse_number(both.substr(space + 1)));
    }
  }
  return usage;
}

CgroupUsage read_version_1(const std::string& mount, const std::string& membership) {
  CgroupUsage usage;
  if (const auto path = group_path(membership, "cpuacct")) {
    usage.cpu_seconds =
        quotient(Group(mount + "/cpuacct", *path).number("cpuacct.usage"), 1'000'000'000);
  }
  if (const auto path = group_path(membership, "cpu")) {
    const Group group(mount + "/cpu", *path);
    // A quota of -1, which is no number here, is no limit.
    usage.cpu_limit = quotient(group.number("cpu.cfs_quota_us"), group.number("cpu.cfs_period_us"));
  }
  if (const auto path = group_path(membership, "memory")) {
    const Group group(mount + "/memory", *path);
    usage.memory_bytes = without(group.number("memory.usage_in_bytes"),
                                 group.number("memory.stat", "total_inactive_file"));
    usage.memory_limit = group.number("memory.limit_in_bytes");
    if (usage.memory_limit >= kNoLimitV1) usage.memory_limit.reset();
  }
  return usage;
}

}  // namespace

CgroupUsage read_cgroup(const CgroupFiles& files) {
  const std::optional<std::string> membership = read_file(files.membership);
  if (!membership) return {};
  // Where both are mounted, controllers are in one of them: those of version 1 leave version 2
  // none.
  if (const auto path = group_path(*membership, "")) {
    const CgroupUsage usage = read_version_2(Group(files.mount, *path));
    if (usage != CgroupUsage()) return usage;
  }
  return read_version_1(files.mount, *membership);
}

}  // namespace ptth
