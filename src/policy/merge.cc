#include "policy/merge.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "policy/cover.h"

namespace stockade::policy {

namespace {

template <typename T>
void append(std::vector<T>& lower, std::vector<T>&& upper) {
  lower.insert(lower.end(), std::make_move_iterator(upper.begin()), std::make_move_iterator(upper.end()));
}

template <typename T>
void override_with(std::optional<T>& lower, const std::optional<T>& upper) {
  if (upper) lower = upper;
}

// A preset opens TLS to a host, the person's policy passes it through, or the other way round: the upper layer's word.
bool says_another_tls(const NetworkRule& lower, const NetworkRule& upper) {
  return lower.host == upper.host && lower.address == upper.address && same_ports(lower.ports, upper.ports) &&
         lower.tls != upper.tls && lower.tls != TlsMode::unset && upper.tls != TlsMode::unset;
}

void merge_rules(std::vector<NetworkRule>& lower, std::vector<NetworkRule>&& upper) {
  for (const NetworkRule& rule : upper)
    std::erase_if(lower, [&](const NetworkRule& other) { return says_another_tls(other, rule); });
  for (NetworkRule& rule : upper) {
    std::erase_if(lower, [&](const NetworkRule& other) { return same_rule(other, rule); });
    lower.push_back(std::move(rule));
  }
}

template <typename T, typename Same>
void replace_or_add(std::vector<T>& lower, std::vector<T>&& upper, Same same) {
  for (T& value : upper) {
    const auto at = std::find_if(lower.begin(), lower.end(), [&](const T& other) { return same(other, value); });
    if (at != lower.end())
      *at = std::move(value);
    else
      lower.push_back(std::move(value));
  }
}

void merge_environment(Environment& lower, Environment&& upper, const Presence& present) {
  const auto same_name = [](const auto& a, const auto& b) { return a.name == b.name; };
  // What is set above is no longer passed from below, and the other way round.
  for (const SetVariable& variable : upper.set)
    std::erase_if(lower.pass, [&](const PassedVariable& passed) { return passed.name == variable.name; });
  for (const PassedVariable& variable : upper.pass)
    std::erase_if(lower.set, [&](const SetVariable& set) { return set.name == variable.name; });
  replace_or_add(lower.pass, std::move(upper.pass), same_name);
  replace_or_add(lower.set, std::move(upper.set), same_name);
  if (present.env_proxy) lower.proxy = upper.proxy;
}

void merge_sandbox(Sandbox& lower, Sandbox&& upper, const Presence& present) {
  override_with(lower.memory, upper.memory);
  override_with(lower.cpus, upper.cpus);
  override_with(lower.pids, upper.pids);
  override_with(lower.disk, upper.disk);
  override_with(lower.inodes, upper.inodes);
  override_with(lower.open_files, upper.open_files);
  override_with(lower.file_size, upper.file_size);
  override_with(lower.uid, upper.uid);
  override_with(lower.gid, upper.gid);
  // These two only ever tighten: a preset that asks for `hard` means it.
  lower.strictness = std::max(lower.strictness, upper.strictness);
  lower.proc = std::max(lower.proc, upper.proc);
  merge_environment(lower.env, std::move(upper.env), present);
  if (upper.where.line != 0) lower.where = std::move(upper.where);
}

void merge_limits(Limits& lower, Limits&& upper) {
  override_with(lower.time, upper.time);
  override_with(lower.requests, upper.requests);
  override_with(lower.connections, upper.connections);
  override_with(lower.names, upper.names);
  override_with(lower.bytes_out, upper.bytes_out);
  override_with(lower.denials, upper.denials);
  override_with(lower.approval, upper.approval);
  if (upper.where.line != 0) lower.where = std::move(upper.where);
}

void merge_programs(Programs& lower, Programs&& upper) {
  if (!upper.allow) return;
  if (!lower.allow) {
    lower = std::move(upper);
    return;
  }
  for (std::string& name : *upper.allow)
    if (std::find(lower.allow->begin(), lower.allow->end(), name) == lower.allow->end())
      lower.allow->push_back(std::move(name));
  lower.where = std::move(upper.where);
}

void merge_presence(Presence& lower, const Presence& upper) {
  for (bool Presence::* field :
       {&Presence::run, &Presence::programs, &Presence::runtime_user, &Presence::env_pass, &Presence::env_set,
        &Presence::env_proxy, &Presence::network_allow, &Presence::resolver, &Presence::trust, &Presence::files})
    lower.*field |= upper.*field;
}

}  // namespace

void merge(LoadOutcome& lower, LoadOutcome&& upper) {
  Policy& below = lower.policy;
  Policy& above = upper.policy;
  if (!above.name.empty()) below.name = std::move(above.name);
  append(below.sources, std::move(above.sources));
  if (!above.run.command.empty()) below.run.command = std::move(above.run.command);
  override_with(below.run.workdir, above.run.workdir);
  merge_programs(below.programs, std::move(above.programs));
  merge_sandbox(below.sandbox, std::move(above.sandbox), upper.present);
  if (above.network.present) {
    below.network.present = true;
    below.network.where = std::move(above.network.where);
    merge_rules(below.network.allow, std::move(above.network.allow));
    merge_rules(below.network.deny, std::move(above.network.deny));
    override_with(below.network.resolver, above.network.resolver);
    override_with(below.network.inspect.secrets, above.network.inspect.secrets);
    override_with(below.network.inspect.injection, above.network.inspect.injection);
    override_with(below.network.inspect.fetched_urls, above.network.inspect.fetched_urls);
    override_with(below.network.inspect.exfiltration, above.network.inspect.exfiltration);
    append(below.network.trust, std::move(above.network.trust));
  }
  if (above.files_where.line != 0) below.files_where = std::move(above.files_where);
  replace_or_add(below.files, std::move(above.files), [](const FileRule& a, const FileRule& b) {
    if ((a.access == Access::hide) != (b.access == Access::hide)) return false;
    return a.access == Access::hide ? a.host == b.host : a.at == b.at;
  });
  merge_limits(below.limits, std::move(above.limits));
  append(below.tests, std::move(above.tests));
  merge_presence(lower.present, upper.present);
  append(lower.errors, std::move(upper.errors));
  append(lower.warnings, std::move(upper.warnings));
}

}  // namespace stockade::policy
