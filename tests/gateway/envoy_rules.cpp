// What Envoy's reverse tunnel filter wants of a hello (protocols.md section 6), in the order in
// which it looks.

#include "common/http_rules.h"
#include "tests/gateway/hello_rules.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace ptth::dev {

namespace {

// The fields of the hello by the names behind the prefix.
class Identifiers {
 public:
  enum class Content { kNeeded, kMayBeEmpty };

  Identifiers(const HelloRules& rules, const FieldList& fields)
      : rules_(rules), fields_(fields), begin_(rules.envoy.header_prefix + "-reverse-tunnel-") {
    std::ranges::transform(begin_, begin_.begin(), ascii_lower);
  }

  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const {
    return fields_.find(begin_ + std::string(name));
  }

  // The first thing that is wrong with one of them, or a yes.
  [[nodiscard]] HelloVerdict check(std::string_view name, Content content) const {
    const std::string full = begin_ + std::string(name);
    size_t count = 0;
    for (const Field field : fields_)
      count += field.name == full ? 1 : 0;
    if (count == 0) return no(full + " is missing");
    if (count > 1) return no(full + " is there more than once");
    if (fields_.find(full)->empty() && content == Content::kNeeded) return no(full + " is empty");
    return {};
  }

  [[nodiscard]] HelloVerdict no(std::string text) const {
    return no_by_source(rules_, 400, std::move(text));
  }

 private:
  const HelloRules& rules_;
  const FieldList& fields_;
  std::string begin_;
};

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char byte) { return byte >= '0' && byte <= '9'; });
}

HelloVerdict judge_identifiers(const HelloRules& rules, const FieldList& fields) {
  const Identifiers ids(rules, fields);
  for (const std::string_view name : {"node-id", "cluster-id"}) {
    if (auto verdict = ids.check(name, Identifiers::Content::kNeeded); !verdict.is_yes())
      return verdict;
  }
  if (auto verdict = ids.check("tenant-id", Identifiers::Content::kMayBeEmpty); !verdict.is_yes())
    return verdict;
  const std::string_view node = *ids.find("node-id");
  const std::string_view cluster = *ids.find("cluster-id");
  const std::string_view tenant = *ids.find("tenant-id");
  if (node == cluster) return ids.no("the cluster id is the node id: " + std::string(node));
  const bool has_colon =
      (std::string(node) + std::string(cluster) + std::string(tenant)).find(':') !=
      std::string::npos;
  if (!tenant.empty() && has_colon) {
    return ids.no("there is a ':' in an id, and with tenants it separates them");
  }
  if (const std::string& wanted = rules.envoy.upstream_cluster; !wanted.empty()) {
    if (auto verdict = ids.check("upstream-cluster-name", Identifiers::Content::kNeeded);
        !verdict.is_yes())
      return verdict;
    const std::string_view named = *ids.find("upstream-cluster-name");
    if (named != wanted) {
      return ids.no("the upstream cluster is " + std::string(named) + " and not " + wanted);
    }
  }
  if (const auto time = ids.find("initiation-time"); time && !is_number(*time)) {
    return ids.no("the initiation time is no number of milliseconds");
  }
  return {};
}

HelloVerdict judge_mode(const HelloRules& rules, std::string_view upgrade) {
  const bool asks = asks_for_upgrade(upgrade, "reverse-tunnel");
  if (rules.envoy.mode == EnvoyRules::Mode::kUpgrade) {
    if (asks) return {};
    return no_by_source(rules, 426,
                        "the upgrade reverse-tunnel is not asked for, and this gateway "
                        "is in upgrade mode (use_http_upgrade, --envoy-upgrade)");
  }
  if (upgrade.empty()) return {};
  return no_by_source(rules, 400,
                      "an upgrade is asked for, and this gateway is in plain mode "
                      "(use_http_upgrade, --envoy-upgrade)");
}

}  // namespace

HelloVerdict judge_envoy_hello(const HelloRules& rules, const HeardHello& hello) {
  const RequestHead& head = hello.head;
  const EnvoyRules& envoy = rules.envoy;
  if (head.method != "GET") {
    return no_by_source(rules, 404, "the method is " + head.method + " and not GET");
  }
  if (head.path != envoy.path) return no_by_source(rules, 404, "the path is not " + envoy.path);
  if (auto verdict = judge_mode(rules, hello.upgrade); !verdict.is_yes()) return verdict;
  if (has_body(head)) return no_by_source(rules, 400, "there is a body");
  if (auto verdict = judge_identifiers(rules, head.fields); !verdict.is_yes()) return verdict;
  HelloVerdict verdict;
  CredentialVerdict credentials = judge_credentials(rules.credentials, head.fields);
  if (!credentials.wrong.empty()) {
    verdict.status = 401;
    verdict.text = std::move(credentials.wrong);
    return verdict;
  }
  const Identifiers ids(rules, head.fields);
  const std::string node(*ids.find("node-id"));
  if (envoy.node_name == EnvoyRules::NodeName::kOfCertificate && node != hello.worker) {
    return no_by_source(
        rules, 403,
        "the node id is " + node + " and the certificate is for " +
            (hello.worker.empty() ? "nobody, as there is none" : std::string(hello.worker)));
  }
  verdict.status = envoy.mode == EnvoyRules::Mode::kUpgrade ? 101 : 200;
  verdict.text = node;
  verdict.worker = node;
  return verdict;
}

}  // namespace ptth::dev
