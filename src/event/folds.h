// FoldTable: counts of refusals that equal one already in the log. It lies in a small file (`folds`) that is mapped
// shared, so that the counts survive a kill -9 of the writer; its blocks are allocated when it is made, so that a full
// disk can't raise SIGBUS later. A slot never says how much of its count was written out: the log does, by the counts
// of its `folded` records, so no order of death and write counts anything twice or not at all.
// Slots are bounded: past `exact` different refusals they are counted by wall, kind, decision and rule, and past
// `classes` of those all together.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <unordered_map>

#include "event/event.h"

namespace stockade::event {

enum class FoldScope : uint32_t { equal, same_rule, any };
std::string_view to_string(FoldScope scope);

// As it lies in the file, native byte order.
struct FoldSlot {
  uint64_t first_seq = 0;  // the record that the counted ones equal; 0: a free slot
  uint64_t total = 0;      // counted since, without the first
  int64_t last_time = 0;   // nanoseconds since 1970 of the last one
  FoldScope scope = FoldScope::equal;
  uint32_t unused = 0;
};

struct UnmapFolds {
  size_t size;
  void operator()(void* address) const;
};

class FoldTable {
 public:
  struct Shape {
    uint32_t exact = 512;
    uint32_t classes = 63;
    uint32_t slots() const { return exact + classes + 1; }
  };
  static constexpr uint32_t kMaxSlots = 64 * 1024;

  FoldTable() = default;
  static Result<FoldTable> create(int directory, Shape shape);
  static void remove(int directory);
  // A dead or foreign writer's slots, free ones left out, by the time of their last use. A missing file is an empty
  // table.
  static Result<std::vector<FoldSlot>> read(int directory);

  explicit operator bool() const { return slots_ != nullptr; }

  struct Place {
    uint32_t slot = 0;
    bool counted = false;  // the slot stood already and counted this one; else the caller writes the event and claims
    FoldScope scope = FoldScope::equal;
  };
  // Counts `event` where a slot for it stands, else names a free slot for it.
  Place count(const Event& event, WallTime now);
  void claim(const Place& place, const Event& first);

  // What is counted and not yet written out, for the caller to write one `folded` record each and then call written().
  struct Entry;
  struct Pending {
    Entry* entry = nullptr;
    uint64_t count = 0;
    Event record;
  };
  std::vector<Pending> pending();
  void written(const Pending& pending);

  // Frees up to `limit` slots of single refusals that have nothing pending and were not used since the last call, but
  // only until half are free: what is forgotten counts as a different refusal when it comes again.
  void forget_idle(uint32_t limit);
  uint32_t used() const { return static_cast<uint32_t>(entries_.size()); }
  uint64_t first_seq(const Place& place) const { return slots_[place.slot].first_seq; }

  struct Entry {  // what the writer alone needs to know of a slot
    uint32_t slot = 0;
    Event first;  // the fields that its folded record repeats
    uint64_t written = 0;
    bool used_since = true;
  };

 private:
  struct KeyHash {
    size_t operator()(const Digest& key) const;
  };

  std::optional<uint32_t> free_slot(FoldScope scope) const;

  std::unique_ptr<void, UnmapFolds> map_;
  FoldSlot* slots_ = nullptr;
  Shape shape_;
  std::vector<uint32_t> free_exact_;
  std::vector<uint32_t> free_classes_;
  bool catch_all_used_ = false;
  std::unordered_map<Digest, Entry, KeyHash> entries_;
};

// The record that writes `count` out. `first` is the record that was counted against.
Event folded_record(const Event& first, FoldScope scope, uint64_t count);

}  // namespace stockade::event
