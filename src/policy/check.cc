#include "policy/check.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/cover.h"
#include "policy/decision.h"
#include "policy/floor.h"
#include "policy/glob.h"
#include "policy/service_category.h"

namespace stockade::policy {

namespace {

// Below this a prefix is a range of strangers, not somebody's network.
constexpr int kBroadV4 = 24;
constexpr int kBroadV6 = 64;

constexpr std::string_view kSocketVariables[] = {
    "SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY",        "WAYLAND_DISPLAY",
    "DOCKER_HOST",   "XDG_RUNTIME_DIR",          "GPG_AGENT_INFO", "TMUX"};
constexpr std::string_view kRebuilt[] = {"HOME",          "PATH",           "TMPDIR",        "USER",
                                         "LOGNAME",       "SHELL",          "PWD",           "XDG_CONFIG_HOME",
                                         "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"};

bool ports_overlap(const std::vector<PortRange>& a, const std::vector<PortRange>& b) {
  for (const PortRange& x : a)
    for (const PortRange& y : b)
      if (x.first <= y.last && y.first <= x.last) return true;
  return false;
}

bool is_limited_to_requests(const NetworkRule& rule) { return !rule.methods.empty() || !rule.paths.empty(); }

class Checker {
 public:
  Checker(const Policy& policy, const Surroundings& surroundings) : policy_(policy), surroundings_(surroundings) {}

  Checks run() {
    for (const NetworkRule& rule : policy_.network.allow) allow_rule(rule);
    for (const NetworkRule& rule : policy_.network.deny) deny_rule(rule);
    protocols_agree();
    blind_rules();
    for (const FileRule& rule : policy_.files) file_rule(rule);
    write_only_stays_write_only();
    environment();
    return std::move(out_);
  }

 private:
  void error(const Location& where, std::string message, std::string hint = {}) {
    out_.errors.push_back({where, std::move(message), std::move(hint)});
  }
  void warning(const Location& where, std::string message, std::string hint = {}) {
    out_.warnings.push_back({where, std::move(message), std::move(hint)});
  }

  void allow_rule(const NetworkRule& rule) {
    if (rule.address) {
      const int broad = rule.address->address.is_v4() ? kBroadV4 : kBroadV6;
      if (rule.address->prefix == 0)
        warning(rule.where, fmt::format("{} is the whole internet by address, without a name that a log could show",
                                        rule.subject()));
      else if (rule.address->prefix < broad)
        warning(rule.where, fmt::format("{} is a wide range of addresses", rule.subject()),
                "name hosts where there are names");
    } else if (const auto shared = multi_tenant_suffix(rule.host)) {
      if (rule.paths.empty())
        error(rule.where,
              fmt::format("{} covers hosts that anybody can rent: data sent there reaches whoever asks for a name",
                          rule.host),
              fmt::format("name the one host under {}, or limit `paths`", *shared));
    } else if (rule.host.starts_with("*.")) {
      warning(rule.where, fmt::format("{} covers every host of that domain", rule.host),
              "name the hosts where they are known");
    }
    if (const auto service = rule.address ? std::nullopt : service_within(rule.host))
      warning(
          rule.where,
          fmt::format("{} is {}",
                      rule.host == service->host ? rule.host : fmt::format("{}, within {},", service->host, rule.host),
                      service_category_meaning(service->category)),
          "data leaves there without an account that could be asked about it");
    for (const Cidr& range : rule.addresses)
      if (range.prefix < (range.address.is_v4() ? 8 : 7))
        error(rule.where, fmt::format("`addresses: {}` is not the name of a forbidden range", range.to_string()),
              "name the network that the host is in, such as 10.0.0.0/8");
    graphql_limits(rule);
    programs_exist(rule);
    for (const NetworkRule& deny : policy_.network.deny) {
      if (is_limited_to_requests(deny) || !deny_covers(deny, rule)) continue;
      const std::string text = fmt::format("{} never matches: network.deny names {} ({})", rule.subject(),
                                           deny.subject(), deny.where.to_string());
      deny.where.file == rule.where.file ? error(rule.where, text, "deny beats allow, whatever the order: remove one")
                                         : warning(rule.where, text);
    }
  }

  // A request passes where one rule admits it: beside one that reads no GraphQL the limit means nothing.
  void graphql_limits(const NetworkRule& rule) {
    if (!rule.graphql) return;
    for (const NetworkRule& other : policy_.network.allow)
      if (!other.graphql && rule_covers(other, rule))
        warning(
            rule.where,
            fmt::format("`graphql` limits nothing: {} allows the same requests without it", other.where.to_string()),
            "limit `methods` or `paths` of that rule");
  }

  void programs_exist(const NetworkRule& rule) {
    if (rule.programs.empty()) return;
    if (!policy_.programs.allow) return;
    const auto& allowed = *policy_.programs.allow;
    const bool any = std::any_of(rule.programs.begin(), rule.programs.end(), [&](const std::string& program) {
      const std::string name = program.substr(program.rfind('/') + 1);
      return std::any_of(allowed.begin(), allowed.end(), [&](const std::string& entry) {
        return entry == program || entry.substr(entry.rfind('/') + 1) == name;
      });
    });
    if (!any)
      error(rule.where,
            fmt::format("the rule for {} never matches: tools.programs.allow has none of its programs", rule.subject()),
            "add the program there, or remove it here");
  }

  // Methods and paths of a deny rule have to be visible to the one who judges.
  void deny_rule(const NetworkRule& deny) {
    if (!is_limited_to_requests(deny) || deny.address) return;
    for (const NetworkRule& rule : policy_.network.allow) {
      if (rule.address || rule.protocol == Protocol::http || is_intercepted(rule)) continue;
      const bool meets = (host_covers(rule.host, deny.host) || host_covers(deny.host, rule.host)) &&
                         (deny.ports.empty() || ports_overlap(deny.ports, rule.ports));
      if (!meets) continue;
      error(deny.where,
            fmt::format("methods and paths of {} can't be judged: {} lets the connection through unread",
                        deny.subject(), rule.where.to_string()),
            "deny the host as a whole, or leave `tls: passthrough` out there");
      return;
    }
  }

  // tcp is not classified, and what passes through is not read: beside them a stricter rule for the same place would
  // mean nothing.
  void protocols_agree() {
    const auto& rules = policy_.network.allow;
    for (size_t i = 0; i < rules.size(); ++i) {
      for (size_t j = i + 1; j < rules.size(); ++j) {
        const NetworkRule& a = rules[i];
        const NetworkRule& b = rules[j];
        if (a.address || b.address || a.host != b.host || !ports_overlap(a.ports, b.ports)) continue;
        const bool tcp = (a.protocol == Protocol::tcp) != (b.protocol == Protocol::tcp);
        const bool unread = !tcp && (a.tls == TlsMode::passthrough) != (b.tls == TlsMode::passthrough);
        if (!tcp && !unread && a.speaks == b.speaks) continue;
        if (!tcp && !unread)
          error(b.where, fmt::format("{} is allowed for two protocols on the same port", b.subject()),
                fmt::format("the other rule is {}: keep one", a.where.to_string()));
        else
          error(b.where,
                fmt::format("{} is allowed {} and otherwise for the same port", b.subject(),
                            tcp ? "as `protocol: tcp`" : "with `tls: passthrough`"),
                fmt::format("the other rule is {}: keep one", a.where.to_string()));
      }
    }
  }

  // What inspection can't see. Of presets nobody here decided; they say it themselves.
  void blind_rules() {
    if (secrets_level(policy_.network) == InspectionLevel::off) return;
    std::vector<std::string> unread;
    Location first;
    for (const NetworkRule& rule : policy_.network.allow) {
      if (rule.where.file.starts_with("preset:")) continue;
      const bool ssh = rule.speaks == "ssh" || (rule.speaks.empty() && ports_overlap(rule.ports, {{22, 22}}));
      if (rule.tls == TlsMode::passthrough && rule.protocol != Protocol::http) {
        if (unread.empty()) first = rule.where;
        unread.push_back(rule.subject());
      } else if (rule.protocol == Protocol::tcp && ssh) {
        warning(rule.where, fmt::format("{}: SSH is encrypted by itself, and nothing in it is searched for secrets",
                                        rule.subject()));
      }
    }
    if (!unread.empty())
      warning(first, fmt::format("what passes through is not searched for secrets: {}", join_words(unread)),
              "leave out `tls: passthrough` where the client accepts the run's own authority (`tls: inspect`)");
  }

  void file_rule(const FileRule& rule) {
    if (rule.access == Access::hide) {
      const bool seen = has_wildcard(rule.host) ||
                        std::any_of(policy_.files.begin(), policy_.files.end(), [&](const FileRule& mount) {
                          return mount.access != Access::hide &&
                                 (is_within(rule.host, mount.host) || is_within(mount.host, rule.host));
                        });
      if (!seen && !rule.where.file.empty() && rule.where.file[0] != '/')
        warning(rule.where, fmt::format("{} hides nothing: no entry mounts it", rule.host));
      return;
    }
    const auto broad = broad_place(rule.host, surroundings_);
    const auto secret = broad ? std::nullopt : secret_place(rule.host, surroundings_);
    const char* what = rule.access == Access::read ? "the agent could read" : "the agent could change";
    if ((broad || secret) && rule.reason.empty())
      error(rule.where, fmt::format("{} is {}: {} all of it", rule.host, broad ? *broad : *secret, what),
            rule.where.file == "preset:default"
                ? "run it in a project's directory, or name the files in a policy of yours: stockade policy init"
            : broad ? "mount the one directory that is needed, or add `reason:` to this entry"
                    : "if the agent needs it, add `reason:` to this entry");
    else if (broad || secret)
      warning(rule.where, fmt::format("{} is {} (\"{}\")", rule.host, broad ? *broad : *secret, rule.reason));
  }

  void write_only_stays_write_only() {
    for (const FileRule& a : policy_.files) {
      if (a.access != Access::write_only) continue;
      for (const FileRule& b : policy_.files) {
        if (&a == &b || b.access == Access::hide || b.access == Access::write_only || a.bridge || b.bridge) continue;
        if (!is_within(a.host, b.host) && !is_within(b.host, a.host)) continue;
        // Mounted inside the other at its own place, the write-only entry covers what it protects.
        if (is_within(a.host, b.host) && a.at == b.at + a.host.substr(b.host == "/" ? 0 : b.host.size())) continue;
        error(a.where, fmt::format("{} is write-only, and {} shows the same files", a.host, b.where.to_string()),
              "separate the two, or say `bridge: true`");
      }
    }
  }

  void environment() {
    for (const PassedVariable& variable : policy_.sandbox.env.pass) {
      if (std::find(std::begin(kSocketVariables), std::end(kSocketVariables), variable.name) !=
          std::end(kSocketVariables))
        warning(variable.where, fmt::format("{} names a socket that can't be reached inside", variable.name));
      if (std::find(std::begin(kRebuilt), std::end(kRebuilt), variable.name) != std::end(kRebuilt))
        warning(variable.where,
                fmt::format("{} is made anew for the sandbox; passing it replaces that", variable.name));
      if (looks_like_credential(variable.name))
        warning(
            variable.where,
            fmt::format(
                "{} is a credential inside the sandbox (\"{}\"): the agent can read it and send it to any allowed host",
                variable.name, variable.reason));
    }
  }

  const Policy& policy_;
  const Surroundings& surroundings_;
  Checks out_;
};

}  // namespace

Checks check(const Policy& policy, const Surroundings& surroundings) { return Checker(policy, surroundings).run(); }

void hide_our_directories(Policy& policy, const Surroundings& surroundings) {
  std::vector<std::string> reached;
  for (const std::string& dir :
       {surroundings.state_dir, surroundings.config_dir, surroundings.runtime_dir, std::string("/etc/stockade")}) {
    if (dir.empty()) continue;
    const bool mounted = std::any_of(policy.files.begin(), policy.files.end(), [&](const FileRule& rule) {
      return rule.access != Access::hide && is_within(dir, rule.host) && dir != rule.host;
    });
    if (mounted) reached.push_back(dir);
  }
  for (std::string& dir : reached) {
    FileRule rule;
    rule.host = std::move(dir);
    rule.access = Access::hide;
    rule.reason = "Stockade's own directory";
    policy.files.push_back(std::move(rule));
  }
}

}  // namespace stockade::policy
