// policy init, check, explain, test, diff, trust: looks at policies without starting anything. What is printed comes
// from policy/reports.h; here the host is surveyed, the plan compiled where one is asked for, and the exit status
// chosen: 0, 1 (errors, failed tests, more is allowed), 2 (used wrongly). Files are opened, bounded and judged in
// policy/.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "cli/arguments.h"
#include "cli/output.h"
#include "policy/preset.h"
#include "policy/reports.h"
#include "policy/trust.h"
#include "sandbox/cgroup.h"
#include "sandbox/compile.h"

namespace stockade::cli {

namespace {

struct Host {
  sandbox::HostTree tree;
  sandbox::Surroundings surroundings;
  policy::Surroundings for_policy;
};

Result<Host> look_at_host() {
  STOCKADE_ASSIGN(auto tree, sandbox::HostTree::open());
  STOCKADE_ASSIGN(auto person, sandbox::Person::of_this_process());
  STOCKADE_ASSIGN(auto surroundings, sandbox::survey_host(tree, std::move(person)));
  auto for_policy = sandbox::for_policy(surroundings);
  STOCKADE_ASSIGN(for_policy.written_places, policy::written_places(surroundings.state_dir));
  return Host{std::move(tree), std::move(surroundings), std::move(for_policy)};
}

int failed(const Error& error) {
  print_error(error);
  return exit_status(error);
}

// A report keeps its lines and its backslashes; whatever else moves a cursor or hides is escaped.
std::string shown(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    const size_t size = std::max<size_t>(point.length, 1);
    const bool kept = text[0] == '\n' || (point.length > 0 && is_printable(point.value));
    out += kept ? std::string(text.substr(0, size)) : escape_for_terminal(text.substr(0, size));
    text.remove_prefix(size);
  }
  return out;
}

int print_report(const policy::Report& report, bool json) {
  if (json)
    fmt::print("{}\n", report.json);
  else
    fmt::print("{}", shown(report.text));
  return report.ok ? 0 : 1;
}

template <typename MakeReport>
int report_on_host(bool json, MakeReport make) {
  auto host = look_at_host();
  if (!host) return failed(host.error());
  return print_report(make(host->for_policy), json);
}

// ---- init
// ------------------------------------------------------------------------------------------------------------

Result<std::string> first_policy(const std::string& preset, const policy::Surroundings& surroundings) {
  std::string text = policy::init_report(surroundings).text;
  if (preset.empty()) return text;
  if (policy::find_preset(preset) == nullptr)
    return std::unexpected(Error(ErrorKind::invalid_input, "there is no preset " + policy::quoted(preset))
                               .hint("the presets are " + policy::preset_names()));
  constexpr std::string_view kNone = "\nextends: []\n";
  const size_t at = text.find(kNone);
  if (at == std::string::npos) return fail(ErrorKind::internal, "the template has no place for a preset");
  return text.replace(at, kNone.size(), fmt::format("\nextends: [{}]\n", preset));
}

// Never over a file that is there; half a policy is taken away again.
Result<void> write_new_file(const std::string& path, std::string_view text) {
  auto file = open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
  if (!file && file.error().error_number() == EEXIST)
    return std::unexpected(
        Error(ErrorKind::invalid_input, path + " is there already").hint("choose another -o, or move it away"));
  if (!file) return std::unexpected(std::move(file).error());
  auto written = write_all(file->get(), text);
  if (!written) ::unlink(path.c_str());
  return written;
}

// ---- explain
// ---------------------------------------------------------------------------------------------------------

policy::LimitStrength strength_of(const char* limit, sandbox::Strength strength, std::string by) {
  const auto word = strength == sandbox::Strength::hard     ? policy::Strength::hard
                    : strength == sandbox::Strength::polled ? policy::Strength::polled
                                                            : policy::Strength::refused;
  return {limit, word, std::move(by)};
}

// Who holds what: the machine's limits as the plan has them, or as far as they are known without one; the counters by
// the supervisor, before what is counted takes effect.
std::vector<policy::LimitStrength> strengths_of(const sandbox::LimitSupport& support,
                                                const sandbox::SandboxPlan* plan) {
  std::vector<policy::LimitStrength> all;
  if (plan == nullptr) {
    all = {strength_of("memory", support.memory.strength, support.memory.by),
           strength_of("cpus", support.cpus.strength, support.cpus.by),
           strength_of("pids", support.pids.strength, support.pids.by)};
  } else {
    const auto add = [&all](const char* key, const std::optional<sandbox::Limit>& limit) {
      if (limit) all.push_back(strength_of(key, limit->strength, limit->by));
    };
    add("memory", plan->limits.memory);
    add("cpus", plan->limits.cpus);
    add("pids", plan->limits.pids);
    add("disk", plan->limits.disk);
    add("inodes", plan->limits.inodes);
    add("open_files", plan->limits.open_files);
    add("file_size", plan->limits.file_size);
  }
  for (const char* key : {"time", "connections", "requests", "names", "denials"})
    all.push_back({key, policy::Strength::hard, "supervisor"});
  all.push_back({"bytes_out", policy::Strength::hard, "the kernel's pacing of each connection"});
  return all;
}

policy::Layered read_policy(const PolicyExplainOptions& options, const policy::Surroundings& surroundings) {
  if (!options.file.empty()) return policy::inspect(options.file, surroundings);
  policy::Request request;
  if (!options.preset.empty()) request.presets = {options.preset};
  return policy::layer(request, surroundings);
}

// The commands for which a plan may be made: the policy's own, the preset's program, any shell.
std::vector<std::vector<std::string>> commands_to_plan(const PolicyExplainOptions& options,
                                                       const policy::Policy& policy) {
  if (!policy.run.command.empty()) return {policy.run.command};
  std::vector<std::vector<std::string>> commands;
  if (const auto* preset = policy::find_preset(options.preset); preset != nullptr && !preset->commands.empty())
    commands.push_back({std::string(preset->commands.substr(0, preset->commands.find(' ')))});
  commands.push_back({"/bin/sh"});
  return commands;
}

Result<sandbox::Compiled> compile_plan(const PolicyExplainOptions& options, const policy::Policy& policy,
                                       const Host& host, const sandbox::LimitSupport& support) {
  Result<sandbox::Compiled> made = fail(ErrorKind::internal, "no command to plan for");
  for (auto& command : commands_to_plan(options, policy)) {
    sandbox::CompileOptions compile_options;
    compile_options.command = std::move(command);
    compile_options.support = support;
    compile_options.terminal = stdout_is_terminal();
    made = sandbox::compile(policy, host.surroundings, host.tree, compile_options);
    // A preset's program need not be installed to be explained.
    if (made || made.error().error_number() != ENOENT) break;
  }
  return made;
}

int print_plan(const policy::Layered& layered, const Result<sandbox::Compiled>& compiled, bool json) {
  if (!compiled) return failed(compiled.error());
  const std::string text = sandbox::to_text(compiled->plan);
  if (layered.policy.run.command.empty())
    say(fmt::format("the policy names no command: this is the plan for {}", compiled->plan.command.front()));
  if (json) {
    print_json({{"plan", text}, {"notes", compiled->notes}});
  } else {
    fmt::print("{}", shown(text));
    for (const std::string& note : compiled->notes) say(note);
  }
  return 0;
}

// What the plan shows of the host, or why there is none, as one more chapter.
policy::Chapter view_chapter(const Result<sandbox::Compiled>& compiled) {
  if (!compiled) return {"It could not be started here", {compiled.error().render()}};
  auto lines = sandbox::describe_view(compiled->plan);
  lines.insert(lines.end(), compiled->notes.begin(), compiled->notes.end());
  if (compiled->default_workspace)
    lines.push_back(
        "the current directory is writable, since the default preset says so and no policy file took its place");
  return {"What it sees of this machine", std::move(lines)};
}

void add_chapter(policy::Report& report, const policy::Chapter& chapter) {
  report.text += "\n" + policy::to_text({chapter});
  auto json = nlohmann::ordered_json::parse(report.json, nullptr, false);
  if (!json.is_object() || !json.contains("chapters")) return;
  json["chapters"].push_back({{"title", chapter.title}, {"lines", chapter.lines}});
  report.json = json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

int policy_init(const PolicyInitOptions& options) {
  auto host = look_at_host();
  if (!host) return failed(host.error());
  auto text = first_policy(options.preset, host->for_policy);
  if (!text) return failed(text.error());
  if (options.output.empty()) {
    fmt::print("{}", *text);
    return 0;
  }
  if (auto written = write_new_file(options.output, *text); !written) return failed(written.error());
  say(fmt::format("wrote {}; next: stockade policy explain {}", options.output, options.output));
  return 0;
}

int policy_check(const PolicyCheckOptions& options) {
  return report_on_host(options.json, [&](const auto& host) { return policy::check_report(options.file, host); });
}

int policy_test(const PolicyTestOptions& options) {
  return report_on_host(options.json, [&](const auto& host) { return policy::test_report(options.file, host); });
}

int policy_diff(const PolicyDiffOptions& options) {
  return report_on_host(options.json,
                        [&](const auto& host) { return policy::diff_report(options.before, options.after, host); });
}

int policy_trust(const PolicyTrustOptions& options) {
  return report_on_host(false, [&](const auto& host) { return policy::trust_report(options.file, host); });
}

int policy_explain(const PolicyExplainOptions& options) {
  auto host = look_at_host();
  if (!host) return failed(host.error());
  const policy::Layered layered = read_policy(options, host->for_policy);
  if (!layered.usable()) return print_report(policy::explain_report(layered, {}, host->for_policy), options.json);
  const auto support = sandbox::probe_limit_support();
  const auto compiled = compile_plan(options, layered.policy, *host, support);
  if (options.plan) return print_plan(layered, compiled, options.json);
  const auto strengths = strengths_of(support, compiled ? &compiled->plan : nullptr);
  policy::Report report = policy::explain_report(layered, strengths, host->for_policy);
  add_chapter(report, view_chapter(compiled));
  return print_report(report, options.json);
}

}  // namespace stockade::cli
