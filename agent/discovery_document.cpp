#include "agent/discovery_document.h"

#include "agent/config_address.h"
#include "agent/config_choices.h"
#include "agent/config_discovery.h"
#include "agent/config_json.h"
#include "agent/config_value.h"
#include "common/ascii.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace ptth {

namespace {

using Kind = JsonValue::Kind;

constexpr std::string_view kVersion = "1";
constexpr uint64_t kConnectionsMax = 256;

Error refusal(std::string detail) {
  return {ErrorKind::kProtocol, Side::kGateway, printable(detail), false};
}

class DocumentReader {
 public:
  explicit DocumentReader(const DiscoveryOptions& options) : options_(options) {
    allowed_.insert(options.allowed_hosts.begin(), options.allowed_hosts.end());
    if (allowed_.empty()) allowed_.insert(discovery_host(options));
  }

  Result<std::vector<FoundGateway>> read(const JsonValue& root) {
    if (root.kind != Kind::kObject) wrong(root, "", "an object is needed: {\"gateways\": [...]}");
    bool has_version = false;
    for (const JsonValue& member : root.children) {
      if (member.key == "version") {
        has_version = true;
        if (member.kind != Kind::kNumber || member.text != kVersion) {
          wrong(member, "version", "only 1 is known");
        }
      } else if (member.key == "gateways") {
        read_gateways(member);
      } else {
        unknown(member, "");
      }
    }
    if (!has_version) wrong(root, "version", "it is missing");
    if (found_.empty()) wrong(root, "gateways", "there is none");
    if (problem_) return *problem_;
    return std::move(found_);
  }

 private:
  // The first one counts.
  void wrong(const JsonValue& value, const std::string& key, const std::string& what) {
    if (problem_) return;
    problem_ = refusal("line " + std::to_string(value.line) + ": " + key +
                       (key.empty() ? "" : ": ") + what);
  }

  void unknown(const JsonValue& member, const std::string& prefix) {
    wrong(member, prefix, "unknown key " + in_quotes(member.key));
  }

  void read_gateways(const JsonValue& list) {
    if (list.kind != Kind::kArray) {
      wrong(list, "gateways", "a list is needed");
      return;
    }
    if (list.children.size() > options_.gateways_max) {
      wrong(list, "gateways",
            std::to_string(list.children.size()) + " are more than discovery.gateways_max (" +
                std::to_string(options_.gateways_max) + ")");
      return;
    }
    for (size_t index = 0; index < list.children.size() && !problem_; ++index)
      read_gateway(list.children[index], "gateways[" + std::to_string(index) + "]");
  }

  void read_gateway(const JsonValue& item, const std::string& place) {
    if (item.kind != Kind::kObject) {
      wrong(item, place, "an object is needed");
      return;
    }
    FoundGateway gateway;
    for (const JsonValue& member : item.children) {
      const std::string key = place + "." + member.key;
      if (member.key == "connections") {
        read_connections(member, key, gateway);
        continue;
      }
      if (member.key != "name" && member.key != "url" && member.key != "profile") {
        unknown(member, place);
        continue;
      }
      if (member.kind != Kind::kText) {
        wrong(member, key, "text is needed");
      } else if (member.key == "name") {
        read_name(member, key, gateway);
      } else if (member.key == "url") {
        read_url(member, key, gateway);
      } else {
        read_profile(member, key, gateway);
      }
    }
    if (gateway.name.empty()) wrong(item, place + ".name", "it is missing");
    if (gateway.host.empty()) wrong(item, place + ".url", "it is missing");
    if (!names_.insert(gateway.name).second) {
      wrong(item, place + ".name", "a second gateway called " + in_quotes(gateway.name));
    }
    found_.push_back(std::move(gateway));
  }

  void read_name(const JsonValue& value, const std::string& key, FoundGateway& gateway) {
    constexpr size_t kNameSizeMax = 64;
    const bool plain = std::all_of(value.text.begin(), value.text.end(), [](char c) {
      return is_letter(c) || is_digit(c) ||
             std::string_view("._-").find(c) != std::string_view::npos;
    });
    if (!plain || value.text.empty() || value.text.size() > kNameSizeMax) {
      wrong(value, key, "a name has 1 to 64 letters, digits and any of . _ -");
    }
    gateway.name = value.text;
  }

  void read_url(const JsonValue& value, const std::string& key, FoundGateway& gateway) {
    const Result<GatewayUrl> url = parse_gateway_url(value.text);
    if (!url) {
      wrong(value, key, url.error().detail);
      return;
    }
    if (!url.value().tls) wrong(value, key, "http:// is not encrypted");
    if (!allowed_.contains(url.value().host)) {
      wrong(value, key, in_quotes(url.value().host) + " is none of discovery.allowed_hosts");
    }
    gateway.host = url.value().host;
    gateway.port = url.value().port;
  }

  void read_profile(const JsonValue& value, const std::string& key, FoundGateway& gateway) {
    const bool known = std::any_of(kProfiles.begin(), kProfiles.end(),
                                   [&](const auto& choice) { return choice.first == value.text; });
    if (!known) wrong(value, key, in_quotes(value.text) + " is no profile that we know");
    gateway.profile = value.text;
  }

  void read_connections(const JsonValue& value, const std::string& key, FoundGateway& gateway) {
    const Result<uint64_t> count = parse_count(value.text);
    if (value.kind != Kind::kNumber || !count || count.value() < 1 ||
        count.value() > kConnectionsMax) {
      wrong(value, key, "a number from 1 to " + std::to_string(kConnectionsMax) + " is needed");
      return;
    }
    gateway.connections = static_cast<uint32_t>(count.value());
  }

  const DiscoveryOptions& options_;
  std::set<std::string> allowed_;
  std::set<std::string> names_;
  std::vector<FoundGateway> found_;
  std::optional<Error> problem_;
};

}  // namespace

Result<std::vector<FoundGateway>> parse_discovery_document(std::string_view text,
                                                           const DiscoveryOptions& options) {
  if (text.size() > options.document_bytes_max) {
    return refusal("larger than " + show_size(options.document_bytes_max));
  }
  const JsonDocument document = parse_json(text);
  if (!document.error.empty()) {
    return refusal("line " + std::to_string(document.error_line) + ": " + document.error);
  }
  return DocumentReader(options).read(document.root);
}

}  // namespace ptth
