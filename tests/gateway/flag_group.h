#pragma once

// The flags of ptth-dev-gateway as CLI11 wants them, and what their values mean.

#include "common/error.h"
#include "common/tls_stream.h"
#include "tests/gateway/faults.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace ptth::dev {

// The flags of one group. A wrong value ends the start with what is wrong with which flag.
class FlagGroup {
 public:
  FlagGroup(CLI::App& app, std::string title) : app_(app), title_(std::move(title)) {}

  template <class Value, class Parse>
  void add(const char* name, const char* type, Value& value, Parse parse, const char* help) {
    const auto assign = [name, &value, parse](const std::vector<std::string>& texts) {
      for (const std::string& text : texts)
        value = parsed(name, parse(text));
      return true;
    };
    app_.add_option(name, assign, help)->type_name(type)->group(title_);
  }

  // May be given several times, or once with commas.
  template <class Value, class Parse>
  void add_list(const char* name, const char* type, std::vector<Value>& values, Parse parse,
                const char* help) {
    const auto assign = [name, &values, parse](const std::vector<std::string>& texts) {
      values.clear();
      for (const std::string& text : texts)
        values.push_back(parsed(name, parse(text)));
      return true;
    };
    app_.add_option(name, assign, help)
        ->type_name(type)
        ->delimiter(',')
        ->expected(1)
        ->take_all()
        ->group(title_);
  }

  void add_switch(const char* name, bool& value, const char* help) {
    app_.add_flag(name, value, help)->group(title_);
  }

 private:
  template <class Value>
  static Value parsed(const char* name, Result<Value> result) {
    if (!result) throw CLI::ValidationError(name, result.error().detail);
    return std::move(result).value();
  }

  CLI::App& app_;
  std::string title_;
};

[[nodiscard]] Result<std::string> as_it_stands(const std::string& text);
// VALUE or VALUE@N.
[[nodiscard]] Result<std::optional<Fault>> parse_bytes_fault(const std::string& text);
[[nodiscard]] Result<std::optional<Fault>> parse_delay_fault(const std::string& text);
// Of the answer to a hello.
[[nodiscard]] Result<std::optional<Fault>> parse_status_fault(const std::string& text);
[[nodiscard]] Result<PeerCertificate> parse_client_certificates(const std::string& text);

}  // namespace ptth::dev
