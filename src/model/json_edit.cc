#include "model/json_edit.h"

#include <algorithm>

namespace stockade::model {

namespace {

// With its key.
ByteRange whole_range(JsonValue child) {
  ByteRange range = child.range();
  if (child.is_member()) range.begin = child.key_range().begin;
  return range;
}

}  // namespace

void JsonEdit::replace(JsonValue value, std::string json) { replaced_[value.id()] = std::move(json); }

void JsonEdit::remove(JsonValue value) { removed_.insert(value.id()); }

size_t JsonEdit::left_in(JsonValue container) const {
  size_t left = 0;
  for (JsonValue child = container.first(); child; child = child.next()) left += is_removed(child) ? 0 : 1;
  return left;
}

void JsonEdit::append(JsonValue array, std::string json) { appended_[array.id()].push_back(std::move(json)); }

void JsonEdit::append(JsonValue object, std::string_view key, std::string_view json) {
  appended_[object.id()].push_back(fmt::format("{}:{}", json_quoted(key), json));
}

void JsonEdit::patch_container(JsonValue container, std::vector<Patch>& patches) const {
  std::string tail;
  if (const auto found = appended_.find(container.id()); found != appended_.end())
    for (const std::string& one : found->second) tail += (tail.empty() ? "" : ",") + one;
  JsonValue last_kept, run;  // run: the first of the removed ones after it
  for (JsonValue child = container.first(); child; child = child.next()) {
    if (is_removed(child)) {
      if (!run) run = child;
      continue;
    }
    // Removed ones before a kept one go with the comma after them.
    if (run) patches.push_back({{whole_range(run).begin, whole_range(child).begin}, {}});
    run = {};
    last_kept = child;
  }
  const size_t inside_end = container.range().end - 1;
  if (!last_kept) {
    if (run || !tail.empty()) patches.push_back({{container.range().begin + 1, inside_end}, tail});
    return;
  }
  ByteRange cut{last_kept.range().end, last_kept.range().end};
  for (JsonValue child = run; child; child = child.next()) cut.end = child.range().end;
  if (!tail.empty()) tail.insert(0, ",");
  if (run || !tail.empty()) patches.push_back({cut, tail});
}

std::string JsonEdit::apply() const {
  std::vector<Patch> patches;
  std::set<uint32_t> containers;
  for (const uint32_t id : removed_) containers.insert(JsonValue(&document_, id).parent().id());
  for (const auto& [id, texts] : appended_) containers.insert(id);
  for (const uint32_t id : containers) patch_container({&document_, id}, patches);
  for (const auto& [id, json] : replaced_) patches.push_back({JsonValue(&document_, id).range(), json});
  // The larger first where two begin together: what lies inside it is dropped. An empty range is an insertion behind a
  // value, and stays when that value is replaced.
  std::ranges::sort(patches, [](const Patch& a, const Patch& b) {
    if (a.range.begin != b.range.begin) return a.range.begin < b.range.begin;
    return a.range.end > b.range.end;
  });
  std::string out;
  size_t at = 0;
  for (const Patch& patch : patches) {
    if (patch.range.begin < at) continue;
    out += document_.text().substr(at, patch.range.begin - at);
    out += patch.bytes;
    at = patch.range.end;
  }
  out += document_.text().substr(at);
  return out;
}

}  // namespace stockade::model
