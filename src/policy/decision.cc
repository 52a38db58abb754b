#include "policy/decision.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/diagnostic.h"
#include "policy/floor.h"
#include "policy/glob.h"

namespace stockade::policy {

namespace {

bool port_matches(const std::vector<PortRange>& ports, uint16_t port, bool empty_is_all) {
  if (ports.empty()) return empty_is_all;
  return std::any_of(ports.begin(), ports.end(),
                     [&](const PortRange& range) { return port >= range.first && port <= range.last; });
}

// A deny rule with methods or paths forbids requests, not the connection.
bool denies_connections(const NetworkRule& rule) { return rule.methods.empty() && rule.paths.empty(); }

bool method_and_path_match(const NetworkRule& rule, std::string_view method, std::string_view path) {
  const bool method_fits =
      rule.methods.empty() || std::find(rule.methods.begin(), rule.methods.end(), method) != rule.methods.end();
  return method_fits &&
         (rule.paths.empty() || std::any_of(rule.paths.begin(), rule.paths.end(),
                                            [&](const std::string& glob) { return path_matches(glob, path); }));
}

Verdict denied_by(const NetworkRule& rule, size_t index, const std::string& subject) {
  return {Action::deny, static_cast<int>(index), true,
          fmt::format("network.deny names {} ({})", rule.subject(), subject), rule.where};
}

// Among the rules that match, the one that decides: one that `asks` beats one that does not, a rule for any program stands
// before one that is limited to some, one for the very name before a wildcard, one that opens TLS before one that does not.
template <typename Matches>
int deciding_rule(const Network& network, bool (*asks)(const NetworkRule&), Matches matches) {
  int best = -1;
  const auto rank = [&](int index) {
    const NetworkRule& rule = network.allow[static_cast<size_t>(index)];
    return (asks(rule) ? 0 : 8) + (rule.programs.empty() ? 0 : 4) + (rule.host.starts_with("*.") ? 2 : 0) +
           (rule.tls == TlsMode::passthrough ? 1 : 0);
  };
  for (size_t i = 0; i < network.allow.size(); ++i) {
    if (!matches(network.allow[i])) continue;
    if (best < 0 || rank(static_cast<int>(i)) < rank(best)) best = static_cast<int>(i);
  }
  return best;
}

Verdict allowed_by(const Network& network, bool (*asks)(const NetworkRule&), int index, const std::string& subject) {
  const NetworkRule& rule = network.allow[static_cast<size_t>(index)];
  return {asks(rule) ? Action::ask : Action::allow, index, false,
          fmt::format("network.allow names {} ({})", rule.subject(), subject), rule.where};
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// A last label that some parser takes for a number makes the whole name an address (WHATWG URL, "ends in a number").
bool ends_in_number(std::string_view host) {
  const auto dot = host.rfind('.');
  const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
  if (all_digits(last)) return true;
  if (!last.starts_with("0x")) return false;
  return std::all_of(last.begin() + 2, last.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

std::optional<std::string> canonical_host(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > 253) return std::nullopt;
  std::string host(name);
  size_t label = 0;
  for (size_t i = 0; i < host.size(); ++i) {
    char& c = host[i];
    if (c == '.') {
      if (label == 0 || host[i - 1] == '-') return std::nullopt;
      label = 0;
      continue;
    }
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    if (!letter && (c != '-' || label == 0)) return std::nullopt;
    if (++label > 63) return std::nullopt;
  }
  if (label == 0 || host.back() == '-' || ends_in_number(host)) return std::nullopt;
  return host;
}

bool host_matches(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return pattern == host;
  const std::string_view suffix = pattern.substr(1);  // ".example.com"
  return host.size() > suffix.size() && host.ends_with(suffix);
}

bool path_matches(std::string_view glob, std::string_view path) { return glob_matches(glob, path); }

Verdict judge_connect(const Network& network, std::string_view host, uint16_t port) {
  const std::string subject = fmt::format("{}:{}", host, port);
  for (size_t i = 0; i < network.deny.size(); ++i) {
    const NetworkRule& rule = network.deny[i];
    if (!rule.address && denies_connections(rule) && host_matches(rule.host, host) &&
        port_matches(rule.ports, port, true))
      return denied_by(rule, i, subject);
  }
  const int best = deciding_rule(network, asks_at_connect, [&](const NetworkRule& rule) {
    return !rule.address && host_matches(rule.host, host) && port_matches(rule.ports, port, false);
  });
  if (best >= 0) return allowed_by(network, asks_at_connect, best, subject);
  Verdict verdict{Action::deny, -1, false, fmt::format("no rule of network.allow names {}", host), network.where};
  for (const NetworkRule& rule : network.allow) {
    if (rule.address || !host_matches(rule.host, host)) continue;
    verdict.reason = fmt::format("network.allow names {}, but not port {}", host, port);
    verdict.where = rule.where;
    break;
  }
  return verdict;
}

const NetworkRule* denied_address(const Network& network, const IpAddress& address, uint16_t port) {
  for (const NetworkRule& rule : network.deny)
    if (rule.address && denies_connections(rule) && rule.address->contains(address) &&
        port_matches(rule.ports, port, true))
      return &rule;
  return nullptr;
}

Verdict judge_connect(const Network& network, const IpAddress& address, uint16_t port) {
  const std::string subject = Endpoint{address, port}.to_string();
  if (const NetworkRule* rule = denied_address(network, address, port))
    return denied_by(*rule, static_cast<size_t>(rule - network.deny.data()), subject);
  const NetworkRule* too_broad = nullptr;
  const int best = deciding_rule(network, asks_at_connect, [&](const NetworkRule& rule) {
    if (!rule.address || !rule.address->contains(address) || !port_matches(rule.ports, port, false)) return false;
    if (names_forbidden(*rule.address, address)) return true;
    too_broad = &rule;
    return false;
  });
  if (best >= 0) return allowed_by(network, asks_at_connect, best, subject);
  if (too_broad != nullptr)
    return {Action::deny, -1, false,
            fmt::format("{} is {}: {} does not name exactly that", address.to_string(), forbidden_range(address)->what,
                        too_broad->subject()),
            too_broad->where};
  return {Action::deny, -1, false, fmt::format("no rule of network.allow names the address {}", subject),
          network.where};
}

Verdict judge_request(const Network& network, std::string_view host, uint16_t port, std::string_view method,
                      std::string_view path) {
  const std::string subject = fmt::format("{} {}:{}{}", method, host, port, path);
  for (size_t i = 0; i < network.deny.size(); ++i) {
    const NetworkRule& rule = network.deny[i];
    if (!rule.address && host_matches(rule.host, host) && port_matches(rule.ports, port, true) &&
        method_and_path_match(rule, method, path))
      return denied_by(rule, i, subject);
  }
  const auto asks = [](const NetworkRule& rule) { return rule.ask; };
  const int best = deciding_rule(network, asks, [&](const NetworkRule& rule) {
    return !rule.address && host_matches(rule.host, host) && port_matches(rule.ports, port, false) &&
           method_and_path_match(rule, method, path);
  });
  if (best >= 0) return allowed_by(network, asks, best, subject);
  Verdict connect = judge_connect(network, host, port);
  if (connect.action == Action::deny) return connect;
  return {Action::deny, -1, false, fmt::format("no rule for {}:{} allows {} {}", host, port, method, path),
          connect.where};
}

std::vector<const NetworkRule*> admitting_rules(const Network& network, std::string_view host, uint16_t port,
                                                std::string_view method, std::string_view path) {
  std::vector<const NetworkRule*> rules;
  for (const NetworkRule& rule : network.allow)
    if (!rule.address && host_matches(rule.host, host) && port_matches(rule.ports, port, false) &&
        method_and_path_match(rule, method, path))
      rules.push_back(&rule);
  return rules;
}

bool admits_graphql(const GraphqlLimit& limit, std::string_view operation, const std::vector<std::string>& fields) {
  const auto names = [](const std::vector<std::string>& list, std::string_view name) {
    return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
  };
  return names(limit.operations, operation) && std::all_of(fields.begin(), fields.end(), [&](const std::string& field) {
           return field == "__typename" || names(limit.fields, field);
         });
}

bool reads_plain(const NetworkRule& rule) { return rule.protocol == Protocol::tcp && rule.tls != TlsMode::passthrough; }

bool asks_at_request(const NetworkRule& rule) {
  return rule.ask && (!rule.methods.empty() || !rule.paths.empty());
}

bool asks_at_connect(const NetworkRule& rule) { return rule.ask && !asks_at_request(rule); }

bool is_intercepted(const NetworkRule& rule) {
  return rule.tls == TlsMode::inspect && (rule.protocol == Protocol::automatic || rule.protocol == Protocol::tls);
}

InspectionLevel secrets_level(const Network& network) {
  return network.inspect.secrets.value_or(InspectionLevel::deny);
}

InspectionLevel injection_level(const Network& network) {
  return network.inspect.injection.value_or(InspectionLevel::deny);
}

InspectionLevel fetched_urls_level(const Network& network) {
  return network.inspect.fetched_urls.value_or(InspectionLevel::deny);
}

InspectionLevel exfiltration_level(const Network& network) {
  return network.inspect.exfiltration.value_or(InspectionLevel::log);
}

bool reads_content(const Network& network) {
  return std::any_of(network.allow.begin(), network.allow.end(), [](const NetworkRule& rule) {
    return is_intercepted(rule) || rule.protocol == Protocol::http || rule.protocol == Protocol::automatic;
  });
}

bool inspects_secrets(const Network& network) {
  return secrets_level(network) != InspectionLevel::off &&
         (reads_content(network) || std::any_of(network.allow.begin(), network.allow.end(), reads_plain));
}

bool inspects_injection(const Network& network) {
  return injection_level(network) != InspectionLevel::off && reads_content(network);
}

bool asks(const Network& network) {
  return std::ranges::any_of(network.allow, &NetworkRule::ask) ||
         (inspects_secrets(network) && secrets_level(network) == InspectionLevel::ask);
}

std::string_view to_string(InspectionLevel level) {
  constexpr std::string_view kLevels[] = {"off", "log", "redact", "ask", "deny"};
  return kLevels[static_cast<size_t>(level)];
}

std::string to_string(const GraphqlLimit& limit) {
  std::string text = "GraphQL";
  if (!limit.operations.empty()) text += fmt::format(": {}", join_words(limit.operations));
  if (!limit.fields.empty()) text += fmt::format(", with the fields {}", join_words(limit.fields));
  return text;
}

std::string_view to_string(Action action) {
  constexpr std::string_view kActions[] = {"allow", "log", "ask", "redact", "deny", "pause", "kill"};
  return kActions[static_cast<size_t>(action)];
}

bool intercepts(const Network& network) {
  return std::any_of(network.allow.begin(), network.allow.end(),
                     [](const NetworkRule& rule) { return is_intercepted(rule) || reads_plain(rule); });
}

}  // namespace stockade::policy
