// Comparing what rules allow: does one cover another, and what do two allow together? The ground under ceilings (which
// narrow) and `policy diff` (which says whether a change widens). In doubt the answer is the strict one: "does not
// cover", and an intersection that is smaller than the true one.
#pragma once

#include <optional>

#include "policy/policy.h"

namespace stockade::policy {

bool host_covers(std::string_view outer, std::string_view inner);  // patterns: "*.example.com", "api.example.com"
bool cidr_covers(const Cidr& outer, const Cidr& inner);
bool rule_covers(const NetworkRule& outer, const NetworkRule& inner);
bool deny_covers(const NetworkRule& outer, const NetworkRule& inner);  // for rules of network.deny

// What both rules allow, with `run`'s place; nothing when they have no connection in common. A ceiling's rule means
// what it means anywhere: without `tls` TLS is opened, and passthrough is beyond it.
std::optional<NetworkRule> intersect(const NetworkRule& ceiling, const NetworkRule& run);

// Does `outer` permit everything that `inner` does?
bool access_covers(Access outer, Access inner);
bool same_ports(const std::vector<PortRange>& a, const std::vector<PortRange>& b);
bool same_rule(const NetworkRule& a, const NetworkRule& b);

}  // namespace stockade::policy
