#include "supervisor/probe_plan.h"

#include <algorithm>

#include "sandbox/cgroup.h"

namespace stockade::supervisor {

using policy::Access;
using policy::FileRule;
using sandbox::Mount;
using sandbox::MountKind;

namespace {

constexpr uint64_t kPids = 64, kDisk = 16U << 20, kInodes = 512, kOpenFiles = 256, kMemory = 96U << 20;
constexpr uint64_t kOurInodes = 8192;

FileRule file_rule(std::string host, std::string at, Access access) {
  FileRule rule;
  rule.host = std::move(host);
  rule.at = std::move(at);
  rule.access = access;
  rule.reason = "the probe's own";
  return rule;
}

void join_fixture(policy::Policy& policy, const ProbeFixture& fixture) {
  policy.files.push_back(file_rule(fixture.at("read"), "/probe/read", Access::read));
  policy.files.push_back(file_rule(fixture.at("write"), "/probe/write", Access::write));
  policy.files.push_back(file_rule(fixture.at("out"), "/probe/out", Access::write_only));
  policy.files.push_back(file_rule(fixture.at("read/secret/key"), "", Access::hide));
  policy.files.push_back(file_rule(fixture.at("write/secret/key"), "", Access::hide));
}

policy::NetworkRule allow_name(std::string_view name, bool documentation) {
  policy::NetworkRule rule;
  rule.host = fmt::format("{}.stockade-probe.example", name);
  rule.ports = {{80, 80}};
  rule.protocol = policy::Protocol::http;
  if (documentation) rule.addresses = {*Cidr::parse("203.0.113.0/24")};
  return rule;
}

// One name that is reached, two that lead where no rule may lead; the world's server answers for the resolver.
void join_network(policy::Network& network) {
  network.present = true;
  network.resolver = Endpoint::parse("192.0.2.53:53");
  // No attack here carries a secret, and compiling the patterns would be waited for in each sandbox.
  network.inspect.secrets = policy::InspectionLevel::off;
  for (const std::string_view name : {"allowed", "loopback", "metadata"})
    network.allow.push_back(allow_name(name, name == "allowed"));
}

uint64_t at_most(const std::optional<uint64_t>& given, uint64_t ours) { return std::min(given.value_or(ours), ours); }

void make_limits_small(policy::Policy& policy, ProbeScene scene) {
  policy::Sandbox& sandbox = policy.sandbox;
  if (scene == ProbeScene::time) policy.limits.time = std::chrono::milliseconds(300);
  if (scene == ProbeScene::memory) {
    sandbox.memory = at_most(sandbox.memory, kMemory);
    sandbox.disk = at_most(sandbox.disk, kDisk);
  }
  if (scene != ProbeScene::limits) return;
  // Staged files make `disk` polled: its end would be the run's, and that of the scene's other attacks. (System tests.)
  if (std::erase_if(policy.files, [](const policy::FileRule& rule) { return rule.access == Access::write_only; }) > 0)
    policy.run.workdir = "/tmp";
  sandbox.pids = at_most(sandbox.pids, kPids);
  sandbox.disk = at_most(sandbox.disk, kDisk);
  sandbox.inodes = at_most(sandbox.inodes, kInodes);
  sandbox.open_files = at_most(sandbox.open_files, kOpenFiles);
}

// A program of the host's that the list does not name.
std::string unlisted_program(const policy::Programs& programs) {
  for (const char* candidate : {"/usr/bin/env", "/usr/bin/id", "/usr/bin/sort", "/usr/bin/head"}) {
    const std::string path(candidate), name = path.substr(path.rfind('/') + 1);
    const auto& allow = programs.allow;
    if (!allow || std::none_of(allow->begin(), allow->end(),
                               [&](const std::string& each) { return each == name || each == path; }))
      return path;
  }
  return "/usr/bin/tail";
}

Mount whole_tree(std::string source, std::string target) {
  Mount mount;
  mount.source = std::move(source);
  mount.target = std::move(target);
  mount.writable = true;
  mount.persons_tree = true;
  mount.optional = true;
  return mount;
}

// Without wall 4: every tree as it is, and one more that no rule shows.
void open_files(sandbox::SandboxPlan& plan, const ProbeFixture& fixture) {
  for (Mount& mount : plan.mounts) {
    const bool is_persons =
        mount.persons_tree || mount.kind == MountKind::overlay_read || mount.kind == MountKind::staging;
    mount.hidden.clear();
    mount.read_only.clear();
    if (is_persons && mount.target.starts_with("/probe/")) mount = whole_tree(mount.source, mount.target);
  }
  plan.mounts.push_back(whole_tree(fixture.at("outside"), fixture.at("outside")));
  plan.notify_sockets = false;
}

void weaken(ProbePlan& scene, const ProbeFixture& fixture, const ProbeWeakening& without) {
  sandbox::SandboxPlan& plan = scene.plan;
  if (without.data) open_files(plan, fixture);
  if (without.monitor) {
    for (const char* place : {"state", "runtime"})
      plan.mounts.push_back(whole_tree(fixture.at(place), fixture.at(place)));
    scene.policy.limits.time.reset();
  }
  if (without.limits) plan.limits = {};
  if (without.engine.network) plan.network = plan.explicit_proxy = false;
}

// What compile() finds by the policy; the driver takes its place.
std::vector<std::string> stand_in_command(const policy::Policy& policy) {
  if (policy.programs.allow && !policy.programs.allow->empty()) return {policy.programs.allow->front()};
  return {"/usr/bin/true"};
}

}  // namespace

Result<ProbeWeakening> parse_weakening(const std::vector<std::string>& walls) {
  ProbeWeakening without;
  sandbox::Weakening& engine = without.engine;
  for (const std::string& wall : walls) {
    const bool whole = wall == "sandbox";
    const bool known = whole || wall == "tools" || wall == "network" || wall == "data" || wall == "monitor" ||
                       wall == "seccomp" || wall == "landlock" || wall == "capabilities" || wall == "mounts" ||
                       wall == "process" || wall == "limits";
    if (!known)
      return std::unexpected(
          Error(ErrorKind::invalid_input, fmt::format("there is no wall '{}'", wall))
              .hint("walls: tools sandbox network data monitor; of the sandbox: seccomp landlock capabilities "
                    "mounts process limits"));
    without.tools |= wall == "tools";
    without.data |= wall == "data";
    without.monitor |= wall == "monitor";
    without.limits |= whole || wall == "limits";
    engine.network |= wall == "network";
    engine.seccomp |= whole || wall == "seccomp";
    engine.landlock |= whole || wall == "landlock";
    engine.capabilities |= whole || wall == "capabilities";
    engine.mounts |= whole || wall == "mounts";
    engine.process |= whole || wall == "process";
  }
  return without;
}

Result<ProbePlan> plan_scene(ProbeScene scene, const policy::Policy& policy, const sandbox::Surroundings& surroundings,
                             const ProbeFixture& fixture, const std::string& driver, const ProbeWeakening& without) {
  ProbePlan made{policy, {}, {}};
  join_fixture(made.policy, fixture);
  make_limits_small(made.policy, scene);
  if (scene == ProbeScene::network) join_network(made.policy.network);
  if (scene == ProbeScene::tools && !made.policy.programs.allow) made.policy.programs.allow = {"true"};
  if (without.tools) made.policy.programs.allow.reset();
  STOCKADE_ASSIGN(auto tree, sandbox::HostTree::open());
  sandbox::CompileOptions options;
  options.command = stand_in_command(made.policy);
  options.support = sandbox::probe_limit_support();
  STOCKADE_ASSIGN(auto compiled, sandbox::compile(made.policy, surroundings, tree, options));
  made.plan = std::move(compiled.plan);
  made.plan.grace = std::chrono::milliseconds(200);
  Mount helper;
  helper.source = driver;
  helper.target = kProbeDriver;
  made.plan.mounts.push_back(std::move(helper));
  weaken(made, fixture, without);
  const policy::Sandbox& limits = made.policy.sandbox;
  // The private filesystem holds our own mount points as well: what is tried lies clearly above the limit.
  made.places = {{"home", surroundings.home},
                 {"config", surroundings.config_dir},
                 {"outside", fixture.at("outside")},
                 {"state", fixture.at("state")},
                 {"runtime", fixture.at("runtime")},
                 {"unlisted", unlisted_program(made.policy.programs)},
                 {"pids", std::to_string(limits.pids.value_or(kPids))},
                 {"disk", std::to_string(2 * limits.disk.value_or(kDisk))},
                 {"inodes", std::to_string(limits.inodes.value_or(kInodes) + kOurInodes)},
                 {"open_files", std::to_string(limits.open_files.value_or(kOpenFiles))},
                 {"memory", std::to_string(limits.memory.value_or(kMemory))}};
  return made;
}

}  // namespace stockade::supervisor
