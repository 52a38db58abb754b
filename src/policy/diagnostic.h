// Diagnostic: one thing that is wrong with (or worth knowing about) a policy, at the place where it was written.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/policy.h"

namespace stockade::policy {

struct Diagnostic {
  Location where;
  std::string message;
  std::string hint;      // what to do about it; may be empty
  bool unbuilt = false;  // valid by the contract, but this version cannot do it

  std::string render() const;  // "policy.yaml:3:5: message; hint"
};

using Diagnostics = std::vector<Diagnostic>;

std::string render(const Diagnostics& diagnostics);  // one a line
// Text that came from a file or an agent: in quotes, safe for a terminal, cut.
std::string quoted(std::string_view text, size_t limit = 60);
// "a", "a and b", "a, b and c".
std::string join_words(const std::vector<std::string>& words, std::string_view last = "and");

}  // namespace stockade::policy
