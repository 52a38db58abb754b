#include "model/json_cursor.h"

#include <bit>
#include <cstring>

namespace stockade::model {

namespace {

constexpr size_t kNumberLimit = 512;
constexpr size_t kLinearKeys = 24;   // more in one object go to the table
constexpr size_t kProbeLimit = 256;  // at most half full, honest keys never come near

constexpr uint64_t kOnes = 0x0101010101010101;
constexpr uint64_t kHighs = 0x8080808080808080;

// The high bit of each byte that is a quote, a backslash, a control character or not ASCII. A byte above a true one may
// be marked wrongly (the borrow), never one below the first: only the first is used.
uint64_t special_bytes(uint64_t word) {
  const auto is = [&](uint64_t c) {
    const uint64_t x = word ^ (kOnes * c);
    return (x - kOnes) & ~x;
  };
  return (is('"') | is('\\') | ((word - kOnes * 0x20) & ~word) | word) & kHighs;
}

uint64_t load(const char* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

// The first byte of text at or after `at` that ends a run of plain ASCII in a string.
size_t skip_plain(std::string_view text, size_t at) {
  while (at + 8 <= text.size()) {
    const uint64_t special = special_bytes(load(text.data() + at));
    if (special != 0) {
      if constexpr (std::endian::native == std::endian::little)
        return at + static_cast<size_t>(std::countr_zero(special)) / 8;
      break;
    }
    at += 8;
  }
  for (; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    if (c == '"' || c == '\\' || c < 0x20 || c >= 0x80) break;
  }
  return at;
}

uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = 0x9e3779b97f4a7c15 ^ bytes.size();
  const auto mix = [&](uint64_t word) {
    const auto product = static_cast<unsigned __int128>(hash ^ word) * 0xd6e8feb86659fd93;
    hash = static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) mix(load(bytes.data() + at));
  uint64_t rest = 0;
  for (size_t shift = 0; at < bytes.size(); ++at, shift += 8)
    rest |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[at])) << shift;
  mix(rest);
  mix(0x2545f4914f6cdd1d);
  return hash;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_number(std::string_view text) {
  size_t at = 0;
  const auto digits = [&] {
    const size_t from = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at > from;
  };
  if (at < text.size() && text[at] == '-') ++at;
  if (at < text.size() && text[at] == '0') {
    ++at;
  } else if (!digits()) {
    return false;
  }
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (!digits()) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (!digits()) return false;
  }
  return at == text.size();
}

std::string_view inside_of(std::string_view text, const JsonNode& node) {
  return text.substr(node.begin + 1, node.end - node.begin - 2);
}

}  // namespace

int utf8_sequence_length(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(0);
  unsigned char low = 0x80, high = 0xbf;
  int length = 0;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  for (size_t i = 1; i < static_cast<size_t>(length); ++i) {
    if (i == bytes.size()) return -1;
    if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xbf)) return 0;
  }
  return length;
}

std::unexpected<Error> JsonCursor::refuse(std::string_view what) const {
  return fail(ErrorKind::protocol, "JSON with {} at byte {}", what, at_);
}

void JsonCursor::reset() {
  state_ = State::value;
  at_ = 0;
  nodes_.clear();
  frames_.clear();
  keys_.clear();
  if (table_used_ > 0) table_.clear();
  table_used_ = 0;
}

Result<uint32_t> JsonCursor::add(JsonType type) {
  if (nodes_.size() >= limits_.nodes) return fail(ErrorKind::limit, "JSON with more than {} values", limits_.nodes);
  const auto node = static_cast<uint32_t>(nodes_.size());
  JsonNode made;
  made.begin = made.end = static_cast<uint32_t>(at_);
  made.type = type;
  if (!frames_.empty()) {
    Frame& frame = frames_.back();
    made.parent = frame.node;
    JsonNode& container = nodes_[frame.node];
    const bool in_object = container.type == JsonType::object;
    if (frame.last != kNoNode) nodes_[frame.last].next = node;
    made.index = in_object && type != JsonType::key ? container.count - 1 : container.count++;
    frame.last = node;
  }
  nodes_.push_back(made);
  return node;
}

Result<void> JsonCursor::open_leaf(JsonType type) {
  STOCKADE_ASSIGN(open_, add(type));
  return {};
}

void JsonCursor::after_value() { state_ = frames_.empty() ? State::done : State::comma; }

Result<void> JsonCursor::open(JsonType type) {
  if (frames_.size() >= limits_.depth) return fail(ErrorKind::limit, "JSON nested deeper than {}", limits_.depth);
  STOCKADE_ASSIGN(const uint32_t node, add(type));
  frames_.push_back({node, kNoNode, static_cast<uint32_t>(keys_.size())});
  state_ = type == JsonType::object ? State::first_key : State::first_element;
  ++at_;
  return {};
}

Result<void> JsonCursor::close(JsonType type) {
  const Frame& frame = frames_.back();
  JsonNode& node = nodes_[frame.node];
  if (node.type != type) return refuse("brackets that do not match");
  node.end = static_cast<uint32_t>(++at_);
  keys_.resize(frame.keys_from);
  frames_.pop_back();
  after_value();
  return {};
}

Result<void> JsonCursor::begin_value(std::string_view text) {
  const char c = text[at_];
  if (c == '{') return open(JsonType::object);
  if (c == '[') return open(JsonType::array);
  JsonType type = JsonType::number;
  State next = State::number;
  if (c == '"') {
    type = JsonType::string;
    next = State::string;
  } else if (c == 't' || c == 'f' || c == 'n') {
    type = c == 't' ? JsonType::true_value : c == 'f' ? JsonType::false_value : JsonType::null_value;
    next = State::literal;
  } else if (c != '-' && (c < '0' || c > '9')) {
    return refuse("something that begins no value");
  }
  STOCKADE_TRY(open_leaf(type));
  state_ = next;
  if (next == State::string) ++at_;
  return {};
}

Result<bool> JsonCursor::read_string(std::string_view text) {
  for (;;) {
    at_ = skip_plain(text, at_);
    if (at_ == text.size()) return false;
    const char c = text[at_];
    if (c == '"') {
      nodes_[open_].end = static_cast<uint32_t>(++at_);
      return true;
    }
    if (c == '\\') {
      nodes_[open_].escaped = true;
      if (at_ + 1 == text.size()) return false;
      const char kind = text[at_ + 1];
      if (kind == 'u') {
        for (size_t i = 2; i < 6; ++i) {
          if (at_ + i == text.size()) return false;
          if (hex_value(text[at_ + i]) < 0) return refuse("a bad \\u escape");
        }
        at_ += 6;
#ifdef STOCKADE_PLANTED_BUG
      } else {
        // Takes any letter after a backslash.
#else
      } else if (std::string_view("\"\\/bfnrt").find(kind) == std::string_view::npos) {
        return refuse("a bad escape");
      } else {
#endif
        at_ += 2;
      }
      continue;
    }
    if (static_cast<unsigned char>(c) < 0x20) return refuse("a control character in a string");
    const int length = utf8_sequence_length(text.substr(at_));
    if (length < 0) return false;
    if (length == 0) return refuse("text that is not UTF-8");
    at_ += static_cast<size_t>(length);
  }
}

Result<bool> JsonCursor::read_number(std::string_view text, bool last) {
  const size_t begin = nodes_[open_].begin;
  while (at_ < text.size() && ((text[at_] >= '0' && text[at_] <= '9') || text[at_] == '-' || text[at_] == '+' ||
                               text[at_] == '.' || text[at_] == 'e' || text[at_] == 'E'))
    ++at_;
  if (at_ - begin > kNumberLimit)
    return fail(ErrorKind::limit, "JSON with a number of more than {} digits", kNumberLimit);
  if (at_ == text.size() && !last) return false;
  if (!is_number(text.substr(begin, at_ - begin))) return refuse("a bad number");
  nodes_[open_].end = static_cast<uint32_t>(at_);
  return true;
}

Result<bool> JsonCursor::read_literal(std::string_view text) {
  JsonNode& node = nodes_[open_];
  const std::string_view word = node.type == JsonType::true_value    ? "true"
                                : node.type == JsonType::false_value ? "false"
                                                                     : "null";
  while (at_ - node.begin < word.size()) {
    if (at_ == text.size()) return false;
    if (text[at_] != word[at_ - node.begin]) return refuse("something that begins no value");
    ++at_;
  }
  node.end = static_cast<uint32_t>(at_);
  return true;
}

Result<void> JsonCursor::check_key(std::string_view text, uint32_t node) {
  const auto decoded = [&](uint32_t which, std::string& room) -> std::string_view {
    const std::string_view inside = inside_of(text, nodes_[which]);
    if (!nodes_[which].escaped) return inside;
    room.clear();
    (void)decode_json_string(inside, room);
    return room;
  };
  std::string room;
  if (nodes_[node].escaped && !decode_json_string(inside_of(text, nodes_[node]), room))
    return refuse("a lone surrogate in a key");
  const Key key{hash_bytes(decoded(node, room)), node};
  const Frame& frame = frames_.back();
  const size_t count = nodes_[frame.node].count;
  if (count > kLinearKeys) {
    if (count == kLinearKeys + 1)
      for (size_t i = frame.keys_from; i < keys_.size(); ++i) STOCKADE_TRY(check_in_table(text, frame.node, keys_[i]));
    return check_in_table(text, frame.node, key);
  }
  for (size_t i = frame.keys_from; i < keys_.size(); ++i) {
    if (keys_[i].hash != key.hash) continue;
    std::string other_room;
    if (decoded(keys_[i].node, other_room) == decoded(node, room)) return refuse("the same key twice in one object");
  }
  keys_.push_back(key);
  return {};
}

void JsonCursor::grow_table() {
  std::vector<Slot> larger(table_.empty() ? 256 : table_.size() * 2);
  for (const Slot& slot : table_) {
    if (slot.node == kNoNode) continue;
    size_t at = slot.hash & (larger.size() - 1);
    while (larger[at].node != kNoNode) at = (at + 1) & (larger.size() - 1);
    larger[at] = slot;
  }
  table_ = std::move(larger);
}

Result<void> JsonCursor::check_in_table(std::string_view text, uint32_t object, Key key) {
  if ((table_used_ + 1) * 2 > table_.size()) grow_table();
  const uint64_t hash = key.hash ^ (object * 0x9e3779b97f4a7c15);
  size_t at = hash & (table_.size() - 1);
  for (size_t probe = 0; table_[at].node != kNoNode; ++probe, at = (at + 1) & (table_.size() - 1)) {
    if (probe == kProbeLimit) return fail(ErrorKind::limit, "JSON with keys that were made to collide");
    const Slot& slot = table_[at];
    if (slot.hash != hash || slot.object != object) continue;
    std::string one, other;
    (void)decode_json_string(inside_of(text, nodes_[slot.node]), one);
    (void)decode_json_string(inside_of(text, nodes_[key.node]), other);
    if (one == other) return refuse("the same key twice in one object");
  }
  table_[at] = {hash, object, key.node};
  ++table_used_;
  return {};
}

Result<void> JsonCursor::read(std::string_view text) {
  if (text.size() > limits_.bytes || text.size() >= kNoNode)
    return fail(ErrorKind::limit, "JSON of more than {} bytes", limits_.bytes);
  while (at_ < text.size()) {
    if (state_ != State::string && state_ != State::key && state_ != State::number && state_ != State::literal) {
      const char c = text[at_];
      if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
        ++at_;
        continue;
      }
    }
    const char c = text[at_];
    switch (state_) {
      case State::first_element:
        if (c == ']') {
          STOCKADE_TRY(close(JsonType::array));
          break;
        }
        [[fallthrough]];
      case State::value:
        STOCKADE_TRY(begin_value(text));
        break;
      case State::first_key:
        if (c == '}') {
          STOCKADE_TRY(close(JsonType::object));
          break;
        }
        [[fallthrough]];
      case State::next_key:
        if (c != '"') return refuse("an object without a key");
        STOCKADE_TRY(open_leaf(JsonType::key));
        ++at_;
        state_ = State::key;
        break;
      case State::key: {
        STOCKADE_ASSIGN(const bool ended, read_string(text));
        if (!ended) return {};
        STOCKADE_TRY(check_key(text, open_));
        state_ = State::colon;
        break;
      }
      case State::colon:
        if (c != ':') return refuse("a key without a value");
        ++at_;
        state_ = State::value;
        break;
      case State::comma: {
        const bool in_object = nodes_[frames_.back().node].type == JsonType::object;
        if (c == ',') {
          ++at_;
          if (!in_object) {
            state_ = State::value;
            break;
          }
          state_ = State::next_key;
          break;
        }
        if (c != '}' && c != ']') return refuse("values without a comma between them");
        STOCKADE_TRY(close(c == '}' ? JsonType::object : JsonType::array));
        break;
      }
      case State::string: {
        STOCKADE_ASSIGN(const bool ended, read_string(text));
        if (!ended) return {};
        after_value();
        break;
      }
      case State::number: {
        STOCKADE_ASSIGN(const bool ended, read_number(text, false));
        if (!ended) return {};
        after_value();
        break;
      }
      case State::literal: {
        STOCKADE_ASSIGN(const bool ended, read_literal(text));
        if (!ended) return {};
        after_value();
        break;
      }
      case State::done:
        return refuse("something after its end");
    }
  }
  return {};
}

Result<void> JsonCursor::finish(std::string_view text) {
  STOCKADE_TRY(read(text));
  if (state_ == State::number) {
    STOCKADE_ASSIGN(const bool ended, read_number(text, true));
    if (ended) after_value();
  }
  if (state_ != State::done) return refuse("no end");
  return {};
}

bool decode_json_string(std::string_view inside, std::string& out) {
  const auto unit = [&](size_t at) {
    unsigned value = 0;
    for (size_t i = at + 2; i < at + 6; ++i) value = value << 4 | static_cast<unsigned>(hex_value(inside[i]));
    return value;
  };
  for (size_t at = 0; at < inside.size();) {
    const size_t slash = std::min(inside.find('\\', at), inside.size());
    out.append(inside, at, slash - at);
    at = slash;
    if (at == inside.size()) break;
    const char kind = inside[at + 1];
    if (kind != 'u') {
      static constexpr std::string_view kLetters = "bfnrt", kMeanings = "\b\f\n\r\t";
      const size_t which = kLetters.find(kind);
      out.push_back(which == std::string_view::npos ? kind : kMeanings[which]);
      at += 2;
      continue;
    }
    uint32_t point = unit(at);
    at += 6;
    if (point >= 0xdc00 && point <= 0xdfff) return false;
    if (point >= 0xd800 && point <= 0xdbff) {
      if (at + 6 > inside.size() || inside[at] != '\\' || inside[at + 1] != 'u') return false;
      const uint32_t low = unit(at);
      if (low < 0xdc00 || low > 0xdfff) return false;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
      at += 6;
    }
    if (point < 0x80) {
      out.push_back(static_cast<char>(point));
    } else if (point < 0x800) {
      out.push_back(static_cast<char>(0xc0 | point >> 6));
      out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
    } else if (point < 0x10000) {
      out.push_back(static_cast<char>(0xe0 | point >> 12));
      out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3f)));
      out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
    } else {
      out.push_back(static_cast<char>(0xf0 | point >> 18));
      out.push_back(static_cast<char>(0x80 | (point >> 12 & 0x3f)));
      out.push_back(static_cast<char>(0x80 | (point >> 6 & 0x3f)));
      out.push_back(static_cast<char>(0x80 | (point & 0x3f)));
    }
  }
  return true;
}

}  // namespace stockade::model
