#include "agent/link/worker_document.h"

#include <nlohmann/json.hpp>

namespace ptth {

namespace {

using Json = nlohmann::ordered_json;

std::vector<std::string> or_all(const std::vector<std::string>& list, const char* all) {
  return list.empty() ? std::vector<std::string>{all} : list;
}

}  // namespace

std::string to_json(const WorkerFacts& facts) {
  Json document = Json::object();
  if (!facts.identity.empty()) document["identity"] = facts.identity;
  document["instance"] = facts.instance;
  document["version"] = facts.version;
  document["origins"] = or_all(facts.origins, "*");
  document["path_prefixes"] = or_all(facts.prefixes, "/");
  document["capacity"] = facts.all.capacity;
  document["in_flight"] = facts.all.in_flight;
  document["share"] = {{"capacity", facts.share.capacity}, {"in_flight", facts.share.in_flight}};
  document["queue"] = {{"length", facts.queued}};
  document["draining"] = facts.draining;
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ptth
