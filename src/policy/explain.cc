#include "policy/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/decision.h"
#include "policy/floor.h"
#include "policy/units.h"

namespace stockade::policy {

namespace {

std::string ports_text(const std::vector<PortRange>& ports) {
  if (ports.empty()) return "every port";
  std::vector<std::string> words;
  for (const PortRange& range : ports)
    words.push_back(range.first == range.last ? fmt::format("{}", range.first)
                                              : fmt::format("{} to {}", range.first, range.last));
  return fmt::format("port{} {}", words.size() == 1 && ports[0].first == ports[0].last ? "" : "s", join_words(words));
}

std::string place_text(const FileRule& rule) {
  return rule.at == rule.host ? rule.host : fmt::format("{} (outside: {})", rule.at, rule.host);
}

std::string command_text(const std::vector<std::string>& command) {
  std::string text;
  for (const std::string& word : command) {
    const bool plain =
        word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,@+") ==
        std::string::npos;
    text += (text.empty() ? "" : " ") + (plain && !word.empty() ? word : quoted(word, 200));
  }
  return text;
}

class Explanation {
 public:
  Explanation(const Layered& layered, std::span<const LimitStrength> strengths, const Surroundings& surroundings)
      : layered_(layered), policy_(layered.policy), strengths_(strengths), surroundings_(surroundings) {}

  std::vector<Chapter> write() {
    origin();
    tools();
    sandbox();
    network();
    files();
    limits();
    silent();
    diagnostics("What is broad", layered_.warnings);
    diagnostics("What a ceiling or missing trust took away", layered_.notes);
    chapter("What no wall stops");
    say("A wrong but plausible answer, and whatever an allowed host does with what it is sent.");
    return std::move(chapters_);
  }

 private:
  void chapter(std::string title) { chapters_.push_back({std::move(title), {}}); }
  template <typename... Args>
  void say(fmt::format_string<Args...> text, Args&&... args) {
    chapters_.back().lines.push_back(fmt::format(text, std::forward<Args>(args)...));
  }

  void origin() {
    chapter(policy_.name.empty() ? "The policy" : fmt::format("The policy {}", quoted(policy_.name)));
    std::vector<std::string> names;
    for (const Source& source : layered_.sources) names.push_back(source.name);
    if (!names.empty()) say("Made of {}.", join_words(names));
    if (!policy_.run.command.empty()) say("It starts: {}", command_text(policy_.run.command));
    say("{} of its own run before every start.",
        policy_.tests.size() == 1 ? "1 test" : fmt::format("{} tests", policy_.tests.size()));
  }

  void tools() {
    chapter("Wall 1, tools");
    if (!policy_.programs.allow)
      say("Any program that is visible may be started, also what the agent builds (default: no "
          "`tools.programs.allow`).");
    else if (policy_.programs.allow->empty())
      say("No program may be started: `tools.programs.allow` is empty.");
    else
      say("Only these programs are there: {}. This limits which files are executed, not what an allowed interpreter "
          "computes; writable places are noexec.",
          join_words(*policy_.programs.allow));
    say("The tools that the agent offers its model are not limited, and MCP servers run inside, under the same walls.");
  }

  std::string strength(std::string_view limit) const {
    for (const LimitStrength& entry : strengths_) {
      if (entry.limit != limit) continue;
      const char* word = entry.strength == Strength::hard     ? "hard"
                         : entry.strength == Strength::polled ? "polled"
                                                              : "refused: nothing can hold it here";
      return entry.by.empty() ? fmt::format(" [{}]", word) : fmt::format(" [{}: {}]", word, entry.by);
    }
    return "";
  }

  const char* where_disk_lies() const {
    const auto disk = std::ranges::find(strengths_, "disk", &LimitStrength::limit);
    if (disk == strengths_.end()) return "That is memory, where it counts as such, or a disk in the run's state.";
    return disk->strength == Strength::hard ? "That is memory, and counts as such."
                                            : "That is a disk, in the run's state.";
  }

  void limit(const char* key, const char* words, const std::string& value, const char* fallback) {
    if (!value.empty())
      say("{}: {}{}.", words, value, strength(key));
    else
      say("{}: {} (default){}.", words, fallback, strength(key));
  }

  void sandbox() {
    chapter("Wall 2, sandbox");
    const Sandbox& s = policy_.sandbox;
    say("The agent runs in namespaces of its own without any capability, behind seccomp and Landlock; the system is a "
        "read-only view.");
    const auto size = [](const std::optional<uint64_t>& value) { return value ? format_size(*value) : std::string(); };
    const auto number = [](const std::optional<uint64_t>& value) {
      return value ? fmt::format("{}", *value) : std::string();
    };
    limit("memory", "Memory", size(s.memory),
          surroundings_.memory == 0
              ? "half of the machine's"
              : (half_ = fmt::format("half of the machine's, {} MiB", surroundings_.memory / 2 >> 20)).c_str());
    limit("cpus", "CPUs", s.cpus ? format_cpus(*s.cpus) : "", "all");
    limit("pids", "Processes and threads", number(s.pids), "4096");
    limit("disk", "Disk for what it writes outside mounts and in write-only ones", size(s.disk), "10 GiB");
    say("{}", where_disk_lies());
    limit("inodes", "Files it may create there", number(s.inodes), "one for each 16 KiB of disk");
    limit("open_files", "Open files of one process", number(s.open_files), "the current hard limit");
    if (s.file_size) limit("file_size", "Size of one file", size(s.file_size), "");
    if (s.strictness == Strictness::hard)
      say("Strictness is hard: what the kernel can't hold by itself refuses the start.");
    if (s.proc == ProcView::minimal)
      say("/proc shows processes only; programs that ask for CPUs or memory there may fail.");
    environment(s.env);
  }

  void environment(const Environment& env) {
    if (env.pass.empty())
      say("No variable of yours is passed (default); HOME, PATH, TMPDIR, locale and time zone are made anew.");
    for (const PassedVariable& variable : env.pass)
      variable.reason.empty() ? say("Your variable {} is passed.", variable.name)
                              : say("Your variable {} is passed ({}).", variable.name, quoted(variable.reason, 200));
    for (const SetVariable& variable : env.set) say("{} is set to {}.", variable.name, quoted(variable.value));
    if (env.proxy) say("CONNECT and SOCKS5 listeners are there as a courtesy; they obey the same rules.");
  }

  void network() {
    chapter("Wall 3, network");
    const Network& network = policy_.network;
    if (network.allow.empty())
      say("Nothing outside can be reached{}.", network.present ? "" : " (default: no `network`)");
    else
      say("Only what follows can be reached; all else is refused with an event, and no DNS query leaves.");
    for (const NetworkRule& rule : network.allow) allow_rule(rule);
    for (const NetworkRule& rule : network.deny) deny_rule(rule);
    if (network.allow.empty()) return;
    say("Private, local and metadata addresses are refused, also behind an allowed name, unless a rule names them.");
    if (inspects_secrets(network))
      say("Requests and plain protocols that can be read are searched for secrets: {}{}.",
          secrets_text(secrets_level(network)), network.inspect.secrets ? "" : " (default)");
    if (inspects_injection(network))
      say("Responses that can be read are searched for orders to the model: {}{}.",
          injection_level(network) == InspectionLevel::deny
              ? "what is certain is refused, the rest is logged"
              : "what is found is logged, and passes",
          network.inspect.injection ? "" : " (default)");
    if (reads_content(network)) judged_requests(network);
    if (asks(network))
      say("What asks a person waits for `stockade approve`, at most {}, then it is refused. Who approves sees names, "
          "ports, methods and paths, no content; a plausible lie is approved as well.",
          format_duration(policy_.limits.approval.value_or(kDefaultApprovalTime)));
    for (const std::string& file : network.trust)
      say("Servers may also prove themselves by the authorities in {}.", file);
    if (network.resolver) say("Names are resolved by {}.", network.resolver->to_string());
    const bool unread = std::any_of(network.allow.begin(), network.allow.end(), [](const NetworkRule& rule) {
      return rule.protocol != Protocol::http && !is_intercepted(rule) && !reads_plain(rule);
    });
    if (intercepts(network))
      say("Where TLS is opened, the run's own certificate authority stands in for the server, whom we verify; programs "
          "that bring roots of their own, and read neither the system's nor the usual variables, refuse it.");
    if (unread)
      say("Where TLS passes through, only name, port and bytes are judged. Not seen there: methods, paths, another host "
          "named inside TLS, secrets in requests, the agent's own key for such a host, and whatever comes back.");
  }

  void judged_requests(const Network& network) {
    if (const InspectionLevel level = fetched_urls_level(network); level != InspectionLevel::off)
      say("URLs in requests that the server will fetch are destinations as well: what they name and no rule allows is "
          "{}{}.",
          level == InspectionLevel::deny ? "refused where that is certain or the address is forbidden, else logged"
                                         : "logged, and passes",
          network.inspect.fetched_urls ? "" : " (default)");
    if (const InspectionLevel level = exfiltration_level(network); level != InspectionLevel::off)
      say("What leaves is counted for each host; numbers that look like exfiltration are {}{}.",
          level == InspectionLevel::deny ? "a reason to refuse" : "logged",
          network.inspect.exfiltration ? "" : " (default)");
  }

  static const char* secrets_text(InspectionLevel level) {
    if (level == InspectionLevel::deny) return "what holds any is refused";
    return level == InspectionLevel::ask ? "what holds any waits until a person approves it"
                                         : "what is found is logged, and passes";
  }

  void allow_rule(const NetworkRule& rule) {
    constexpr const char* kProtocols[] = {"TLS that passes through, or plain HTTP", "TLS that passes through",
                                          "plain HTTP, whose Host, method and path are judged",
                                          "any protocol, which passes through unread"};
    constexpr const char* kOpened[] = {"TLS that is opened, or plain HTTP; Host, method and path are judged",
                                       "TLS that is opened; Host, method and path are judged"};
    const auto protocol = static_cast<size_t>(rule.protocol);
    std::string what = is_intercepted(rule) ? kOpened[protocol] : kProtocols[protocol];
    if (reads_plain(rule))
      what = fmt::format("{}, whose startup is judged, also inside TLS, which is opened",
                         rule.speaks.empty() ? "any protocol" : rule.speaks);
    std::string text = fmt::format("{}, {}: {}", rule.subject(), ports_text(rule.ports), what);
    if (!rule.methods.empty()) text += fmt::format("; only {}", join_words(rule.methods));
    if (!rule.paths.empty()) text += fmt::format("; only paths {}", join_words(rule.paths));
    if (rule.graphql) text += fmt::format("; only {}", to_string(*rule.graphql));
    if ((rule.protocol == Protocol::http || is_intercepted(rule)) && rule.methods.empty() && rule.paths.empty())
      text += "; any method and path (default)";
    if (!rule.programs.empty())
      text += fmt::format("; only from {} (a guard against accidents, not a boundary)", join_words(rule.programs));
    if (!rule.addresses.empty()) {
      std::vector<std::string> ranges;
      for (const Cidr& range : rule.addresses) ranges.push_back(range.to_string());
      text += fmt::format("; it may resolve into {}", join_words(ranges));
    }
    if (asks_at_connect(rule)) text += "; each connection once a person has approved it";
    if (asks_at_request(rule)) text += "; each such request once a person has approved it";
    say("{}.", text);
  }

  void deny_rule(const NetworkRule& rule) {
    std::string text = fmt::format("Never {}, {}", rule.subject(), ports_text(rule.ports));
    if (!rule.methods.empty()) text += fmt::format(", {}", join_words(rule.methods));
    if (!rule.paths.empty()) text += fmt::format(", paths {}", join_words(rule.paths));
    say("{}.", text);
  }

  void files() {
    chapter("Wall 4, files");
    bool writable = false, any = false;
    for (const FileRule& rule : policy_.files) {
      if (rule.access == Access::hide) continue;
      any = true;
      writable |= rule.access == Access::write;
      mount(rule);
    }
    if (!any) say("No file of yours is mounted{}.", policy_.files_where.line == 0 ? " (default: no `files`)" : "");
    say("Home, /tmp and the like are empty and gone after the run; nothing else of the host's files is there.");
    for (const FileRule& rule : policy_.files)
      if (rule.access == Access::hide)
        say("{} is hidden: every match at the start{}.", rule.host,
            writable ? "; in a writable place a mask falls when someone outside saves the file anew, until the "
                       "observer puts it back"
                     : "");
    const auto& pass = policy_.sandbox.env.pass;
    if (std::none_of(pass.begin(), pass.end(),
                     [](const PassedVariable& variable) { return looks_like_credential(variable.name); }))
      say("No credential is inside; an agent's own login waits for the secret broker.");
  }

  void mount(const FileRule& rule) {
    std::string text;
    if (rule.access == Access::read)
      text = fmt::format("{} can be read", place_text(rule));
    else if (rule.access == Access::write)
      text = fmt::format(
          "{} can be read and changed at once, without review; existing git hooks, .envrc, .vscode/tasks.json and "
          ".mcp.json in it are read-only",
          place_text(rule));
    else
      text = fmt::format(
          "{} can be written only: it looks empty, and what was made there comes out when the run ends, without "
          "overwriting",
          place_text(rule));
    if (!rule.sockets.empty()) text += fmt::format("; the sockets {} can be connected to", join_words(rule.sockets));
    if (rule.exec && policy_.programs.allow) text += "; programs in it may be started";
    if (!rule.reason.empty()) text += fmt::format(" ({})", quoted(rule.reason, 200));
    say("{}.", text);
  }

  void limits() {
    chapter("Wall 5, limits");
    const Limits& limits = policy_.limits;
    const auto counter = [&](const char* key, const char* words, const std::string& value) {
      if (!value.empty()) say("{}: {}; then the run is killed{}.", words, value, strength(key));
    };
    const auto number = [](const std::optional<uint64_t>& value) {
      return value ? fmt::format("{}", *value) : std::string();
    };
    counter("time", "Time", limits.time ? format_duration(*limits.time) : "");
    counter("requests", "Requests", number(limits.requests));
    counter("connections", "Connections", number(limits.connections));
    counter("names", "Different names asked for", number(limits.names));
    counter("bytes_out", "Bytes sent", limits.bytes_out ? format_size(*limits.bytes_out) : "");
    counter("denials", "Different refusals", number(limits.denials));
    std::vector<std::string> none;
    if (!limits.time) none.push_back("time");
    if (!limits.requests) none.push_back("requests");
    if (!limits.connections) none.push_back("connections");
    if (!limits.names) none.push_back("names");
    if (!limits.bytes_out) none.push_back("bytes sent");
    if (!limits.denials) none.push_back("refusals");
    if (!none.empty()) say("No limit (default) on {}.", join_words(none));
    say("Every decision of ours is an event in a hash-chained log outside of the sandbox.");
  }

  void silent() {
    chapter("What is refused without an event");
    say("What the kernel refuses by itself: a file that is not there, a write to a read-only place, a system call that "
        "the filter does not know.");
  }

  void diagnostics(const char* title, const Diagnostics& list) {
    if (list.empty()) return;
    chapter(title);
    for (const Diagnostic& diagnostic : list) say("{}", diagnostic.render());
  }

  const Layered& layered_;
  const Policy& policy_;
  std::span<const LimitStrength> strengths_;
  const Surroundings& surroundings_;
  std::string half_;
  std::vector<Chapter> chapters_;
};

}  // namespace

std::vector<Chapter> explain(const Layered& layered, std::span<const LimitStrength> strengths,
                             const Surroundings& surroundings) {
  return Explanation(layered, strengths, surroundings).write();
}

std::string to_text(const std::vector<Chapter>& chapters) {
  std::string text;
  for (const Chapter& chapter : chapters) {
    text += (text.empty() ? "" : "\n") + chapter.title + "\n";
    for (const std::string& line : chapter.lines) text += "  " + line + "\n";
  }
  return text;
}

}  // namespace stockade::policy
