#include "inspect/finding.h"

#include <fmt/format.h>

#include <algorithm>

namespace stockade::inspect {

std::string_view to_string(Severity severity) {
  switch (severity) {
    case Severity::low:
      return "low";
    case Severity::medium:
      return "medium";
    case Severity::high:
      return "high";
    case Severity::critical:
      return "critical";
  }
  return "high";
}

std::string_view to_string(Direction direction) { return direction == Direction::out ? "out" : "in"; }

std::optional<Severity> parse_severity(std::string_view word) {
  for (const Severity severity : {Severity::low, Severity::medium, Severity::high, Severity::critical})
    if (to_string(severity) == word) return severity;
  return std::nullopt;
}

std::string mask(std::string_view secret) {
  std::string shown(secret.substr(0, std::min<size_t>(4, secret.size() / 4)));
  for (char& c : shown)
    if (c <= ' ' || c > '~') c = '?';
  return fmt::format("{}…({})", shown, secret.size());
}

}  // namespace stockade::inspect
