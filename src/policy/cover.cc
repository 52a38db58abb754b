#include "policy/cover.h"

#include <algorithm>

#include "policy/decision.h"
#include "policy/floor.h"
#include "policy/glob.h"

namespace stockade::policy {

namespace {

// 0.0.0.0/0 holds 10.0.0.0/8 and still does not open it: forbidden ranges have to be named (floor.h).
bool range_covers(const Cidr& outer, const Cidr& inner) {
  return cidr_covers(outer, inner) && (!names_forbidden(inner, inner.address) || names_forbidden(outer, inner.address));
}

// The part that both open; nothing when one of them would have to name it and does not.
std::optional<Cidr> common_range(const Cidr& a, const Cidr& b) {
  if (range_covers(a, b)) return b;
  if (range_covers(b, a)) return a;
  return std::nullopt;
}

bool subject_covers(const NetworkRule& outer, const NetworkRule& inner) {
  if (outer.address.has_value() != inner.address.has_value()) return false;
  return outer.address ? range_covers(*outer.address, *inner.address) : host_covers(outer.host, inner.host);
}

bool ports_cover(const std::vector<PortRange>& outer, const std::vector<PortRange>& inner) {
  return std::all_of(inner.begin(), inner.end(), [&](const PortRange& range) {
    return std::any_of(outer.begin(), outer.end(),
                       [&](const PortRange& whole) { return whole.first <= range.first && range.last <= whole.last; });
  });
}

std::vector<PortRange> common_ports(const std::vector<PortRange>& a, const std::vector<PortRange>& b) {
  std::vector<PortRange> out;
  for (const PortRange& x : a)
    for (const PortRange& y : b)
      if (std::max(x.first, y.first) <= std::min(x.last, y.last))
        out.push_back({std::max(x.first, y.first), std::min(x.last, y.last)});
  return out;
}

// Lists of names where an empty one means any.
bool names_cover(const std::vector<std::string>& outer, const std::vector<std::string>& inner) {
  if (outer.empty()) return true;
  return !inner.empty() && std::all_of(inner.begin(), inner.end(), [&](const std::string& name) {
    return std::find(outer.begin(), outer.end(), name) != outer.end();
  });
}

bool paths_cover(const std::vector<std::string>& outer, const std::vector<std::string>& inner) {
  if (outer.empty()) return true;
  return !inner.empty() && std::all_of(inner.begin(), inner.end(), [&](const std::string& path) {
    return std::any_of(outer.begin(), outer.end(), [&](const std::string& whole) { return glob_covers(whole, path); });
  });
}

// False: nothing in common.
bool common_names(const std::vector<std::string>& ceiling, std::vector<std::string>& run) {
  if (ceiling.empty()) return true;
  if (run.empty()) {
    run = ceiling;
    return true;
  }
  std::erase_if(
      run, [&](const std::string& name) { return std::find(ceiling.begin(), ceiling.end(), name) == ceiling.end(); });
  return !run.empty();
}

bool common_paths(const std::vector<std::string>& ceiling, std::vector<std::string>& run) {
  if (ceiling.empty()) return true;
  if (run.empty()) {
    run = ceiling;
    return true;
  }
  std::vector<std::string> out;
  for (const std::string& a : ceiling) {
    for (const std::string& b : run) {
      if (glob_covers(a, b))
        out.push_back(b);
      else if (glob_covers(b, a))
        out.push_back(a);
    }
  }
  run = std::move(out);
  return !run.empty();
}

// `automatic` admits TLS and HTTP; tcp admits anything, unless it names one protocol.
bool protocol_covers(const NetworkRule& outer, const NetworkRule& inner) {
  if (outer.protocol == Protocol::tcp) return outer.speaks.empty() || outer.speaks == inner.speaks;
  if (outer.protocol == inner.protocol) return true;
  return outer.protocol == Protocol::automatic && inner.protocol != Protocol::tcp;
}

bool graphql_covers(const std::optional<GraphqlLimit>& outer, const std::optional<GraphqlLimit>& inner) {
  if (!outer) return true;
  return inner && names_cover(outer->operations, inner->operations) && names_cover(outer->fields, inner->fields);
}

// False: nothing in common.
bool common_graphql(const std::optional<GraphqlLimit>& ceiling, std::optional<GraphqlLimit>& run) {
  if (!ceiling || !run) {
    if (ceiling) run = ceiling;
    return true;
  }
  return common_names(ceiling->operations, run->operations) && common_names(ceiling->fields, run->fields);
}

}  // namespace

bool host_covers(std::string_view outer, std::string_view inner) {
  if (outer == inner) return true;
  if (!outer.starts_with("*.")) return false;
  if (inner.starts_with("*.")) return inner.substr(1).ends_with(outer.substr(1));
  return host_matches(outer, inner);
}

bool cidr_covers(const Cidr& outer, const Cidr& inner) {
  return inner.prefix >= outer.prefix && outer.contains(inner.address);
}

bool rule_covers(const NetworkRule& outer, const NetworkRule& inner) {
  const bool addresses = std::all_of(inner.addresses.begin(), inner.addresses.end(), [&](const Cidr& range) {
    return std::any_of(outer.addresses.begin(), outer.addresses.end(),
                       [&](const Cidr& whole) { return range_covers(whole, range); });
  });
  return subject_covers(outer, inner) && addresses && ports_cover(outer.ports, inner.ports) &&
         names_cover(outer.methods, inner.methods) && paths_cover(outer.paths, inner.paths) &&
         graphql_covers(outer.graphql, inner.graphql) &&
         names_cover(outer.programs, inner.programs) && protocol_covers(outer, inner) &&
         (outer.tls == TlsMode::passthrough || inner.tls != TlsMode::passthrough) && (!outer.ask || inner.ask);
}

bool deny_covers(const NetworkRule& outer, const NetworkRule& inner) {
  const bool ports = outer.ports.empty() || (!inner.ports.empty() && ports_cover(outer.ports, inner.ports));
  return subject_covers(outer, inner) && ports && names_cover(outer.methods, inner.methods) &&
         paths_cover(outer.paths, inner.paths);
}

std::optional<NetworkRule> intersect(const NetworkRule& ceiling, const NetworkRule& run) {
  NetworkRule out = run;
  if (ceiling.address.has_value() != run.address.has_value()) return std::nullopt;
  if (!subject_covers(ceiling, run)) {
    if (!subject_covers(run, ceiling)) return std::nullopt;
    out.host = ceiling.host;
    out.address = ceiling.address;
  }
  out.ports = common_ports(ceiling.ports, run.ports);
  if (out.ports.empty() || !common_names(ceiling.methods, out.methods) || !common_paths(ceiling.paths, out.paths) ||
      !common_graphql(ceiling.graphql, out.graphql) || !common_names(ceiling.programs, out.programs))
    return std::nullopt;
  if (!protocol_covers(ceiling, run)) {
    if (!protocol_covers(run, ceiling)) return std::nullopt;
    out.protocol = ceiling.protocol;
    out.speaks = ceiling.speaks;
    out.tls = ceiling.protocol == Protocol::http ? TlsMode::unset : std::max(run.tls, ceiling.tls);
  }
  if (ceiling.tls == TlsMode::inspect && run.tls == TlsMode::passthrough) return std::nullopt;
  out.ask = run.ask || ceiling.ask;
  // Both have to open a forbidden range.
  out.addresses.clear();
  for (const Cidr& a : ceiling.addresses)
    for (const Cidr& b : run.addresses)
      if (const auto common = common_range(a, b)) out.addresses.push_back(*common);
  return out;
}

bool access_covers(Access outer, Access inner) {
  return outer == inner || outer == Access::write || inner == Access::hide;
}

bool same_ports(const std::vector<PortRange>& a, const std::vector<PortRange>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const PortRange& p, const PortRange& q) { return p.first == q.first && p.last == q.last; });
}

bool same_rule(const NetworkRule& a, const NetworkRule& b) {
  return a.host == b.host && a.address == b.address && same_ports(a.ports, b.ports) && a.methods == b.methods &&
         a.paths == b.paths && a.graphql == b.graphql && a.protocol == b.protocol && a.speaks == b.speaks && a.tls == b.tls &&
         a.programs == b.programs && a.addresses == b.addresses && a.ask == b.ask;
}

}  // namespace stockade::policy
