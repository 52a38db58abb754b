// NameTable: the synthetic addresses that stand for names inside one run. Every well-formed name that the agent looks
// up gets one address of 198.18.0.0/15 and one of a ULA /64, bound to it for the rest of the run, so the name behind
// each connection is known for every protocol, and nothing is asked outside. Bounded in names and in bytes; past a
// bound nothing is bound any more. Pure state, one thread.
#pragma once

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/ip_address.h"

namespace stockade::egress {

class NameTable {
 public:
  static constexpr size_t kNames = 65536;
  static constexpr size_t kNameBytes = 4 * 1024 * 1024;

  explicit NameTable(size_t limit = kNames) : limit_(std::min(limit, kNames)) {}

  struct Synthetic {
    IpAddress v4;
    IpAddress v6;
  };
  // The addresses of a canonical name, bound now if they were not yet; none when the table is full.
  std::optional<Synthetic> bind(std::string_view name);
  // The name that an address stands for.
  std::optional<std::string_view> name_of(const IpAddress& address) const;
  // True for every address of the two ranges, bound or not.
  static bool is_synthetic(const IpAddress& address);
  size_t size() const { return names_.size(); }

 private:
  static Synthetic addresses_of(size_t index);
  size_t limit_;
  size_t bytes_ = 0;
  std::deque<std::string> names_;  // elements never move: index_ views them
  std::unordered_map<std::string_view, size_t> index_;
};

}  // namespace stockade::egress
