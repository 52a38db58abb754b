#include "supervisor/probe_run.h"

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <filesystem>
#include <optional>

#include "policy/effective.h"
#include "policy/reports.h"
#include "supervisor/probe_plan.h"
#include "supervisor/run.h"

namespace stockade::supervisor {

namespace {

constexpr size_t kOutputLimit = 256U << 10;
constexpr const char* kPatience = "3";       // seconds that one attack has
constexpr const char* kLongPatience = "10";  // one that is to end its run

// Beside the program in a build folder; in lib/stockade where it is installed.
Result<std::string> find_driver() {
  char self[PATH_MAX];
  const ssize_t length = ::readlink("/proc/self/exe", self, sizeof(self));
  if (length <= 0) return fail_errno("find the program's own place");
  const std::string path(self, static_cast<size_t>(length));
  const std::string directory = path.substr(0, path.rfind('/'));
  for (const std::string& candidate :
       {directory + "/stockade-probe-victims", directory + "/../lib/stockade/stockade-probe-victims"}) {
    if (::access(candidate.c_str(), X_OK) != 0) continue;
    std::error_code ignored;
    const std::string real = std::filesystem::canonical(candidate, ignored).string();
    if (!ignored) return real;
  }
  return std::unexpected(Error(ErrorKind::unavailable, "the attacks' program (stockade-probe-victims) is not there")
                             .hint("build it with 'make', or install it below lib/stockade beside bin"));
}

struct SceneOutcome {
  std::string output;
  std::string ended_by;
  std::string error;
};

std::string fill_in(std::string_view argument, const ProbePlan& scene) {
  if (!argument.starts_with('{')) return std::string(argument);
  const size_t end = argument.find('}');
  const auto place = scene.places.find(argument.substr(1, end - 1));
  return place == scene.places.end() ? std::string(argument) : place->second + std::string(argument.substr(end + 1));
}

// The victim and its arguments, joined as the driver takes them.
std::string spec_of(const ProbeAttack& attack, const ProbePlan& scene) {
  if (attack.arguments.empty()) return std::string(attack.name);
  std::string spec;
  for (const std::string_view argument : attack.arguments)
    spec += (spec.empty() ? "" : "\x1f") + fill_in(argument, scene);
  return spec;
}

RunSettings settings_for(const ProbePlan& scene, const ProbeFixture& fixture, const ProbeWeakening& without) {
  RunSettings settings;
  settings.policy = scene.policy;
  settings.plan = scene.plan;
  settings.weakening = without.engine;
  settings.places = Places{fixture.at("state"), fixture.at("runtime")};
  settings.effective_policy = policy::to_json(scene.policy);
  settings.policy_digest = policy::policy_hash(scene.policy);
  return settings;
}

// In the child that is the scene's supervisor: what comes of it goes over `result`.
int supervise(RunSettings settings, int result) {
  const SystemClock clock;
  const auto outcome = run_to_end(std::move(settings), clock);
  (void)write_all(result, outcome ? "ended:" + outcome->ended_by.to_string() : "error:" + outcome.error().render());
  return 0;
}

Result<SceneOutcome> run_scene(RunSettings settings) {
  STOCKADE_ASSIGN(auto output, make_pipe());
  STOCKADE_ASSIGN(auto result, make_pipe());
  STOCKADE_ASSIGN(const Fd null, open_at(AT_FDCWD, "/dev/null", O_RDWR));
  settings.stdio = {null.get(), output.write.get(), null.get()};
  STOCKADE_ASSIGN(Pid child, fork_child([&] {
                    output.read.reset();
                    result.read.reset();
                    return supervise(std::move(settings), result.write.get());
                  }));
  output.write.reset();
  result.write.reset();
  SceneOutcome outcome;
  STOCKADE_ASSIGN(outcome.output, read_file(output.read.get(), kOutputLimit));
  STOCKADE_ASSIGN(std::string said, read_file(result.read.get(), kOutputLimit));
  STOCKADE_ASSIGN(const ExitStatus status, child.wait());
  if (said.starts_with("ended:"))
    outcome.ended_by = said.substr(6);
  else
    outcome.error =
        said.starts_with("error:") ? said.substr(6) : fmt::format("the scene's supervisor ended with {}", status.code);
  return outcome;
}

// "NAME\tLINE" of the driver, in the order of the attacks.
std::optional<std::string> line_for(const std::vector<std::string>& lines, size_t index) {
  if (index >= lines.size()) return std::nullopt;
  const size_t tab = lines[index].find('\t');
  return tab == std::string::npos ? std::nullopt : std::optional(lines[index].substr(tab + 1));
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

// The scene that ends over a limit: the run's own record is the verdict.
void judge_by_end(ProbeRow& row, ProbeScene scene, const SceneOutcome& outcome) {
  const std::string_view expected = scene == ProbeScene::time ? "limit:time" : "limit:memory";
  row.held = outcome.ended_by == expected;
  row.evidence = row.held                 ? fmt::format("the run was ended by {}", expected)
                 : outcome.output.empty() ? "the run ended by " + outcome.ended_by
                                          : outcome.output.substr(outcome.output.find('\t') + 1);
  // An allocation that the kernel refuses a victim is held as well.
  if (!row.held && scene == ProbeScene::memory && row.evidence.starts_with("held:")) row.held = true;
}

void judge(ProbeRow& row, const ProbeAttack& attack, const std::string& line) {
  const bool broken = line.starts_with("broken: ");
  row.held = broken == attack.control && (broken || line.starts_with("held: "));
  const size_t colon = line.find(": ");
  row.evidence = colon == std::string::npos ? line : line.substr(colon + 2);
}

class Probe {
 public:
  Probe(const policy::Layered& layered, sandbox::Surroundings surroundings, ProbeFixture fixture, ProbeWorld world,
        std::string driver, ProbeWeakening without)
      : layered_(layered),
        surroundings_(std::move(surroundings)),
        fixture_(std::move(fixture)),
        world_(std::move(world)),
        driver_(std::move(driver)),
        without_(without) {}

  Result<void> run(ProbeReport& report) {
    for (int i = 0; i < kProbeScenes; ++i) STOCKADE_TRY(run(static_cast<ProbeScene>(i), report));
    return {};
  }

 private:
  Result<void> run(ProbeScene scene, ProbeReport& report) {
    std::vector<const ProbeAttack*> attacks;
    for (const ProbeAttack& attack : probe_attacks())
      if (attack.scene == scene) attacks.push_back(&attack);
    STOCKADE_ASSIGN(ProbePlan plan, plan_scene(scene, layered_.policy, surroundings_, fixture_, driver_, without_));
    const bool ends = scene == ProbeScene::time || scene == ProbeScene::memory;
    plan.plan.command = {kProbeDriver, "drive", ends ? kLongPatience : kPatience};
    for (const ProbeAttack* attack : attacks) plan.plan.command.push_back(spec_of(*attack, plan));
    STOCKADE_ASSIGN(const SceneOutcome outcome, run_scene(settings_for(plan, fixture_, without_)));
    if (!outcome.error.empty())
      return fail(ErrorKind::unavailable, "the probe's sandbox did not start: {}", outcome.error);
    const std::vector<std::string> lines = split_lines(outcome.output);
    const std::string queries = world_.take_queries();
    for (size_t i = 0; i < attacks.size(); ++i) {
      ProbeRow row{attacks[i]->name, attacks[i]->what, attacks[i]->wall, false, {}, true};
      const auto line = line_for(lines, i);
      if (ends)
        judge_by_end(row, scene, outcome);
      else if (line)
        judge(row, *attacks[i], *line);
      else
        row.evidence = fmt::format("no answer: the run ended by {}", outcome.ended_by);
      if (attacks[i]->name == "dns_tunnel" && queries.find("tunnel.stockade-probe") != std::string::npos) {
        row.held = false;
        row.evidence = "a query was seen outside";
      }
      if (!row.held) except(row);
      report.rows.push_back(std::move(row));
    }
    return {};
  }

  static void except(ProbeRow& row) {
    for (const ProbeException& exception : probe_exceptions()) {
      if (exception.name != row.name) continue;
      row.applicable = false;
      row.evidence = exception.reason;
    }
  }

  const policy::Layered& layered_;
  sandbox::Surroundings surroundings_;
  ProbeFixture fixture_;
  ProbeWorld world_;
  std::string driver_;
  ProbeWeakening without_;
};

// The default policy makes the current directory writable: then that is the fixture's, not the person's.
Result<sandbox::Surroundings> survey(const ProbeFixture& fixture, bool default_policy) {
  STOCKADE_ASSIGN(auto tree, sandbox::HostTree::open());
  STOCKADE_ASSIGN(auto person, sandbox::Person::of_this_process());
  if (default_policy) person.cwd = fixture.at("work");
  return sandbox::survey_host(tree, std::move(person));
}

}  // namespace

size_t ProbeReport::broken() const {
  return static_cast<size_t>(
      std::count_if(rows.begin(), rows.end(), [](const ProbeRow& row) { return !row.held && row.applicable; }));
}

Result<ProbeReport> run_probe(const ProbeRequest& request) {
  STOCKADE_ASSIGN(const ProbeWeakening without, parse_weakening(request.without));
  STOCKADE_ASSIGN(std::string driver, find_driver());
  STOCKADE_ASSIGN(ProbeFixture fixture, ProbeFixture::make());
  STOCKADE_ASSIGN(auto surroundings, survey(fixture, request.policy_file.empty()));
  policy::Request layers;
  layers.policy_file = request.policy_file;
  if (request.policy_file.empty()) layers.presets = {"default"};
  const policy::Layered layered = policy::layer(layers, sandbox::for_policy(surroundings));
  if (!layered.usable()) return std::unexpected(policy::as_error(layered));
  STOCKADE_TRY(enter_world());
  STOCKADE_ASSIGN(ProbeWorld world, ProbeWorld::start());
  ProbeReport report;
  report.policy = request.policy_file.empty() ? "the default policy" : request.policy_file;
  Probe probe(layered, std::move(surroundings), std::move(fixture), std::move(world), std::move(driver), without);
  STOCKADE_TRY(probe.run(report));
  return report;
}

}  // namespace stockade::supervisor
