// The keys of the contract (design, section 3), once: the loader refuses what is not in these tables, and a test holds
// them against schema/policy.schema.json and docs/policy.md.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace stockade::policy {

struct Key {
  std::string_view name;
  // Set for a key that the contract has and this version cannot do: what it waits for.
  std::string_view later = {};
};

struct KeyTable {
  std::string_view path;  // "network.allow[]"
  std::span<const Key> keys;

  const Key* find(std::string_view name) const;
};

std::span<const KeyTable> key_tables();
const KeyTable& key_table(std::string_view path);

// The name among `names` that was probably meant, or empty when nothing is near.
std::string nearest(std::string_view word, std::span<const std::string_view> names);
std::string nearest(std::string_view word, const KeyTable& table);

}  // namespace stockade::policy
