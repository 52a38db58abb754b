// A policy file as an agent may have written it (.stockade.yaml): loaded, layered under nothing, judged, narrowed,
// explained and compared. What loads also loads from its effective text, to the same policy.
// covers: src/policy/yaml_tree.cc src/policy/reader.cc src/policy/load.cc src/policy/load_files.cc
// src/policy/load_network.cc src/policy/load_sandbox.cc src/policy/load_tests.cc src/policy/units.cc src/policy/glob.cc
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "policy/ceiling.h"
#include "policy/check.h"
#include "policy/decision.h"
#include "policy/diff.h"
#include "policy/effective.h"
#include "policy/explain.h"
#include "policy/glob.h"
#include "policy/judge_files.h"
#include "policy/load.h"
#include "policy/run_tests.h"
#include "policy/surroundings_fixture.h"
#include "policy/units.h"
#include "policy/yaml_tree.h"

namespace {

using namespace stockade;
using namespace stockade::policy;

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_clean_path(std::string_view path) {
  return path.starts_with('/') && path.find("//") == std::string_view::npos &&
         path.find("/../") == std::string_view::npos && !path.ends_with("/..") &&
         path.find('\0') == std::string_view::npos && path.find('\n') == std::string_view::npos;
}

// What the enforcing processes rely on.
void check_promises(const Policy& policy) {
  for (const NetworkRule& rule : policy.network.allow) {
    require(rule.address.has_value() == rule.host.empty());
    require(!rule.ports.empty());
    for (const PortRange& range : rule.ports) require(range.first > 0 && range.first <= range.last);
    if (!rule.host.empty()) {
      const std::string name = rule.host.starts_with("*.") ? rule.host.substr(2) : rule.host;
      require(canonical_host(name) == name);
    }
    const bool may_be_tls = rule.protocol == Protocol::automatic || rule.protocol == Protocol::tls;
    require(may_be_tls ? rule.tls != TlsMode::unset : rule.tls != TlsMode::inspect);
    require(rule.protocol == Protocol::http || rule.tls == TlsMode::inspect ||
            (rule.methods.empty() && rule.paths.empty()));
    require(!rule.ask);
  }
  for (const FileRule& rule : policy.files) {
    if (rule.access == Access::hide) {
      require(rule.at.empty() && rule.host.find("..") == std::string::npos
                  ? true
                  : rule.host.find("/../") == std::string::npos);
      continue;
    }
    require(is_clean_path(rule.host) && is_clean_path(rule.at) && rule.at != "/");
    require(!is_within(rule.at, "/proc") && !is_within(rule.at, "/dev") && !is_within(rule.at, "/sys"));
    for (const std::string& socket : rule.sockets) require(is_within(socket, rule.host));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Surroundings here = adas_surroundings();
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const LoadOutcome outcome = load_policy(bytes, "p", here);
  (void)render(outcome.errors);
  require(outcome.errors.size() <= kDiagnosticLimit + 1);
  if (!outcome.errors.empty()) return 0;
  const Policy& policy = outcome.policy;
  check_promises(policy);

  const std::string text = to_json(policy);
  if (text.size() <= kFileLimit) {
    const LoadOutcome again = load_policy(text, "again", here);
    if (!again.errors.empty()) std::fputs(render(again.errors).c_str(), stderr);
    require(again.errors.empty() && to_json(again.policy) == text);
    require(compare(policy, again.policy, here).empty());
  }
  (void)check(policy, here);
  (void)failed_tests(policy);
  for (const FileRule& rule : policy.files)
    if (rule.access != Access::hide && hidden_by(policy, rule.host + "/x") == nullptr &&
        mount_of(policy, rule.at + "/x") == &rule)
      require((judge_write(policy, rule.at + "/x").action == Action::allow) == (rule.access != Access::read));

  // A ceiling takes away from a broad policy, and never adds: nothing is wider than before.
  static const LoadOutcome broad = load_policy(
      "{version: 1, network: {allow: [{host: '*.example.com', ports: [1-65535], protocol: tcp}, {address: 0.0.0.0/0, "
      "tls: passthrough}]}, "
      "files: [{host: /srv, access: write}, {host: /srv/x, access: read}], limits: {time: 1h}, sandbox: {env: {pass: "
      "[TERM], proxy: true}}}",
      "broad", here);
  require(broad.errors.empty());
  Policy narrowed = broad.policy;
  Diagnostics notes;
  narrow(narrowed, outcome, here, notes);
  for (const NetworkRule& rule : narrowed.network.allow) require(rule.subject() != "10.0.0.0/8");
  require(narrowed.files.size() <= broad.policy.files.size() + policy.files.size());
  for (const Change& change : compare(broad.policy, narrowed, here)) {
    if (!change.widens) continue;
    std::fputs((change.text + "\n").c_str(), stderr);
    std::abort();
  }
  Layered layered;
  layered.policy = policy;
  (void)to_text(explain(layered, {}, here));
  return 0;
}
