// A JSON reader (RFC 8259) that can stop after any byte and go on: it turns text into a flat list of nodes with byte
// offsets, and decodes nothing that nobody asks for. Strict where parsers disagree: a key that an object has twice
// (after decoding), a bad escape, bad UTF-8, a byte order mark, NaN, anything after the value are refused. A lone
// surrogate in a value is refused when its text is decoded (json_value.h), in a key at once.
//
// The text is the caller's: each read() is given all of it so far, the bytes of the last time and more. Bounds: bytes,
// depth and nodes (28 bytes each), the length of a number, and the length of a probe in the table of keys, so that no
// choice of keys makes it slow. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::model {

enum class JsonType : uint8_t { object, array, string, number, true_value, false_value, null_value, key };

inline constexpr uint32_t kNoNode = 0xffffffff;

// A value, or the key before it. Keys and strings keep their quotes in begin and end.
struct JsonNode {
  uint32_t begin = 0;
  uint32_t end = 0;           // one past; of a container only when it is closed
  uint32_t next = kNoNode;    // the next element; of a member's value: the next member's key; of a key: its value
  uint32_t parent = kNoNode;  // the container
  uint32_t index = 0;         // of an element or a member in its container
  uint32_t count = 0;         // of a container: how many elements or members
  JsonType type = JsonType::null_value;
  bool escaped = false;  // a string or key with a backslash in it
};

struct JsonLimits {
  size_t bytes = size_t{64} << 20;
  size_t depth = 128;
  size_t nodes = size_t{1} << 21;
};

class JsonCursor {
 public:
  explicit JsonCursor(JsonLimits limits = {}) : limits_(limits) {}

  // Reads on to the end of `text`. After an error only reset() helps.
  Result<void> read(std::string_view text);
  // The text has ended.
  Result<void> finish(std::string_view text);
  void reset();

  // The outermost value has ended (a number only with the text); white space may follow.
  bool complete() const { return state_ == State::done; }
  // In the order of their first bytes; the first is the outermost value.
  const std::vector<JsonNode>& nodes() const { return nodes_; }

 private:
  enum class State : uint8_t {
    value,
    first_element,
    first_key,
    next_key,
    key,
    colon,
    comma,
    string,
    number,
    literal,
    done
  };
  struct Frame {
    uint32_t node;
    uint32_t last;       // its last child, kNoNode while it is empty
    uint32_t keys_from;  // where its keys begin in keys_
  };
  struct Key {
    uint64_t hash;
    uint32_t node;
  };
  struct Slot {
    uint64_t hash = 0;
    uint32_t object = kNoNode;
    uint32_t node = kNoNode;
  };

  Result<void> begin_value(std::string_view text);
  Result<void> open(JsonType type);
  Result<void> open_leaf(JsonType type);
  Result<void> close(JsonType type);
  Result<uint32_t> add(JsonType type);
  void after_value();
  // False: the text ends within it.
  Result<bool> read_string(std::string_view text);
  Result<bool> read_number(std::string_view text, bool last);
  Result<bool> read_literal(std::string_view text);
  Result<void> check_key(std::string_view text, uint32_t node);
  Result<void> check_in_table(std::string_view text, uint32_t object, Key key);
  void grow_table();
  std::unexpected<Error> refuse(std::string_view what) const;

  JsonLimits limits_;
  State state_ = State::value;
  size_t at_ = 0;      // everything before is read
  uint32_t open_ = 0;  // the node that is being read: a string, key, number or literal
  std::vector<JsonNode> nodes_;
  std::vector<Frame> frames_;
  std::vector<Key> keys_;    // of the open objects, innermost last
  std::vector<Slot> table_;  // keys of objects with many
  size_t table_used_ = 0;
};

// Appends what the inside of a string means (without its quotes) to `out`; false for a lone surrogate. The text has
// been read by a JsonCursor.
bool decode_json_string(std::string_view inside, std::string& out);

// The length of the UTF-8 sequence at the start of `bytes` (not empty); 0 if there is none, -1 if more bytes must come
// (RFC 3629).
int utf8_sequence_length(std::string_view bytes);

}  // namespace stockade::model
