// The pure judgements of the network and file sections: one function a question, the same for `policy test`, for
// `explain`, and for the processes that enforce them. Deny beats ask beats allow, whatever the order of the rules.
#pragma once

#include <string>
#include <string_view>

#include "policy/policy.h"

namespace stockade::policy {

struct Verdict {
  Action action = Action::deny;
  // The rule that decided: an index into network.allow (allow, ask) or network.deny (deny by a rule); -1: no rule.
  int rule = -1;
  bool by_deny_rule = false;
  std::string reason;  // one sentence for the person and the agent: "no rule of network.allow names evil.example"
  Location where;      // of the deciding rule, or of the section that would have to allow it
};

// A host as the agent named it, in the form of NetworkRule::host. Refuses anything that is not a name in LDH form
// (letters, digits, hyphen, underscore; at most 253 bytes, labels at most 63), any spelling of an IP address
// (decimal, octal, hex, short, in brackets), and an empty or trailing-dot-only name.
std::optional<std::string> canonical_host(std::string_view name);

bool host_matches(std::string_view pattern, std::string_view host);  // both canonical
bool path_matches(std::string_view glob, std::string_view path);     // "/v1/**": ** spans slashes, * does not

// May the agent open a connection to this name and port? (methods, paths and programs are judged later, by rule)
Verdict judge_connect(const Network& network, std::string_view canonical_host, uint16_t port);
// The same for a connection to an address that no name is bound to.
Verdict judge_connect(const Network& network, const IpAddress& address, uint16_t port);
// The rule of network.deny that forbids this address, also where an allowed name led to it; null: none.
const NetworkRule* denied_address(const Network& network, const IpAddress& address, uint16_t port);
// May this request pass, given that `rule` (an index into network.allow) admitted its connection? Every allow rule
// for the host and port is considered: the request passes if one of them admits method and path and no deny rule
// matches. `path` is the normalised path without the query.
Verdict judge_request(const Network& network, std::string_view canonical_host, uint16_t port, std::string_view method,
                      std::string_view path);

// The rules of network.allow that admit this request, as judge_request() reads it: its content is judged by them.
std::vector<const NetworkRule*> admitting_rules(const Network& network, std::string_view canonical_host, uint16_t port,
                                                std::string_view method, std::string_view path);
// Whether the rule has this operation run. Introspection (__schema, __type) is a field like others, __typename is free.
bool admits_graphql(const GraphqlLimit& limit, std::string_view operation, const std::vector<std::string>& fields);

// Whether the bytes of a connection by this rule of protocol tcp are read: its startup, what its client sends, and the
// TLS that begins in it.
bool reads_plain(const NetworkRule& rule);
// Whether what a connection by this rule carries inside TLS is read as HTTP, and whether TLS is opened by any rule.
bool is_intercepted(const NetworkRule& rule);
bool intercepts(const Network& network);

// When a rule with `ask: true` asks: about each connection; or, where methods or paths limit it, about each request.
bool asks_at_connect(const NetworkRule& rule);
bool asks_at_request(const NetworkRule& rule);
// Whether anything may ask: a rule, or a secret in a request.
bool asks(const Network& network);

// What is done about a secret in a request, and whether any rule lets us read requests at all.
InspectionLevel secrets_level(const Network& network);
InspectionLevel injection_level(const Network& network);
InspectionLevel fetched_urls_level(const Network& network);
InspectionLevel exfiltration_level(const Network& network);
// Some rule lets us read requests.
bool reads_content(const Network& network);
bool inspects_secrets(const Network& network);
bool inspects_injection(const Network& network);

}  // namespace stockade::policy
