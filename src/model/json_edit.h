// Changes to a JSON text that touch nothing but their own bytes: values are replaced, members and elements removed
// (with the comma that goes with them) and added at the end of their container. Whatever stands inside a removed or
// replaced value is changed with it. The document must be one that was read whole.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "model/json_value.h"

namespace stockade::model {

class JsonEdit {
 public:
  explicit JsonEdit(const JsonDocument& document) : document_(document) {}

  // `json` is JSON text.
  void replace(JsonValue value, std::string json);
  // The value, with its key if it is a member.
  void remove(JsonValue value);
  bool is_removed(JsonValue value) const { return removed_.contains(value.id()); }
  // How many children of it stay.
  size_t left_in(JsonValue container) const;
  void append(JsonValue array, std::string json);
  void append(JsonValue object, std::string_view key, std::string_view json);

  bool empty() const { return removed_.empty() && replaced_.empty() && appended_.empty(); }
  std::string apply() const;

 private:
  struct Patch {
    ByteRange range;
    std::string bytes;
  };
  void patch_container(JsonValue container, std::vector<Patch>& patches) const;

  const JsonDocument& document_;
  std::set<uint32_t> removed_;
  std::map<uint32_t, std::string> replaced_;
  std::map<uint32_t, std::vector<std::string>> appended_;
};

}  // namespace stockade::model
