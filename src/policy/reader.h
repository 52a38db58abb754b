// Reading typed values out of a YAML tree while collecting every error. A reader never stops at the first mistake: it
// reports, returns nothing for the bad value, and goes on, so that one pass over a file finds all of them.
#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>

#include "policy/keys.h"
#include "policy/yaml_tree.h"

namespace stockade::policy {

class Reader {
 public:
  Reader(std::string file, Diagnostics& errors, Diagnostics& warnings)
      : file_(std::move(file)), errors_(errors), warnings_(warnings) {}

  Location at(const Node& node) const { return {file_, node.line, node.column}; }
  const std::string& file() const { return file_; }
  void error(const Node& node, std::string message, std::string hint = {});
  void unbuilt(const Node& node, std::string_view what, std::string_view until);
  void warning(const Node& node, std::string message, std::string hint = {});

  // Each reports what is wrong and returns nothing. `what` is the key's full path: "sandbox.memory".
  std::optional<std::string> text(const Node& node, std::string_view what);  // printable, not empty
  std::optional<bool> boolean(const Node& node, std::string_view what);
  std::optional<uint64_t> count(const Node& node, std::string_view what, uint64_t least, uint64_t most);
  std::optional<uint64_t> size(const Node& node, std::string_view what, uint64_t least);
  std::optional<std::chrono::milliseconds> duration(const Node& node, std::string_view what);
  std::optional<double> cpus(const Node& node, std::string_view what);
  // The index of the word in `words`.
  std::optional<size_t> choice(const Node& node, std::string_view what, std::span<const std::string_view> words);
  // Nothing but a sequence; an absent value counts as an error, an empty list does not.
  const std::vector<Node>* list(const Node& node, std::string_view what);
  std::optional<std::vector<std::string>> texts(const Node& node, std::string_view what);

 private:
  bool scalar(const Node& node, std::string_view what, std::string_view wanted);
  void push(Diagnostics& list, Diagnostic diagnostic);

  std::string file_;
  Diagnostics& errors_;
  Diagnostics& warnings_;
};

// A mapping whose keys are known. Construction reports unknown keys and those that are not built yet.
class Fields {
 public:
  // `path` is where it stands ("network.allow[2]"), `table` its key table ("network.allow[]").
  Fields(Reader& reader, const Node& node, std::string path, std::string_view table);

  bool ok() const { return node_ != nullptr; }
  // The value of a key, or null when it is absent, null or refused already.
  const Node* operator[](std::string_view key) const;
  std::string path(std::string_view key) const;

 private:
  const Node* node_ = nullptr;
  std::string path_;
  const KeyTable* table_ = nullptr;
};

}  // namespace stockade::policy
