#include "supervisor/prepare.h"

#include <sys/stat.h>
#include <unistd.h>

#include "policy/effective.h"
#include "policy/reports.h"
#include "policy/run_tests.h"
#include "policy/trust.h"
#include "sandbox/cgroup.h"
#include "sandbox/host_tree.h"

namespace stockade::supervisor {

namespace {

// Where the shell would find the command; as typed where it would find none (compile() then says so).
std::string resolve_program(const std::string& word, std::string_view path) {
  if (word.find('/') != std::string::npos) return word;
  while (!path.empty()) {
    const auto colon = path.find(':');
    const std::string candidate = std::string(path.substr(0, colon)) + "/" + word;
    struct stat found;
    if (candidate[0] == '/' && ::stat(candidate.c_str(), &found) == 0 && S_ISREG(found.st_mode) &&
        ::access(candidate.c_str(), X_OK) == 0)
      return candidate;
    if (colon == std::string_view::npos) break;
    path.remove_prefix(colon + 1);
  }
  return word;
}

Result<void> run_own_tests(const policy::Policy& policy) {
  const auto failures = policy::failed_tests(policy);
  if (failures.empty()) return {};
  return std::unexpected(Error(ErrorKind::invalid_input, "the policy fails its own tests:\n" + policy::render(failures))
                             .hint("see: stockade policy test"));
}

}  // namespace

Result<Prepared> prepare_run(const PrepareRequest& request) {
  STOCKADE_ASSIGN(auto tree, sandbox::HostTree::open());
  STOCKADE_ASSIGN(auto person, sandbox::Person::of_this_process());
  STOCKADE_ASSIGN(auto surroundings, sandbox::survey_host(tree, std::move(person)));
  Prepared prepared{{}, std::move(surroundings), {}, sandbox::find_own_cgroups(), {}};
  prepared.policy_surroundings = sandbox::for_policy(prepared.surroundings);
  policy::Request layers;
  layers.policy_file = request.policy_file;
  if (!request.preset.empty()) layers.presets = {request.preset};
  if (!request.command.empty())
    layers.program = resolve_program(request.command.front(), prepared.surroundings.variable("PATH"));
  prepared.layered = policy::layer(layers, prepared.policy_surroundings);
  if (!prepared.layered.usable()) return std::unexpected(policy::as_error(prepared.layered));
  STOCKADE_TRY(run_own_tests(prepared.layered.policy));
  STOCKADE_TRY(make_places({prepared.surroundings.state_dir, prepared.surroundings.runtime_dir}));
  sandbox::CompileOptions options;
  options.command = request.command;
  options.terminal = request.terminal;
  options.support = sandbox::probe_limit_support(prepared.cgroups);
  STOCKADE_ASSIGN(prepared.compiled, sandbox::compile(prepared.layered.policy, prepared.surroundings, tree, options));
  return prepared;
}

Result<policy::Layered> layer_firewall_policy(const std::string& file) {
  STOCKADE_ASSIGN(auto tree, sandbox::HostTree::open());
  STOCKADE_ASSIGN(auto person, sandbox::Person::of_this_process());
  STOCKADE_ASSIGN(const auto host, sandbox::survey_host(tree, std::move(person)));
  auto surroundings = sandbox::for_policy(host);
  STOCKADE_ASSIGN(surroundings.written_places, policy::written_places(host.state_dir));
  policy::Request request;
  request.policy_file = file;
  auto layered = policy::layer(request, surroundings);
  if (layered.usable()) STOCKADE_TRY(run_own_tests(layered.policy));
  return layered;
}

Result<RunSettings> make_settings(Prepared prepared, const std::string& name) {
  STOCKADE_TRY(policy::record_start(prepared.layered, prepared.policy_surroundings));
  RunSettings settings;
  settings.effective_policy = policy::to_json(prepared.layered.policy);
  settings.policy_digest = policy::policy_hash(prepared.layered.policy);
  settings.policy = std::move(prepared.layered.policy);
  settings.plan = std::move(prepared.compiled.plan);
  settings.writable_trees = std::move(prepared.compiled.writable_trees);
  settings.places = Places{prepared.surroundings.state_dir, prepared.surroundings.runtime_dir};
  settings.cgroups = std::move(prepared.cgroups);
  settings.name = name;
  for (const auto& source : prepared.layered.sources) settings.policy_sources.push_back(source.name);
  return settings;
}

}  // namespace stockade::supervisor
