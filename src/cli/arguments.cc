#include "cli/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <string_view>

#include "cli/output.h"

namespace stockade::cli {

namespace {

// Verbs of the design that arrive with a later issue: refused with that reason, never half-done.
constexpr std::array kLaterVerbs = {"top",  "diff",  "apply", "discard", "mcp",   "console",   "exec",
                                    "shell", "image", "oci",   "model",   "secrets", "completion"};
constexpr std::array kLaterPolicyVerbs = {"learn", "replay"};

constexpr const char* kRunId = "the run's id or name";
constexpr const char* kPolicyFile = "policy file";
constexpr const char* kAsJson = "as JSON";

// One verb: registers its options on `app`, and on the command line being that verb stores them into `chosen`.
template <typename Options>
CLI::App* add_verb(CLI::App& app, std::optional<Verb>& chosen, const char* name, const char* about,
                   void (*describe)(CLI::App&, Options&)) {
  CLI::App* verb = app.add_subcommand(name, about);
  auto options = std::make_shared<Options>();
  describe(*verb, *options);
  // CLI11 calls a verb back after its own sub-verbs.
  verb->callback([&chosen, options, verb] {
    if (verb->get_subcommands().empty()) chosen = *options;
  });
  return verb;
}

void add_run(CLI::App& app, std::optional<Verb>& chosen) {
  CLI::App* verb =
      add_verb<RunOptions>(app, chosen, "run", "run a command behind the five walls", [](CLI::App& cli, RunOptions& o) {
        cli.add_option("--policy", o.policy, "policy file; absent: the command's preset, then the default");
        cli.add_option("--preset", o.preset, "preset instead of the one found by the command's name");
        cli.add_option("--runtime", o.runtime, "native");
        cli.add_option("--name", o.name, "a name for ps, kill, why …");
        cli.add_flag("--quiet", o.quiet, "say nothing on stderr but errors");
        cli.add_flag("--json", o.json, "what Stockade says on stderr, as JSON lines");
        cli.add_option("COMMAND", o.command, "the command and its arguments, after --");
      });
  verb->prefix_command(false);
  verb->positionals_at_end();
}

void add_reading_verbs(CLI::App& app, std::optional<Verb>& chosen) {
  add_verb<PsOptions>(app, chosen, "ps", "list the runs", [](CLI::App& cli, PsOptions& o) {
    cli.add_flag("-a,--all", o.all, "ended runs too");
    cli.add_flag("--json", o.json, kAsJson);
  });
  add_verb<ShowOptions>(app, chosen, "show", "one run: state, counters, how it ended",
                        [](CLI::App& cli, ShowOptions& o) {
                          cli.add_option("ID", o.run, kRunId)->required();
                          cli.add_flag("--json", o.json, kAsJson);
                        });
  add_verb<LogsOptions>(app, chosen, "logs", "a run's events, a line each", [](CLI::App& cli, LogsOptions& o) {
    cli.add_option("ID", o.run, kRunId)->required();
    cli.add_flag("-f,--follow", o.follow, "go on until the run ends");
    cli.add_flag("--json", o.json, kAsJson);
  });
  CLI::App* audit =
      add_verb<AuditOptions>(app, chosen, "audit", "a run's decisions, summed up", [](CLI::App& cli, AuditOptions& o) {
        cli.add_option("ID", o.run, kRunId);
        cli.add_flag("--json", o.json, kAsJson);
      });
  add_verb<AuditVerifyOptions>(*audit, chosen, "verify", "check the chain and signatures of a log, or of all",
                               [](CLI::App& cli, AuditVerifyOptions& o) {
                                 cli.add_option("ID", o.run,
                                                "the run's id or name; absent: all, and that none is gone");
                                 cli.add_flag("--json", o.json, kAsJson);
                               });
  add_verb<WhyOptions>(app, chosen, "why", "the last refusal, and what would allow it",
                       [](CLI::App& cli, WhyOptions& o) {
                         cli.add_option("ID", o.run, kRunId)->required();
                         cli.add_option("EVENT", o.event, "an event's number");
                         cli.add_flag("--json", o.json, kAsJson);
                       });
}

void add_control_verbs(CLI::App& app, std::optional<Verb>& chosen) {
  add_verb<PauseOptions>(app, chosen, "pause", "freeze a run",
                         [](CLI::App& cli, PauseOptions& o) { cli.add_option("ID", o.run, kRunId)->required(); });
  add_verb<ResumeOptions>(app, chosen, "resume", "let a paused run go on",
                          [](CLI::App& cli, ResumeOptions& o) { cli.add_option("ID", o.run, kRunId)->required(); });
  add_verb<KillOptions>(app, chosen, "kill", "end a run, and everything in it", [](CLI::App& cli, KillOptions& o) {
    auto* id = cli.add_option("ID", o.run, kRunId);
    cli.add_flag("--all", o.all, "every run of yours")->excludes(id);
    cli.add_option("--reason", o.reason, "kept in the log");
  });
}

template <typename Options>
void describe_decision(CLI::App& cli, Options& o) {
  cli.add_option("ID", o.run, kRunId)->required();
  cli.add_option("EVENT", o.event, "the event's number, as approvals shows it")->required();
  cli.add_option("--reason", o.reason, "kept in the log, and told to the agent");
}

void add_approval_verbs(CLI::App& app, std::optional<Verb>& chosen) {
  add_verb<ApprovalsOptions>(app, chosen, "approvals", "what waits for a person", [](CLI::App& cli, ApprovalsOptions& o) {
    cli.add_option("ID", o.run, "the run's id or name; absent: all runs");
    cli.add_flag("--json", o.json, kAsJson);
  });
  add_verb<ApproveOptions>(app, chosen, "approve", "let one thing happen that waits", describe_decision<ApproveOptions>);
  add_verb<DenyOptions>(app, chosen, "deny", "refuse one thing that waits", describe_decision<DenyOptions>);
}

void add_policy_verbs(CLI::App& app, std::optional<Verb>& chosen) {
  CLI::App* policy = app.add_subcommand("policy", "write, check, explain, test, compare and trust policies");
  policy->require_subcommand(1);
  add_verb<PolicyInitOptions>(*policy, chosen, "init", "print a policy to start from",
                              [](CLI::App& cli, PolicyInitOptions& o) {
                                cli.add_option("--preset", o.preset, "a preset that it extends");
                                cli.add_option("-o,--output", o.output, "write this new file instead");
                              });
  add_verb<PolicyCheckOptions>(*policy, chosen, "check", "every error and warning of a file",
                               [](CLI::App& cli, PolicyCheckOptions& o) {
                                 cli.add_option("FILE", o.file, kPolicyFile)->required();
                                 cli.add_flag("--json", o.json, kAsJson);
                               });
  add_verb<PolicyExplainOptions>(*policy, chosen, "explain", "what the agent can do, wall by wall",
                                 [](CLI::App& cli, PolicyExplainOptions& o) {
                                   auto* file = cli.add_option("FILE", o.file, kPolicyFile);
                                   cli.add_option("--preset", o.preset, "a preset instead of a file")->excludes(file);
                                   cli.add_flag("--plan", o.plan, "the sandbox plan, an item a line");
                                   cli.add_flag("--json", o.json, kAsJson);
                                 });
  add_verb<PolicyTestOptions>(*policy, chosen, "test", "run the policy's own tests",
                              [](CLI::App& cli, PolicyTestOptions& o) {
                                cli.add_option("FILE", o.file, kPolicyFile)->required();
                                cli.add_flag("--json", o.json, kAsJson);
                              });
  add_verb<PolicyDiffOptions>(*policy, chosen, "diff", "what B allows that A does not, and the reverse",
                              [](CLI::App& cli, PolicyDiffOptions& o) {
                                cli.add_option("A", o.before, kPolicyFile)->required();
                                cli.add_option("B", o.after, kPolicyFile)->required();
                                cli.add_flag("--json", o.json, kAsJson);
                              });
  add_verb<PolicyTrustOptions>(
      *policy, chosen, "trust", "let a policy file be used that an agent could have written",
      [](CLI::App& cli, PolicyTrustOptions& o) { cli.add_option("FILE", o.file, kPolicyFile)->required(); });
}

void add_machine_verbs(CLI::App& app, std::optional<Verb>& chosen) {
  add_verb<ProxyOptions>(
      app, chosen, "proxy", "the firewall alone, as an HTTP, CONNECT and SOCKS5 proxy",
      [](CLI::App& cli, ProxyOptions& o) {
        cli.add_option("--policy", o.policy, "policy file; `network` and `limits` of it apply")->required();
        cli.add_option("--listen", o.listen, "ADDRESS:PORT")->required();
      });
  add_verb<AttachOptions>(
      app, chosen, "attach", "put the firewall and the monitor on something that runs already",
      [](CLI::App& cli, AttachOptions& o) {
        auto* target = cli.add_option_group("target", "one of these");
        target->add_option("--pid", o.pid, "a process, and whatever shares its network");
        target->add_option("--netns", o.netns, "a network namespace: /run/netns/NAME");
        target->add_option("--container", o.container, "a container of Docker, Podman, crun or runc, by name or id");
        target->require_option(1);
        cli.add_option("--policy", o.policy, "policy file; `network` and `limits` of it apply")->required();
        cli.add_option("--name", o.name, "a name for ps, kill, why …");
        cli.add_option("--if-lost", o.if_lost,
                       "when a worker dies: cut (no network until you detach: the default), kill, detach");
        cli.footer(
            "Ctrl-C or SIGTERM detaches: the network is given back as it was. 'stockade kill' ends the processes.");
      });
  add_verb<ProbeOptions>(app, chosen, "probe", "attack a sandbox from inside, and print what held",
                         [](CLI::App& cli, ProbeOptions& o) {
                           cli.add_option("--policy", o.policy, "policy file; absent: the default policy");
                           cli.add_option("--without", o.without, "take a wall away, to see that the probes can fail");
                           cli.add_flag("--json", o.json, kAsJson);
                         });
  add_verb<ScanOptions>(
      app, chosen, "scan", "look for secrets in files, directories and pipes", [](CLI::App& cli, ScanOptions& o) {
        cli.add_option("--direction", o.direction, "out (what would leave: the default) or in (what comes back)");
        cli.add_option("--kind", o.kind, "secrets");
        auto* json = cli.add_flag("--json", o.json, kAsJson);
        cli.add_flag("--sarif", o.sarif, "as SARIF 2.1.0, for code hosts and editors")->excludes(json);
        cli.add_option("FILE", o.paths, "files and directories; - or none: what comes on standard input");
        cli.footer("Exit status: 0 nothing found, 1 something found, 2 used wrongly or not readable.");
      });
  add_verb<DoctorOptions>(app, chosen, "doctor", "what this machine can hold, tried for real",
                          [](CLI::App& cli, DoctorOptions& o) { cli.add_flag("--json", o.json, kAsJson); });
  add_verb<VersionOptions>(app, chosen, "version", "the version",
                           [](CLI::App& cli, VersionOptions& o) { cli.add_flag("--json", o.json, kAsJson); });
}

template <size_t N>
bool names_one(const std::array<const char*, N>& verbs, std::string_view word) {
  return std::any_of(verbs.begin(), verbs.end(), [&](const char* verb) { return word == verb; });
}

// The verbs that were understood, as they are typed: "policy trust".
std::string verbs_of(const CLI::App& app) {
  std::string verbs;
  for (const CLI::App* verb = &app; !verb->get_subcommands().empty();) {
    verb = verb->get_subcommands().front();
    verbs += (verbs.empty() ? "" : " ") + verb->get_name();
  }
  return verbs;
}

// CLI11's words, except where they would hide what was mistyped.
std::string explain(const CLI::ParseError& error, const CLI::App& app, const std::string& verbs) {
  std::vector<std::string> unknown = app.remaining(true);
  std::erase(unknown, "--");
  if (unknown.empty()) return error.what();
  const bool is_option = unknown.front().starts_with('-');
  if (!is_option && (verbs.empty() || verbs == "policy"))
    return fmt::format("there is no verb '{}{}{}'", verbs, verbs.empty() ? "" : " ", unknown.front());
  const std::string verb = verbs.empty() ? "stockade" : "stockade " + verbs;
  return is_option ? fmt::format("{} has no option '{}'", verb, unknown.front())
                   : fmt::format("'{}' is one argument too many for {}", unknown.front(), verb);
}

// Said before CLI11 sees the words, so that it is refused with its own reason.
bool refuse_later_verb(int argc, char** argv) {
  std::string verb;
  if (argc > 1 && names_one(kLaterVerbs, argv[1])) verb = argv[1];
  if (argc > 2 && std::string_view(argv[1]) == "policy" && names_one(kLaterPolicyVerbs, argv[2]))
    verb = fmt::format("policy {}", argv[2]);
  if (argc > 2 && std::string_view(argv[1]) == "audit" && std::string_view(argv[2]) == "export") verb = "audit export";
  if (verb.empty()) return false;
  fmt::print(stderr, "stockade: '{}' is not built yet\nstockade: 'stockade --help' lists what is\n", verb);
  return true;
}

}  // namespace

Parsed parse_arguments(int argc, char** argv) {
  if (refuse_later_verb(argc, argv)) return 125;
  CLI::App app("Runs any AI agent, unmodified, behind five walls.", "stockade");
  std::optional<Verb> chosen;
  app.require_subcommand(1);
  const bool is_run = argc > 1 && std::string_view(argv[1]) == "run";
  if (is_run) {
    add_run(app, chosen);  // the start of every run: describe nothing that it does not need
  } else {
    add_run(app, chosen);
    add_reading_verbs(app, chosen);
    add_control_verbs(app, chosen);
    add_approval_verbs(app, chosen);
    add_policy_verbs(app, chosen);
    add_machine_verbs(app, chosen);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    const std::string verbs = verbs_of(app);
    say(explain(error, app, verbs));
    say(fmt::format("'stockade {}{}--help' shows the usage", verbs, verbs.empty() ? "" : " "));
    return is_run ? 125 : 2;
  }
  return *chosen;
}

}  // namespace stockade::cli
