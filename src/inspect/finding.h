// What an inspection found: a value, nothing in it that would itself be a leak. The secret is never part of a finding:
// the excerpt is masked, and the fingerprint is keyed (BLAKE2b, the engine's key), so that two findings can be told to
// be of the same secret only by who holds the key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace stockade::inspect {

enum class Severity : uint8_t { low, medium, high, critical };
enum class Direction : uint8_t { out, in };

std::string_view to_string(Severity severity);
std::string_view to_string(Direction direction);
std::optional<Severity> parse_severity(std::string_view word);

struct Finding {
  std::string rule;
  std::string title;
  Severity severity = Severity::high;
  Direction direction = Direction::out;
  std::string place;    // "body", "header:authorization", "query:key"
  std::string through;  // what it was decoded through, outermost first: "gzip,base64"; empty: it stood there plainly
  uint64_t begin = 0;   // in the raw bytes of the place: [begin, end) is what must not leave
  uint64_t end = 0;
  std::string excerpt;      // masked: "AKIA…(20)"
  std::string fingerprint;  // hex
};

// The first few characters (a fourth of it at most, 4 bytes at most), and its length: "ghp_…(40)". Never more of the
// value than its public prefix tells anyhow; control and foreign bytes as "?".
std::string mask(std::string_view secret);

}  // namespace stockade::inspect
