#include "egress/http_judge.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/http_field.h"
#include "net/path.h"
#include "policy/decision.h"

namespace stockade::egress {

namespace {

constexpr std::string_view kWebSocket = "websocket";

bool covers_port(const policy::NetworkRule& rule, uint16_t port) {
  if (rule.ports.empty()) return true;
  return std::any_of(rule.ports.begin(), rule.ports.end(),
                     [port](const policy::PortRange& range) { return port >= range.first && port <= range.last; });
}

bool limits_requests(const policy::NetworkRule& rule, const Destination& to) {
  if (rule.methods.empty() && rule.paths.empty() && !rule.graphql) return false;
  if (!covers_port(rule, to.port)) return false;
  if (rule.address) return to.host.empty() && rule.address->contains(to.address);
  return !to.host.empty() && policy::host_matches(rule.host, to.host);
}

std::optional<std::string> host_mismatch(const Destination& to, const net::RequestHead& head) {
  if (head.host.empty()) return "the request has no Host";
  if (head.port && *head.port != to.port)
    return fmt::format("Host names port {}, the connection goes to {}", *head.port, to.port);
  if (to.host.empty()) {
    if (IpAddress::parse(head.host) == to.address) return std::nullopt;
  } else if (policy::canonical_host(head.host) == to.host) {
    return std::nullopt;
  }
  return fmt::format("Host is {}, the connection goes to {}", head.host, to.subject());
}

RequestVerdict denied(int32_t rule, std::string reason, std::string hint = {}) {
  return RequestVerdict{false, false, rule, false, std::move(reason), std::move(hint)};
}

// Rules by address have no names to look for: the one that admitted the connection decides.
RequestVerdict judge_by_address(const policy::NetworkRule& rule, const Destination& to, const std::string& method,
                                const std::string& path) {
  const bool method_fits =
      rule.methods.empty() || std::find(rule.methods.begin(), rule.methods.end(), method) != rule.methods.end();
  const bool path_fits =
      rule.paths.empty() || std::any_of(rule.paths.begin(), rule.paths.end(),
                                        [&](const std::string& glob) { return policy::path_matches(glob, path); });
  if (method_fits && path_fits) return RequestVerdict{true, policy::asks_at_request(rule), to.rule};
  return denied(to.rule, fmt::format("the rule for {} does not allow {} {}", rule.subject(), method, path));
}

}  // namespace

bool has_request_limits(const policy::Network& network, const Destination& to) {
  const auto limiting = [&](const policy::NetworkRule& rule) { return limits_requests(rule, to); };
  return std::any_of(network.allow.begin(), network.allow.end(), limiting) ||
         std::any_of(network.deny.begin(), network.deny.end(), limiting);
}

RequestVerdict judge_http_request(const policy::Network& network, const Destination& to, const net::RequestHead& head) {
  if (auto mismatch = host_mismatch(to, head)) return denied(to.rule, std::move(*mismatch));
  if (head.method == "CONNECT") return denied(to.rule, "CONNECT is for proxies, and this is none");
  const bool limited = has_request_limits(network, to);
  if (!head.upgrade.empty()) {
    if (!net::equals_ignoring_case(head.upgrade, kWebSocket))
      return denied(to.rule, fmt::format("an upgrade to {} can't be judged", head.upgrade));
  }
  std::string path = head.path;
  if (limited && path != "*") {
    auto normal = net::normalise_path(head.path);
    if (!normal) return denied(to.rule, fmt::format("the path can be read in two ways: {}", normal.error().message()));
    path = std::move(*normal);
  }
  if (to.host.empty()) return judge_by_address(network.allow[static_cast<size_t>(to.rule)], to, head.method, path);
  const policy::Verdict verdict = policy::judge_request(network, to.host, to.port, head.method, path);
  const bool allowed = verdict.action != policy::Action::deny;
  RequestVerdict out{allowed, false, verdict.rule, verdict.by_deny_rule, verdict.reason, {}};
  out.asks = allowed && policy::asks_at_request(network.allow[static_cast<size_t>(verdict.rule)]);
  if (!allowed)
    out.hint = verdict.by_deny_rule
                   ? "a deny rule beats every allow rule"
                   : fmt::format("a person can allow it with methods: [{}] and paths: [{}] in the rule for {}",
                                 head.method, path, to.host);
  return out;
}

}  // namespace stockade::egress
