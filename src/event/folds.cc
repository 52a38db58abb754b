#include "event/folds.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

#include "event/private_file.h"
#include "event/signing_key.h"

namespace stockade::event {
namespace {

constexpr const char* kName = "folds";
constexpr size_t kShown = 120;                          // bytes of the subject in a folded record
constexpr uint64_t kMagic = 0x31'44'4c'4f'46'4b'54'53;  // "STKFOLD1"

struct Header {
  uint64_t magic;
  uint64_t slots;
};

// In shared memory: another process may read them at any instruction of ours, or after our death.
void store(uint64_t& place, uint64_t value) { std::atomic_ref(place).store(value, std::memory_order_release); }

Digest key_of(const Event& event, FoldScope scope) {
  std::string text = {static_cast<char>(scope), static_cast<char>(event.wall), static_cast<char>(event.decision)};
  const auto add = [&text](std::string_view part) {
    const auto size = static_cast<uint32_t>(part.size());
    text.append(reinterpret_cast<const char*>(&size), sizeof(size));
    text += part;
  };
  if (scope == FoldScope::any) return sha256("any");
  add(event.kind);
  add(event.rule);
  if (scope == FoldScope::equal) {
    add(event.where);
    add(event.subject);
    add(event.reason);
  }
  return sha256(text);
}

Result<void> allocate(int fd, size_t size) {
  // posix_fallocate(3) writes zeros itself where the filesystem can't allocate.
  const int failed = ::posix_fallocate(fd, 0, static_cast<off_t>(size));
  if (failed != 0) return std::unexpected(Error::from_errno("allocate the table of folded events", failed));
  return {};
}

}  // namespace

std::string_view to_string(FoldScope scope) {
  switch (scope) {
    case FoldScope::equal:
      return "equal";
    case FoldScope::same_rule:
      return "same kind and rule";
    case FoldScope::any:
      return "any";
  }
  return "any";
}

void UnmapFolds::operator()(void* address) const { ::munmap(address, size); }

size_t FoldTable::KeyHash::operator()(const Digest& key) const {
  size_t value;
  std::memcpy(&value, key.data(), sizeof(value));
  return value;
}

Result<FoldTable> FoldTable::create(int directory, Shape shape) {
  FoldTable table;
  table.shape_ = shape;
  if (shape.slots() > kMaxSlots) return fail(ErrorKind::internal, "a table of {} folds is too large", shape.slots());
  const size_t size = sizeof(Header) + shape.slots() * sizeof(FoldSlot);
  STOCKADE_ASSIGN(Fd file, open_private_file(directory, kName, O_RDWR | O_CREAT | O_EXCL));
  auto made = allocate(file.get(), size);
  void* address = made ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0) : MAP_FAILED;
  if (address == MAP_FAILED) {
    Error error = made ? Error::from_errno("map the table of folded events") : std::move(made).error();
    remove(directory);
    return std::unexpected(std::move(error));
  }
  table.map_ = std::unique_ptr<void, UnmapFolds>(address, UnmapFolds{size});
  new (address) Header{kMagic, shape.slots()};
  table.slots_ = reinterpret_cast<FoldSlot*>(static_cast<char*>(address) + sizeof(Header));
  for (uint32_t i = shape.exact; i-- > 0;) table.free_exact_.push_back(i);
  for (uint32_t i = shape.exact + shape.classes; i-- > shape.exact;) table.free_classes_.push_back(i);
  return table;
}

void FoldTable::remove(int directory) { ::unlinkat(directory, kName, 0); }

Result<std::vector<FoldSlot>> FoldTable::read(int directory) {
  auto file = open_private_file(directory, kName, O_RDONLY);
  if (!file && file.error().error_number() == ENOENT) return std::vector<FoldSlot>();
  if (!file) return std::unexpected(std::move(file).error());
  STOCKADE_ASSIGN(const std::string bytes,
                  read_file(file->get(), sizeof(Header) + static_cast<size_t>(kMaxSlots) * sizeof(FoldSlot)));
  Header header{};
  // The writer died between making the file and its first slot: nothing was counted yet.
  if (bytes.find_first_not_of('\0') == std::string::npos) return std::vector<FoldSlot>();
  if (bytes.size() >= sizeof(header)) std::memcpy(&header, bytes.data(), sizeof(header));
  if (header.magic != kMagic || header.slots > kMaxSlots ||
      bytes.size() != sizeof(Header) + header.slots * sizeof(FoldSlot))
    return fail(ErrorKind::invalid_input, "folds is damaged: {} bytes without the right head", bytes.size());
  std::vector<FoldSlot> slots;
  for (size_t i = 0; i < header.slots; ++i) {
    FoldSlot slot;
    std::memcpy(&slot, bytes.data() + sizeof(Header) + i * sizeof(FoldSlot), sizeof(slot));
    if (slot.first_seq == 0) continue;
    if (slot.scope > FoldScope::any) return fail(ErrorKind::invalid_input, "folds is damaged in slot {}", i);
    slots.push_back(slot);
  }
  std::sort(slots.begin(), slots.end(), [](const FoldSlot& a, const FoldSlot& b) {
    return std::pair(a.last_time, a.first_seq) < std::pair(b.last_time, b.first_seq);
  });
  return slots;
}

std::optional<uint32_t> FoldTable::free_slot(FoldScope scope) const {
  if (scope == FoldScope::any) return catch_all_used_ ? std::nullopt : std::optional(shape_.slots() - 1);
  const auto& free = scope == FoldScope::equal ? free_exact_ : free_classes_;
  return free.empty() ? std::nullopt : std::optional(free.back());
}

FoldTable::Place FoldTable::count(const Event& event, WallTime now) {
  Place place;
  for (const auto scope : {FoldScope::equal, FoldScope::same_rule, FoldScope::any}) {
    place.scope = scope;
    if (const auto found = entries_.find(key_of(event, scope)); found != entries_.end()) {
      FoldSlot& slot = slots_[found->second.slot];
      slot.last_time = now.time_since_epoch().count();
      store(slot.total, slot.total + event.count);
      found->second.used_since = true;
      place.slot = found->second.slot;
      place.counted = true;
      return place;
    }
    if (const auto free = free_slot(scope)) {
      place.slot = *free;
      return place;
    }
  }
  return place;  // not reached: the catch-all is either found or free
}

void FoldTable::claim(const Place& place, const Event& first) {
  FoldSlot& slot = slots_[place.slot];
  // Only what its folded record will say: hundreds of these stay in memory.
  entries_[key_of(first, place.scope)] = {.slot = place.slot,
                                          .first = {.seq = first.seq,
                                                    .wall = first.wall,
                                                    .kind = first.kind,
                                                    .subject = first.subject.substr(0, kShown),
                                                    .decision = first.decision,
                                                    .rule = first.rule,
                                                    .where = first.where}};
  if (place.scope == FoldScope::equal) free_exact_.pop_back();
  if (place.scope == FoldScope::same_rule) free_classes_.pop_back();
  if (place.scope == FoldScope::any) catch_all_used_ = true;
  store(slot.total, 0);
  slot.last_time = first.time.time_since_epoch().count();
  slot.scope = place.scope;
  store(slot.first_seq, first.seq);  // last: from here on the slot counts
}

std::vector<FoldTable::Pending> FoldTable::pending() {
  std::vector<Pending> all;
  for (auto& [key, entry] : entries_) {
    const FoldSlot& slot = slots_[entry.slot];
    const uint64_t count = slot.total - entry.written;
    if (count > 0) all.push_back({&entry, count, folded_record(entry.first, slot.scope, count)});
  }
  // What happened last comes last, so that the log's last refusal is the last refusal.
  std::sort(all.begin(), all.end(), [this](const Pending& a, const Pending& b) {
    return std::pair(slots_[a.entry->slot].last_time, a.entry->first.seq) <
           std::pair(slots_[b.entry->slot].last_time, b.entry->first.seq);
  });
  return all;
}

void FoldTable::written(const Pending& pending) { pending.entry->written += pending.count; }

void FoldTable::forget_idle(uint32_t limit) {
  const uint32_t half = shape_.exact / 2, free = static_cast<uint32_t>(free_exact_.size());
  limit = std::min(limit, half - std::min(half, free));
  for (auto it = entries_.begin(); it != entries_.end();) {
    Entry& entry = it->second;
    FoldSlot& slot = slots_[entry.slot];
    const bool used = std::exchange(entry.used_since, false);
    if (used || limit == 0 || slot.scope != FoldScope::equal || slot.total != entry.written) {
      ++it;
      continue;
    }
    store(slot.first_seq, 0);
    free_exact_.push_back(entry.slot);
    it = entries_.erase(it);
    --limit;
  }
}

Event folded_record(const Event& first, FoldScope scope, uint64_t count) {
  Event folded;
  folded.wall = first.wall;
  folded.kind = kind::kFolded;
  folded.decision = first.decision;
  if (scope != FoldScope::any) folded.rule = first.rule;
  if (scope == FoldScope::equal) folded.where = first.where;
  folded.count = count;
  folded.subject = scope == FoldScope::equal ? first.subject.substr(0, kShown) : "(other subjects)";
  folded.evidence = {{"of", fmt::format("{}", first.seq)},
                     {"kind", scope == FoldScope::any ? "any" : first.kind},
                     {"equal", std::string(to_string(scope))}};
  return folded;
}

}  // namespace stockade::event
