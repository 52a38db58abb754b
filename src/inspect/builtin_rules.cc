#include "inspect/builtin/embedded.h"
#include "inspect/compiled_rules.h"

namespace stockade::inspect {

namespace {
constexpr const char* kFile = "rules/secrets.yaml";
}

Result<std::vector<Rule>> builtin_rules() { return parse_rules(builtin_rules_yaml(), kFile); }

Result<std::shared_ptr<const CompiledRules>> CompiledRules::builtin() {
  return open(builtin_rule_image(), builtin_rules_yaml(), kFile);
}

}  // namespace stockade::inspect
