#include "policy/diff.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/cover.h"
#include "policy/decision.h"
#include "policy/glob.h"
#include "policy/units.h"

namespace stockade::policy {

namespace {

std::string rule_text(const NetworkRule& rule) {
  std::string text = rule.subject();
  std::vector<std::string> ports;
  for (const PortRange& range : rule.ports)
    ports.push_back(range.first == range.last ? fmt::format("{}", range.first)
                                              : fmt::format("{}-{}", range.first, range.last));
  if (!ports.empty()) text += fmt::format(" port {}", join_words(ports));
  if (!rule.methods.empty()) text += fmt::format(", {}", join_words(rule.methods));
  if (!rule.paths.empty()) text += fmt::format(", paths {}", join_words(rule.paths));
  if (rule.graphql) text += fmt::format(", {}", to_string(*rule.graphql));
  if (!rule.programs.empty()) text += fmt::format(", from {}", join_words(rule.programs));
  constexpr const char* kProtocols[] = {"", ", TLS", ", plain HTTP", ", any protocol"};
  text += rule.speaks.empty() ? std::string(kProtocols[static_cast<int>(rule.protocol)]) : ", " + rule.speaks;
  if (rule.tls == TlsMode::passthrough) text += ", TLS passing through";
  return rule.ask ? text + ", when a person approves it" : text;
}

std::string_view access_text(Access access) {
  constexpr std::string_view kNames[] = {"read", "write", "write-only", "hidden"};
  return kNames[static_cast<int>(access)];
}

class Comparison {
 public:
  Comparison(const Policy& before, const Policy& after, const Surroundings& surroundings)
      : before_(before), after_(after), surroundings_(surroundings) {}

  std::vector<Change> run() {
    programs();
    sandbox();
    environment();
    network();
    files();
    limits();
    return std::move(changes_);
  }

 private:
  void wider(std::string text) { changes_.push_back({true, std::move(text)}); }
  void narrower(std::string text) { changes_.push_back({false, std::move(text)}); }
  void level(std::string_view what, InspectionLevel a, InspectionLevel b) {
    if (a == b) return;
    std::string text = fmt::format("{}: {} instead of {}", what, to_string(b), to_string(a));
    b < a ? wider(std::move(text)) : narrower(std::move(text));
  }

  void programs() {
    const auto& a = before_.programs.allow;
    const auto& b = after_.programs.allow;
    if (a && !b) wider("any visible program may be started, no longer a list of them");
    if (!a && b) narrower(fmt::format("only these programs may be started: {}", join_words(*b)));
    if (!a || !b) return;
    for (const std::string& name : *b)
      if (std::find(a->begin(), a->end(), name) == a->end()) wider(fmt::format("the program {} may be started", name));
    for (const std::string& name : *a)
      if (std::find(b->begin(), b->end(), name) == b->end())
        narrower(fmt::format("the program {} may no longer be started", name));
  }

  // Absent: `fallback`; without one, no limit.
  template <typename T, typename Format>
  void ceiling(const char* words, const std::optional<T>& a, const std::optional<T>& b, std::optional<T> fallback,
               Format format) {
    if (a == b) return;
    const auto text = [&](const std::optional<T>& value) {
      return value      ? std::string(format(*value))
             : fallback ? format(*fallback) + " (default)"
                        : std::string("no limit");
    };
    const std::optional<T> x = a ? a : fallback;
    const std::optional<T> y = b ? b : fallback;
    if (x == y) return;
    const bool more = x && (!y || *y > *x);
    changes_.push_back({more, fmt::format("{}: {} instead of {}", words, text(b), text(a))});
  }

  void sandbox() {
    const Sandbox& a = before_.sandbox;
    const Sandbox& b = after_.sandbox;
    const auto number = [](uint64_t value) { return fmt::format("{}", value); };
    ceiling("memory", a.memory, b.memory, machine(surroundings_.memory / 2), format_size);
    ceiling("CPUs", a.cpus, b.cpus, machine(static_cast<double>(surroundings_.cpus)), format_cpus);
    ceiling("processes", a.pids, b.pids, std::optional<uint64_t>(4096), number);
    ceiling("disk", a.disk, b.disk, std::optional<uint64_t>(uint64_t{10} << 30), format_size);
    ceiling("inodes", a.inodes, b.inodes, {}, number);
    ceiling("open files", a.open_files, b.open_files, {}, number);
    ceiling("size of one file", a.file_size, b.file_size, {}, format_size);
    if (a.strictness != b.strictness)
      changes_.push_back(
          {b.strictness == Strictness::polled,
           fmt::format("strictness: {}", b.strictness == Strictness::hard ? "hard" : "polled, no longer hard")});
    if (a.proc != b.proc)
      changes_.push_back(
          {b.proc == ProcView::normal,
           fmt::format("/proc: {}",
                       b.proc == ProcView::minimal ? "processes only" : "the whole, no longer processes only")});
    if (a.uid != b.uid || a.gid != b.gid) wider("the user inside is another one");
  }

  template <typename T>
  static std::optional<T> machine(T value) {
    return value == T{} ? std::nullopt : std::optional<T>(value);
  }

  void environment() {
    const Environment& a = before_.sandbox.env;
    const Environment& b = after_.sandbox.env;
    const auto has = [](const auto& list, const std::string& name) {
      return std::any_of(list.begin(), list.end(), [&](const auto& variable) { return variable.name == name; });
    };
    for (const PassedVariable& variable : b.pass)
      if (!has(a.pass, variable.name)) wider(fmt::format("your variable {} is passed", variable.name));
    for (const PassedVariable& variable : a.pass)
      if (!has(b.pass, variable.name)) narrower(fmt::format("your variable {} is no longer passed", variable.name));
    for (const SetVariable& variable : b.set) {
      const auto same = std::find_if(a.set.begin(), a.set.end(),
                                     [&](const SetVariable& other) { return other.name == variable.name; });
      if (same == a.set.end() || same->value != variable.value)
        wider(fmt::format("{} is set to {}", variable.name, quoted(variable.value)));
    }
    for (const SetVariable& variable : a.set)
      if (!has(b.set, variable.name)) narrower(fmt::format("{} is no longer set", variable.name));
    if (a.proxy != b.proxy)
      changes_.push_back({b.proxy, b.proxy ? "proxy listeners are on" : "proxy listeners are off"});
    if (before_.run.command != after_.run.command && !after_.run.command.empty()) {
      std::string words;
      for (const std::string& word : after_.run.command) words += (words.empty() ? "" : " ") + word;
      wider(fmt::format("the command is another one: {}", quoted(words, 200)));
    }
  }

  void network() {
    const Network& a = before_.network;
    const Network& b = after_.network;
    const auto covered = [](const std::vector<NetworkRule>& rules, const NetworkRule& rule) {
      return std::any_of(rules.begin(), rules.end(),
                         [&](const NetworkRule& other) { return rule_covers(other, rule); });
    };
    const auto denied = [](const std::vector<NetworkRule>& rules, const NetworkRule& rule) {
      return std::any_of(rules.begin(), rules.end(),
                         [&](const NetworkRule& other) { return deny_covers(other, rule); });
    };
    for (const NetworkRule& rule : b.allow)
      if (!covered(a.allow, rule))
        wider(fmt::format("{} can be reached{}", rule_text(rule), rule.tls == TlsMode::passthrough ? ", unread" : ""));
    for (const NetworkRule& rule : a.allow)
      if (!covered(b.allow, rule)) narrower(fmt::format("{} can no longer be reached", rule_text(rule)));
    for (const NetworkRule& rule : a.deny)
      if (!denied(b.deny, rule)) wider(fmt::format("{} is no longer denied", rule_text(rule)));
    for (const NetworkRule& rule : b.deny)
      if (!denied(a.deny, rule)) narrower(fmt::format("{} is denied", rule_text(rule)));
    level("secrets on their way out", secrets_level(a), secrets_level(b));
    level("orders to the model in responses", injection_level(a), injection_level(b));
    level("URLs that a server will fetch", fetched_urls_level(a), fetched_urls_level(b));
    level("what looks like exfiltration", exfiltration_level(a), exfiltration_level(b));
    for (const std::string& file : b.trust)
      if (std::ranges::find(a.trust, file) == a.trust.end())
        wider(fmt::format("servers may prove themselves by the authorities in {}", file));
    for (const std::string& file : a.trust)
      if (std::ranges::find(b.trust, file) == b.trust.end())
        narrower(fmt::format("servers may no longer prove themselves by the authorities in {}", file));
    if (a.resolver != b.resolver)
      wider(fmt::format("names are resolved by {}",
                        b.resolver ? b.resolver->to_string() : std::string("the host's resolver")));
  }

  static const FileRule* mount_at_host(const Policy& policy, const FileRule& wanted) {
    const FileRule* best = nullptr;
    for (const FileRule& rule : policy.files)
      if (rule.access != Access::hide && is_within(wanted.host, rule.host) &&
          (best == nullptr || rule.host.size() > best->host.size()))
        best = &rule;
    return best;
  }

  // What `from` grants that `to` does not, said with `say`.
  template <typename Say>
  void mounts_beyond(const Policy& to, const Policy& from, Say say) {
    for (const FileRule& rule : from.files) {
      if (rule.access == Access::hide) continue;
      const FileRule* other = mount_at_host(to, rule);
      if (other == nullptr)
        say(rule, nullptr);
      else if (!access_covers(other->access, rule.access) || (rule.exec && !other->exec) ||
               std::any_of(rule.sockets.begin(), rule.sockets.end(), [&](const std::string& socket) {
                 return std::find(other->sockets.begin(), other->sockets.end(), socket) == other->sockets.end();
               }))
        say(rule, other);
    }
  }

  void files() {
    mounts_beyond(before_, after_, [&](const FileRule& rule, const FileRule* old) {
      wider(old == nullptr ? fmt::format("{} is mounted ({})", rule.host, access_text(rule.access))
                           : fmt::format("{} is mounted ({}{}{}) instead of {}", rule.host, access_text(rule.access),
                                         rule.exec ? ", exec" : "", rule.sockets.empty() ? "" : ", sockets",
                                         access_text(old->access)));
    });
    mounts_beyond(after_, before_, [&](const FileRule& rule, const FileRule* now) {
      narrower(now == nullptr
                   ? fmt::format("{} is no longer mounted", rule.host)
                   : fmt::format("{} is no longer mounted with access {}", rule.host, access_text(rule.access)));
    });
    for (const FileRule& rule : after_.files)
      for (const FileRule& old : before_.files)
        if (rule.access != Access::hide && old.access != Access::hide && rule.host == old.host && rule.at != old.at)
          wider(fmt::format("{} stands at {} instead of {}", rule.host, rule.at, old.at));
    // A narrower entry inside a mount that is gone opens what it protected.
    for (const FileRule& rule : before_.files) {
      if (rule.access == Access::hide) continue;
      const FileRule* now = mount_at_host(after_, rule);
      const FileRule* in_after = now != nullptr && now->host != rule.host ? now : nullptr;
      if (in_after != nullptr && !access_covers(rule.access, in_after->access) &&
          mount_at_host(before_, *in_after) != nullptr)
        wider(
            fmt::format("{} falls to the entry for {} ({})", rule.host, in_after->host, access_text(in_after->access)));
    }
    const auto hides = [](const Policy& policy, const FileRule& rule) {
      return std::any_of(policy.files.begin(), policy.files.end(), [&](const FileRule& other) {
        return other.access == Access::hide && glob_covers(other.host, rule.host);
      });
    };
    for (const FileRule& rule : before_.files)
      if (rule.access == Access::hide && !hides(after_, rule)) wider(fmt::format("{} is no longer hidden", rule.host));
    for (const FileRule& rule : after_.files)
      if (rule.access == Access::hide && !hides(before_, rule)) narrower(fmt::format("{} is hidden", rule.host));
  }

  void limits() {
    const Limits& a = before_.limits;
    const Limits& b = after_.limits;
    const auto number = [](uint64_t value) { return fmt::format("{}", value); };
    ceiling("time", a.time, b.time, {}, format_duration);
    ceiling("requests", a.requests, b.requests, {}, number);
    ceiling("connections", a.connections, b.connections, {}, number);
    ceiling("names", a.names, b.names, {}, number);
    ceiling("bytes sent", a.bytes_out, b.bytes_out, {}, format_size);
    ceiling("refusals", a.denials, b.denials, {}, number);
    ceiling("time for an approval", a.approval, b.approval, std::optional(kDefaultApprovalTime), format_duration);
  }

  const Policy& before_;
  const Policy& after_;
  const Surroundings& surroundings_;
  std::vector<Change> changes_;
};

}  // namespace

std::vector<Change> compare(const Policy& before, const Policy& after, const Surroundings& surroundings) {
  return Comparison(before, after, surroundings).run();
}

bool widens(const std::vector<Change>& changes) {
  return std::any_of(changes.begin(), changes.end(), [](const Change& change) { return change.widens; });
}

}  // namespace stockade::policy
