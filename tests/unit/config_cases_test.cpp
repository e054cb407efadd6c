// The files in tests/config: valid/NAME.json with NAME.txt, the settings that come out of it;
// invalid/NAME.json with NAME.txt, every complaint about it.

#include "agent/config.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using ptth::ConfigProblem;
using ptth::ConfigSources;
using ptth::LoadedConfig;

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::filesystem::path> cases(const std::string& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(PTTH_CONFIG_CASES) + "/" + folder)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  }
  REQUIRE(paths.size() > 3);
  return paths;
}

LoadedConfig load(const std::filesystem::path& path) {
  ConfigSources sources;
  sources.file = {path.filename().string(), read(path)};
  return ptth::load_config(sources);
}

std::string expected(std::filesystem::path path) {
  return read(path.replace_extension(".txt"));
}

std::string problems_of(const LoadedConfig& loaded) {
  std::string text;
  for (const ConfigProblem& problem : loaded.problems)
    text += problem.text + "\n";
  return text;
}

}  // namespace

TEST_CASE("valid configuration files give the settings that they say") {
  for (const auto& path : cases("valid")) {
    CAPTURE(path.filename().string());
    const LoadedConfig loaded = load(path);
    CHECK(problems_of(loaded) == "");
    std::string settings;
    for (const ptth::EffectiveValue& value : loaded.effective) {
      if (value.source != "default") settings += value.key + " = " + value.value + "\n";
    }
    CHECK(settings == expected(path));
  }
}

TEST_CASE("invalid configuration files are refused with file, line, key and what to write") {
  for (const auto& path : cases("invalid")) {
    CAPTURE(path.filename().string());
    const LoadedConfig loaded = load(path);
    CHECK_FALSE(loaded.problems.empty());
    CHECK(problems_of(loaded) == expected(path));
  }
}
