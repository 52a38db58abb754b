#include "policy/ceiling.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/cover.h"
#include "policy/decision.h"
#include "policy/glob.h"
#include "policy/units.h"

namespace stockade::policy {

namespace {

constexpr uint64_t kDefaultPids = 4096;
constexpr uint64_t kDefaultDisk = uint64_t{10} << 30;

class Narrowing {
 public:
  Narrowing(Policy& policy, const LoadOutcome& ceiling, const Surroundings& surroundings, Diagnostics& notes)
      : policy_(policy), ceiling_(ceiling), limit_(ceiling.policy), surroundings_(surroundings), notes_(notes) {}

  void run() {
    programs();
    sandbox();
    environment();
    network();
    files();
    limits();
    policy_.tests.insert(policy_.tests.end(), limit_.tests.begin(), limit_.tests.end());
  }

 private:
  void note(const Location& where, std::string text, const Location& by) {
    notes_.push_back({where, std::move(text), fmt::format("a ceiling limits it: {}", by.to_string())});
  }

  void programs() {
    if (!ceiling_.present.programs) return;
    if (!policy_.programs.allow) {
      policy_.programs = limit_.programs;
      return;
    }
    std::erase_if(*policy_.programs.allow, [&](const std::string& name) {
      const auto& allowed = *limit_.programs.allow;
      if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) return false;
      note(policy_.programs.where, fmt::format("the program {} is not allowed", name), limit_.programs.where);
      return true;
    });
  }

  template <typename T, typename Format>
  void at_most(std::optional<T>& value, const std::optional<T>& most, std::optional<T> fallback, const char* key,
               Format format, const Location& where, const Location& by) {
    if (!most) return;
    const std::optional<T> current = value ? value : fallback;
    if (current && *current <= *most) return;
    if (value) note(where, fmt::format("`{}` is {} instead of {}", key, format(*most), format(*value)), by);
    value = most;
  }

  void sandbox() {
    Sandbox& own = policy_.sandbox;
    const Sandbox& most = limit_.sandbox;
    const auto number = [](uint64_t value) { return fmt::format("{}", value); };
    const auto unknown = [](auto value) { return value == 0 ? std::nullopt : std::optional(value); };
    at_most(own.memory, most.memory, unknown(surroundings_.memory / 2), "sandbox.memory", format_size, own.where,
            most.where);
    at_most(own.cpus, most.cpus, unknown(static_cast<double>(surroundings_.cpus)), "sandbox.cpus", format_cpus,
            own.where, most.where);
    at_most(own.pids, most.pids, std::optional(kDefaultPids), "sandbox.pids", number, own.where, most.where);
    at_most(own.disk, most.disk, std::optional(kDefaultDisk), "sandbox.disk", format_size, own.where, most.where);
    at_most(own.inodes, most.inodes, std::optional(own.disk.value_or(kDefaultDisk) / (16 << 10)), "sandbox.inodes",
            number, own.where, most.where);
    at_most(own.open_files, most.open_files, {}, "sandbox.open_files", number, own.where, most.where);
    at_most(own.file_size, most.file_size, {}, "sandbox.file_size", format_size, own.where, most.where);
    if (most.strictness == Strictness::hard) own.strictness = Strictness::hard;
    if (most.proc == ProcView::minimal) own.proc = ProcView::minimal;
  }

  void environment() {
    Environment& own = policy_.sandbox.env;
    const Environment& most = limit_.sandbox.env;
    if (ceiling_.present.env_pass) {
      std::erase_if(own.pass, [&](const PassedVariable& variable) {
        for (const PassedVariable& allowed : most.pass)
          if (allowed.name == variable.name) return false;
        note(variable.where, fmt::format("the variable {} is not passed", variable.name), limit_.sandbox.where);
        return true;
      });
    }
    if (ceiling_.present.env_proxy && !most.proxy && own.proxy) {
      note(policy_.sandbox.where, "`sandbox.env.proxy` is off", limit_.sandbox.where);
      own.proxy = false;
    }
  }

  void network() {
    Network& own = policy_.network;
    const Network& most = limit_.network;
    own.deny.insert(own.deny.end(), most.deny.begin(), most.deny.end());
    if (most.inspect.secrets && secrets_level(own) < *most.inspect.secrets) {
      note(own.inspect.where, fmt::format("secrets on their way out: {}", to_string(*most.inspect.secrets)),
           most.inspect.where);
      own.inspect.secrets = most.inspect.secrets;
    }
    if (most.inspect.injection && injection_level(own) < *most.inspect.injection) {
      note(own.inspect.where, fmt::format("orders to the model in responses: {}", to_string(*most.inspect.injection)),
           most.inspect.where);
      own.inspect.injection = most.inspect.injection;
    }
    if (most.inspect.fetched_urls && fetched_urls_level(own) < *most.inspect.fetched_urls) {
      note(own.inspect.where, fmt::format("URLs that a server will fetch: {}", to_string(*most.inspect.fetched_urls)),
           most.inspect.where);
      own.inspect.fetched_urls = most.inspect.fetched_urls;
    }
    if (most.inspect.exfiltration && exfiltration_level(own) < *most.inspect.exfiltration) {
      note(own.inspect.where, fmt::format("what looks like exfiltration: {}", to_string(*most.inspect.exfiltration)),
           most.inspect.where);
      own.inspect.exfiltration = most.inspect.exfiltration;
    }
    if (!ceiling_.present.network_allow) return;
    std::vector<NetworkRule> kept;
    for (const NetworkRule& rule : own.allow) {
      const size_t before = kept.size();
      bool whole = false;
      for (const NetworkRule& allowed : most.allow) {
        auto common = intersect(allowed, rule);
        if (!common) continue;
        if (same_rule(*common, rule)) {
          kept.resize(before);
          whole = true;
        }
        kept.push_back(std::move(*common));
        if (whole) break;
      }
      if (whole) continue;
      note(rule.where,
           kept.size() == before ? fmt::format("{} is not allowed", rule.subject())
                                 : fmt::format("{} is allowed in part only", rule.subject()),
           most.where);
    }
    own.allow = std::move(kept);
  }

  void files() {
    for (const FileRule& rule : limit_.files)
      if (rule.access == Access::hide) policy_.files.push_back(rule);
    const auto mounts = [](const FileRule& rule) { return rule.access != Access::hide; };
    // A list that only hides says nothing about mounts; an empty one forbids them all.
    const bool limits_mounts = ceiling_.present.files &&
                               (limit_.files.empty() || std::any_of(limit_.files.begin(), limit_.files.end(), mounts));
    if (!limits_mounts) return;
    std::erase_if(policy_.files, [&](FileRule& rule) { return mounts(rule) && !keep_mount(rule); });
  }

  bool keep_mount(FileRule& rule) {
    const FileRule* allowed = nullptr;
    for (const FileRule& candidate : limit_.files)
      if (candidate.access != Access::hide && is_within(rule.host, candidate.host) &&
          (allowed == nullptr || candidate.host.size() > allowed->host.size()))
        allowed = &candidate;
    if (allowed == nullptr) {
      note(rule.where, fmt::format("{} is not mounted", rule.host), limit_.files_where);
      return false;
    }
    if (!access_covers(allowed->access, rule.access)) {
      // write → read or write-only is a narrowing; read ↔ write-only have nothing in common.
      if (rule.access != Access::write) {
        note(rule.where, fmt::format("{} is not mounted", rule.host), allowed->where);
        return false;
      }
      note(rule.where, fmt::format("{} is mounted with less than `access: write`", rule.host), allowed->where);
      rule.access = allowed->access;
      rule.sockets.clear();
    }
    // A mount that reaches over a narrower entry of the ceiling is cut there.
    for (const FileRule& inner : limit_.files) {
      if (inner.access == Access::hide || inner.host == rule.host || !is_within(inner.host, rule.host)) continue;
      if (access_covers(inner.access, rule.access)) continue;
      note(rule.where, fmt::format("{} is not mounted: it reaches into {}", rule.host, inner.host), inner.where);
      return false;
    }
    rule.exec = rule.exec && allowed->exec;
    std::erase_if(rule.sockets, [&](const std::string& socket) {
      return std::find(allowed->sockets.begin(), allowed->sockets.end(), socket) == allowed->sockets.end();
    });
    return true;
  }

  void limits() {
    Limits& own = policy_.limits;
    const Limits& most = limit_.limits;
    const auto number = [](uint64_t value) { return fmt::format("{}", value); };
    at_most(own.time, most.time, {}, "limits.time", format_duration, own.where, most.where);
    at_most(own.requests, most.requests, {}, "limits.requests", number, own.where, most.where);
    at_most(own.connections, most.connections, {}, "limits.connections", number, own.where, most.where);
    at_most(own.names, most.names, {}, "limits.names", number, own.where, most.where);
    at_most(own.bytes_out, most.bytes_out, {}, "limits.bytes_out", format_size, own.where, most.where);
    at_most(own.denials, most.denials, {}, "limits.denials", number, own.where, most.where);
    at_most(own.approval, most.approval, std::optional(kDefaultApprovalTime), "limits.approval", format_duration,
            own.where, most.where);
  }

  Policy& policy_;
  const LoadOutcome& ceiling_;
  const Policy& limit_;
  const Surroundings& surroundings_;
  Diagnostics& notes_;
};

}  // namespace

void narrow(Policy& policy, const LoadOutcome& ceiling, const Surroundings& surroundings, Diagnostics& notes) {
  Narrowing(policy, ceiling, surroundings, notes).run();
}

Diagnostics meaningless_in_ceiling(const LoadOutcome& ceiling) {
  Diagnostics out;
  const std::string file = ceiling.policy.sources.empty() ? "" : ceiling.policy.sources.back();
  const auto say = [&](bool present, const char* key, const Location& where) {
    if (present)
      out.push_back({where.file.empty() ? Location{file, 0, 0} : where,
                     fmt::format("`{}` forbids nothing and has no meaning in a ceiling", key), "move it to a policy"});
  };
  const Policy& policy = ceiling.policy;
  say(ceiling.present.run, "run", {});
  say(ceiling.present.env_set, "sandbox.env.set", policy.sandbox.where);
  say(ceiling.present.runtime_user, "sandbox.user", policy.sandbox.where);
  say(ceiling.present.resolver, "network.resolver", policy.network.where);
  say(ceiling.present.trust, "network.trust", policy.network.where);
  say(ceiling.present.env_proxy && policy.sandbox.env.proxy, "sandbox.env.proxy: true", policy.sandbox.where);
  return out;
}

}  // namespace stockade::policy
