#include "egress/request_limits.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"
#include "net/path.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr std::string_view kNoLimit = "a rule without methods, paths and graphql lets it pass";

ContentFinding refused(std::string reason, std::string hint) {
  ContentFinding finding;
  finding.reason = std::move(reason);
  finding.hint = std::move(hint);
  return finding;
}

std::string_view place_name(net::OverridePlace place) {
  static constexpr std::string_view kNames[] = {"header", "query parameter", "form field", "JSON member"};
  return kNames[static_cast<size_t>(place)];
}

std::string_view operation_name(net::GraphqlKind kind) {
  static constexpr std::string_view kNames[] = {"query", "mutation", "subscription", "persisted query"};
  return kNames[static_cast<size_t>(kind)];
}

std::string describe(const net::GraphqlOperation& operation) {
  return escape_for_terminal(
      fmt::format("{} {{ {} }}", operation_name(operation.kind), fmt::join(operation.fields, " ")));
}

}  // namespace

std::optional<ContentFinding> judge_hidden_requests(const net::HiddenRequests& hidden) {
  const auto refuse_override = [](const net::Override& found) {
    return refused(fmt::format("the {} {} asks to be read as another request", place_name(found.place), found.name),
                   std::string(kNoLimit));
  };
  if (!hidden.overrides.empty()) return refuse_override(hidden.overrides.front());
  if (hidden.batch == net::BatchKind::none || hidden.batch == net::BatchKind::json_rpc ||
      hidden.batch == net::BatchKind::graphql)
    return std::nullopt;
  return refused(fmt::format("its body is a batch of {} requests", hidden.requests.size()),
                 "methods and paths are limited here: send them one by one");
}

GraphqlLimits graphql_limits(const policy::Network& network, const Destination& to, const net::RequestHead& head) {
  std::vector<const policy::NetworkRule*> rules;
  if (to.host.empty()) {
    if (to.rule >= 0) rules.push_back(&network.allow[static_cast<size_t>(to.rule)]);
  } else {
    const auto path = head.path == "*" ? head.path : net::normalise_path(head.path).value_or(head.path);
    rules = policy::admitting_rules(network, to.host, to.port, head.method, path);
  }
  GraphqlLimits limits;
  for (const policy::NetworkRule* rule : rules) {
    if (!rule->graphql) return {};
    limits.push_back(&*rule->graphql);
  }
  return limits;
}

std::optional<ContentFinding> judge_graphql(const GraphqlLimits& limits, const net::GraphqlHttp& request) {
  if (limits.empty()) return std::nullopt;
  const auto parsed = net::parse_graphql_request(request);
  if (!parsed)
    return refused(fmt::format("the rule allows GraphQL only: {}", parsed.error().message()),
                   "a rule without graphql for this method and path lets other requests pass");
  for (const net::GraphqlOperation& operation : parsed->operations) {
    if (operation.kind == net::GraphqlKind::persisted)
      return refused("a persisted query without its text can't be judged", "send the query's text along");
    const bool admitted = std::ranges::any_of(limits, [&](const policy::GraphqlLimit* limit) {
      return policy::admits_graphql(*limit, operation_name(operation.kind), operation.fields);
    });
    if (admitted) continue;
    return refused(fmt::format("the rule does not allow the GraphQL operation {}", describe(operation)),
                   fmt::format("allowed: {}", policy::to_string(*limits.front())));
  }
  return std::nullopt;
}

}  // namespace stockade::egress
