// What each `stockade policy …` verb prints, as text for a person and as JSON; the verbs only choose. Surroundings are
// the caller's; only trust_report() writes (the state directory).
#pragma once

#include "policy/explain.h"

namespace stockade::policy {

struct Report {
  bool ok = true;    // false: exit 1 (check, test: errors; diff: it widens)
  std::string text;  // ends in a line break
  std::string json;  // one object
};

// `policy init`: a commented policy for the current directory (prints; the verb writes it where it is told).
Report init_report(const Surroundings& surroundings);
Report check_report(const std::string& file, const Surroundings& surroundings);
Report explain_report(const Layered& layered, std::span<const LimitStrength> strengths,
                      const Surroundings& surroundings);
Report explain_report(const std::string& file, std::span<const LimitStrength> strengths,
                      const Surroundings& surroundings);
Report test_report(const std::string& file, const Surroundings& surroundings);
Report diff_report(const std::string& before, const std::string& after, const Surroundings& surroundings);
// Trusts the content that is explained in the text, at the file's real path; refuses what does not load.
Report trust_report(const std::string& file, const Surroundings& surroundings);

// `stockade run`: the errors of a layered policy as one Error (its kind says whether something is not built yet).
Error as_error(const Layered& layered);

}  // namespace stockade::policy
