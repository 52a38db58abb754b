// Event: one thing that a process of ours decided. Every part makes events; the audit log stores them, limits and rules
// consume them, `logs`, `audit` and `why` are views of them. A plain value; the log alone fills seq, time, run and the
// chain. Texts may hold bytes that the agent chose: the encoder escapes and bounds them (docs/events.md has the
// format). Secrets never appear: evidence names a pattern and a place, it does not quote a value.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"

namespace stockade::event {

// The five walls, in their order (design: rule 8).
enum class Wall { tools, sandbox, network, data, monitor };
enum class Decision { allow, log, ask, redact, deny, pause, kill };

std::string_view to_string(Wall wall);
std::string_view to_string(Decision decision);
std::optional<Wall> parse_wall(std::string_view text);
std::optional<Decision> parse_decision(std::string_view text);

// Kinds that the log writes itself and refuses from anybody else.
namespace kind {
inline constexpr std::string_view kStart = "start";
inline constexpr std::string_view kCheckpoint = "checkpoint";
inline constexpr std::string_view kFolded = "folded";
inline constexpr std::string_view kEnd = "end";
inline constexpr std::string_view kUncleanEnd = "unclean_end";
// Kinds that limits count (monitor/limits.h). Others are free.
inline constexpr std::string_view kConnect = "connect";
inline constexpr std::string_view kRequest = "request";
inline constexpr std::string_view kName = "name";
}  // namespace kind
bool is_reserved_kind(std::string_view kind);

using Digest = std::array<uint8_t, 32>;
using Signature = std::array<uint8_t, 64>;
using Evidence = std::vector<std::pair<std::string, std::string>>;

struct Event {
  uint64_t seq = 0;  // from 1, without gaps
  WallTime time{};   // microseconds are kept
  std::string run;
  Wall wall = Wall::monitor;
  std::string kind;
  std::string subject;  // what it was about: "evil.example:443", a path, a program
  Decision decision = Decision::log;
  std::string rule;    // the rule's own text or path: "network.allow"
  std::string where;   // file:line:column of the rule, or of the section that would have to allow it
  std::string reason;  // one sentence
  std::string hint;    // what would allow it
  Evidence evidence;   // small, ordered, keys differ
  uint64_t count = 1;  // a folded event: how many it stands for
  Digest prev{};
  Digest hash{};
  std::optional<Signature> signature;  // checkpoints and ends

  const std::string* find_evidence(std::string_view key) const;
  bool operator==(const Event&) const = default;
};

// Bounds of an encoded line, in bytes; longer texts are cut.
inline constexpr size_t kLineLimit = 16 * 1024;
inline constexpr size_t kSubjectLimit = 512;
inline constexpr size_t kEvidenceLimit = 12;  // entries

// The line up to and including `"prev":"…"`: what the hash is taken over.
std::string encode_body(const Event& event);
// One JSON object and a newline. `body` is encode_body(event).
std::string encode_line(std::string_view body, const Event& event);
// The inverse, and strict: only bytes that encode_line() gives are accepted (so no key is doubled, no text has two
// spellings). `line` has no newline. Sets `body_size` to the length of what the hash covers.
Result<Event> decode_line(std::string_view line, size_t* body_size = nullptr);

std::string format_time(WallTime time);  // 2026-08-25T12:34:56.123456Z

std::string to_hex(const uint8_t* bytes, size_t size);
bool from_hex(std::string_view text, uint8_t* bytes, size_t size);

}  // namespace stockade::event
