// The images (pattern_database.h) that builtin/generate_main.cc made of rules/ and that the program holds: no run
// depends on (and no agent can write) a file of ours. The text of the rules is for tests, and for a library that can't
// use the image. Constants, any thread.
#pragma once

#include <string_view>

#include "inspect/pattern_database.h"

namespace stockade::inspect {

std::string_view builtin_rules_yaml();  // rules/secrets.yaml
Image builtin_rule_image();             // a CompiledRules
Image builtin_term_image();             // the terms of the injection rules

}  // namespace stockade::inspect
