#include "event/event.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "event/log_text.h"

namespace stockade::event {
namespace {

constexpr std::array<std::string_view, 5> kWalls = {"tools", "sandbox", "network", "data", "monitor"};
constexpr std::array<std::string_view, 7> kDecisions = {"allow", "log", "ask", "redact", "deny", "pause", "kill"};

constexpr size_t kRunLimit = 64;
constexpr size_t kKindLimit = 48;
constexpr size_t kTextLimit = 512;
constexpr size_t kPlaceLimit = 256;
constexpr size_t kKeyLimit = 48;

template <typename E, size_t N>
std::optional<E> find_word(const std::array<std::string_view, N>& words, std::string_view text) {
  const auto found = std::find(words.begin(), words.end(), text);
  if (found == words.end()) return std::nullopt;
  return static_cast<E>(found - words.begin());
}

void append_field(std::string& out, std::string_view key, std::string_view text, size_t limit) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":\"", key);
  append_json_text(out, text, limit);
  out += '"';
}

void append_evidence(std::string& out, const Evidence& evidence) {
  const size_t shown = evidence.size() > kEvidenceLimit ? kEvidenceLimit - 1 : evidence.size();
  std::vector<std::string> keys;
  out += ",\"evidence\":{";
  const auto append = [&](std::string_view key, std::string_view value) {
    std::string encoded;
    append_json_text(encoded, key, kKeyLimit);
    const std::string stem = encoded;
    for (int twin = 2; std::find(keys.begin(), keys.end(), encoded) != keys.end(); ++twin)
      encoded = fmt::format("{}#{}", stem, twin);
    fmt::format_to(std::back_inserter(out), "{}\"{}\":\"", keys.empty() ? "" : ",", encoded);
    append_json_text(out, value, kTextLimit);
    out += '"';
    keys.push_back(std::move(encoded));
  };
  for (size_t i = 0; i < shown; ++i) append(evidence[i].first, evidence[i].second);
  if (shown < evidence.size()) append("more", fmt::format("{} entries left out", evidence.size() - shown));
  out += '}';
}

// Reads exactly what the encoder writes; anything else stops it.
class Cursor {
 public:
  explicit Cursor(std::string_view line) : line_(line) {}

  bool accept(std::string_view literal) {
    if (!line_.substr(at_).starts_with(literal)) return false;
    at_ += literal.size();
    return true;
  }
  bool number(uint64_t& value) {
    const auto [end, error] = std::from_chars(line_.data() + at_, line_.data() + line_.size(), value);
    if (error != std::errc()) return false;
    at_ = static_cast<size_t>(end - line_.data());
    return true;
  }
  // The rest of a string whose opening quote was read.
  bool text(std::string& out) {
    out.clear();
    while (at_ < line_.size()) {
      const char c = line_[at_++];
      if (c == '"') return true;
      if (c != '\\') {
        out += c;
      } else if (accept("\"")) {
        out += '"';
      } else if (accept("\\")) {
        out += '\\';
      } else if (!unicode_escape(out)) {
        return false;
      }
    }
    return false;
  }
  bool hex(uint8_t* bytes, size_t size) {
    if (!from_hex(line_.substr(at_, size * 2), bytes, size)) return false;
    at_ += size * 2;
    return accept("\"");
  }
  size_t at() const { return at_; }
  bool finished() const { return at_ == line_.size(); }

 private:
  bool unit(uint32_t& value) {
    if (!accept("u") || at_ + 4 > line_.size()) return false;
    const char* begin = line_.data() + at_;
    if (std::from_chars(begin, begin + 4, value, 16).ptr != begin + 4) return false;
    at_ += 4;
    return true;
  }
  bool unicode_escape(std::string& out) {
    uint32_t value = 0;
    if (!unit(value)) return false;
    if (value >= 0xd800 && value < 0xdc00) {
      uint32_t low = 0;
      if (!accept("\\") || !unit(low) || low < 0xdc00 || low > 0xdfff) return false;
      value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
    }
    const auto byte = [&out](uint32_t bits) { out += static_cast<char>(bits); };
    if (value < 0x80) {
      byte(value);
    } else if (value < 0x800) {
      byte(0xc0 | value >> 6);
      byte(0x80 | (value & 0x3f));
    } else if (value < 0x10000) {
      byte(0xe0 | value >> 12);
      byte(0x80 | (value >> 6 & 0x3f));
      byte(0x80 | (value & 0x3f));
    } else {
      byte(0xf0 | value >> 18);
      byte(0x80 | (value >> 12 & 0x3f));
      byte(0x80 | (value >> 6 & 0x3f));
      byte(0x80 | (value & 0x3f));
    }
    return true;
  }

  std::string_view line_;
  size_t at_ = 0;
};

bool parse_time(std::string_view text, WallTime& time) {
  int part[7] = {};
  constexpr struct {
    size_t at, size;
  } kParts[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}, {20, 6}};
  if (text.size() != 27) return false;
  for (size_t i = 0; i < std::size(kParts); ++i) {
    const char* begin = text.data() + kParts[i].at;
    if (std::from_chars(begin, begin + kParts[i].size, part[i]).ptr != begin + kParts[i].size) return false;
  }
  const std::chrono::year_month_day day{std::chrono::year(part[0]), std::chrono::month(static_cast<unsigned>(part[1])),
                                        std::chrono::day(static_cast<unsigned>(part[2]))};
  // Nanoseconds since 1970 in 64 bits end in 2262; the round trip through format_time() refuses all else.
  if (!day.ok() || part[0] < 1970 || part[0] > 2261) return false;
  time = WallTime(std::chrono::sys_days(day).time_since_epoch()) + std::chrono::hours(part[3]) +
         std::chrono::minutes(part[4]) + std::chrono::seconds(part[5]) + std::chrono::microseconds(part[6]);
  return true;
}

bool decode_evidence(Cursor& cursor, Evidence& evidence) {
  while (evidence.size() < kEvidenceLimit) {
    auto& [key, value] = evidence.emplace_back();
    if (!cursor.accept("\"") || !cursor.text(key) || !cursor.accept(":\"") || !cursor.text(value)) return false;
    if (cursor.accept("}")) return true;
    if (!cursor.accept(",")) return false;
  }
  return false;
}

bool decode_body(Cursor& cursor, Event& event) {
  std::string time, wall, decision;
  if (!cursor.accept("{\"seq\":") || !cursor.number(event.seq) || !cursor.accept(",\"time\":\"") ||
      !cursor.text(time) || !parse_time(time, event.time) || !cursor.accept(",\"run\":\"") || !cursor.text(event.run) ||
      !cursor.accept(",\"wall\":\"") || !cursor.text(wall) || !cursor.accept(",\"kind\":\"") ||
      !cursor.text(event.kind) || !cursor.accept(",\"subject\":\"") || !cursor.text(event.subject) ||
      !cursor.accept(",\"decision\":\"") || !cursor.text(decision))
    return false;
  const auto known_wall = parse_wall(wall);
  const auto known_decision = parse_decision(decision);
  if (!known_wall || !known_decision) return false;
  event.wall = *known_wall;
  event.decision = *known_decision;
  if (cursor.accept(",\"rule\":\"") && !cursor.text(event.rule)) return false;
  if (cursor.accept(",\"where\":\"") && !cursor.text(event.where)) return false;
  if (cursor.accept(",\"reason\":\"") && !cursor.text(event.reason)) return false;
  if (cursor.accept(",\"hint\":\"") && !cursor.text(event.hint)) return false;
  if (cursor.accept(",\"evidence\":{") && !decode_evidence(cursor, event.evidence)) return false;
  if (cursor.accept(",\"count\":") && !cursor.number(event.count)) return false;
  return cursor.accept(",\"prev\":\"") && cursor.hex(event.prev.data(), event.prev.size());
}

}  // namespace

std::string_view to_string(Wall wall) { return kWalls[static_cast<size_t>(wall)]; }
std::string_view to_string(Decision decision) { return kDecisions[static_cast<size_t>(decision)]; }
std::optional<Wall> parse_wall(std::string_view text) { return find_word<Wall>(kWalls, text); }
std::optional<Decision> parse_decision(std::string_view text) { return find_word<Decision>(kDecisions, text); }

bool is_reserved_kind(std::string_view name) {
  return name == kind::kStart || name == kind::kCheckpoint || name == kind::kFolded || name == kind::kEnd ||
         name == kind::kUncleanEnd;
}

const std::string* Event::find_evidence(std::string_view key) const {
  for (const auto& [name, value] : evidence)
    if (name == key) return &value;
  return nullptr;
}

std::string encode_body(const Event& event) {
  std::string out = fmt::format("{{\"seq\":{},\"time\":\"{}\"", event.seq, format_time(event.time));
  append_field(out, "run", event.run, kRunLimit);
  append_field(out, "wall", to_string(event.wall), kKindLimit);
  append_field(out, "kind", event.kind, kKindLimit);
  append_field(out, "subject", event.subject, kSubjectLimit);
  append_field(out, "decision", to_string(event.decision), kKindLimit);
  if (!event.rule.empty()) append_field(out, "rule", event.rule, kPlaceLimit);
  if (!event.where.empty()) append_field(out, "where", event.where, kPlaceLimit);
  if (!event.reason.empty()) append_field(out, "reason", event.reason, kTextLimit);
  if (!event.hint.empty()) append_field(out, "hint", event.hint, kTextLimit);
  if (!event.evidence.empty()) append_evidence(out, event.evidence);
  if (event.count != 1) fmt::format_to(std::back_inserter(out), ",\"count\":{}", event.count);
  fmt::format_to(std::back_inserter(out), ",\"prev\":\"{}\"", to_hex(event.prev.data(), event.prev.size()));
  return out;
}

std::string encode_line(std::string_view body, const Event& event) {
  std::string out = fmt::format("{},\"hash\":\"{}\"", body, to_hex(event.hash.data(), event.hash.size()));
  if (event.signature)
    fmt::format_to(std::back_inserter(out), ",\"sig\":\"{}\"",
                   to_hex(event.signature->data(), event.signature->size()));
  out += "}\n";
  return out;
}

Result<Event> decode_line(std::string_view line, size_t* body_size) {
  if (line.size() > kLineLimit) return fail(ErrorKind::invalid_input, "longer than {} bytes", kLineLimit);
  Event event;
  Cursor cursor(line);
  bool ok = decode_body(cursor, event);
  const size_t body_end = cursor.at();
  ok = ok && cursor.accept(",\"hash\":\"") && cursor.hex(event.hash.data(), event.hash.size());
  if (ok && cursor.accept(",\"sig\":\"")) ok = cursor.hex(event.signature.emplace().data(), sizeof(Signature));
  ok = ok && cursor.accept("}") && cursor.finished();
  if (!ok) return fail(ErrorKind::invalid_input, "not a record of this log's format, near byte {}", cursor.at() + 1);
  if (encode_body(event) != line.substr(0, body_end))
    return fail(ErrorKind::invalid_input, "not written by this log: its text has another spelling");
  if (body_size) *body_size = body_end;
  return event;
}

std::string format_time(WallTime time) {
  // Before 1970 or past 2261 the clock is wrong, and the calendar below would be too.
  const auto since = std::max(time.time_since_epoch(), Duration::zero());
  const auto days = std::chrono::floor<std::chrono::days>(since);
  const std::chrono::year_month_day day{std::chrono::sys_days(days)};
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(since - days).count();
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(day.year()),
                     static_cast<unsigned>(day.month()), static_cast<unsigned>(day.day()), micros / 3'600'000'000,
                     micros / 60'000'000 % 60, micros / 1'000'000 % 60, micros % 1'000'000);
}

std::string to_hex(const uint8_t* bytes, size_t size) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out(size * 2, '0');
  for (size_t i = 0; i < size; ++i) {
    out[i * 2] = kDigits[bytes[i] >> 4];
    out[i * 2 + 1] = kDigits[bytes[i] & 15];
  }
  return out;
}

bool from_hex(std::string_view text, uint8_t* bytes, size_t size) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (text.size() != size * 2) return false;
  for (size_t i = 0; i < size; ++i) {
    const int high = digit(text[i * 2]);
    const int low = digit(text[i * 2 + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

}  // namespace stockade::event
