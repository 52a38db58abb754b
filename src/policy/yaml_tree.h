// Bytes to a tree of YAML nodes, safe for bytes that an agent wrote. A scan before the parser refuses what a policy has
// no use for: more than 1 MiB, invalid UTF-8, control characters, tabs, and characters that make a text read
// differently than it is (bidirectional controls, zero width). The event parser (libyaml: C, no recursion, never
// expands) then feeds a tree with bounds on depth and number of nodes; anchors, aliases, tags, directives, merge keys,
// duplicate keys and a second document are errors. Marks count from 0 there and from 1 here.
//
// libyaml instead of yaml-cpp: a fifth of the time (20 against 107 µs for 1 kB, on every start's path), and it throws
// and recurses nowhere.
#pragma once

#include <string_view>

#include "policy/diagnostic.h"

namespace stockade::policy {

inline constexpr size_t kFileLimit = 1 << 20;
inline constexpr size_t kDepthLimit = 16;
inline constexpr size_t kNodeLimit = 20'000;
inline constexpr size_t kScalarLimit = 16 * 1024;
inline constexpr size_t kDiagnosticLimit = 100;  // further ones of a file are counted, not listed

struct Node {
  enum class Kind { scalar, sequence, mapping };
  Kind kind = Kind::scalar;
  bool plain = true;  // a scalar without quotes: may be null, a number or a boolean
  std::string text;
  std::vector<Node> items;  // mapping: key, value, key, value, …
  int line = 0;
  int column = 0;

  bool is_null() const;
  // What YAML's core schema makes of a plain scalar: "null", "boolean", "number" or "string".
  std::string_view scalar_type() const;
  // "a list", "a mapping", "a number", … for messages.
  std::string_view describe() const;
};

struct Tree {
  Node root;
  Diagnostics errors;
};

Tree parse_tree(std::string_view bytes, const std::string& file);

}  // namespace stockade::policy
