#include "monitor/approvals.h"

#include <algorithm>

namespace stockade::monitor {

namespace {

bool are_equal(const event::Event& a, const event::Event& b) {
  return a.kind == b.kind && a.rule == b.rule && a.subject == b.subject;
}

}  // namespace

std::string action_words(const event::Event& asked) {
  if (asked.kind == event::kind::kConnect) return fmt::format("connect to {}", asked.subject);
  const std::string* method = asked.find_evidence("method");
  if (asked.kind == "session") {
    const std::string* protocol = asked.find_evidence("protocol");
    return fmt::format("send {}bytes to {}, with {}", protocol ? *protocol + " " : "", asked.subject, asked.reason);
  }
  const std::string* path = asked.find_evidence("path");
  std::string words = fmt::format("send {}{}{} to {}", method ? *method : "a request", path ? " " : "",
                                  path ? *path : "", asked.subject);
  if (asked.find_evidence("pattern")) words += fmt::format(", with {}", asked.reason);
  return words;
}

std::optional<uint64_t> Approvals::standing_for(const event::Event& asked, TimePoint now) const {
  for (const Stood& stood : stood_)
    if (stood.until > now && stood.rule == asked.rule && stood.subject == asked.subject) return stood.approval;
  return std::nullopt;
}

const WaitingEntry* Approvals::join(const event::Event& asked) {
  for (WaitingEntry& entry : entries_) {
    if (entry.standing != Standing::for_equals || !are_equal(entry.asked, asked)) continue;
    ++entry.askers;
    ++askers_;
    return &entry;
  }
  return nullptr;
}

void Approvals::hold(event::Event asked, Standing standing, TimePoint now) {
  ++askers_;
  entries_.push_back({std::move(asked), standing, now + patience_});
}

WaitingEntry Approvals::remove(size_t index) {
  WaitingEntry entry = std::move(entries_[index]);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(index));
  askers_ -= entry.askers;
  return entry;
}

std::optional<WaitingEntry> Approvals::take(uint64_t event) {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].asked.seq == event) return remove(i);
  return std::nullopt;
}

std::optional<WaitingEntry> Approvals::take_due(TimePoint now) {
  if (entries_.empty() || entries_.front().deadline > now) return std::nullopt;
  return remove(0);
}

std::optional<WaitingEntry> Approvals::take_any() {
  if (entries_.empty()) return std::nullopt;
  return remove(0);
}

void Approvals::stands(const WaitingEntry& entry, uint64_t approval, TimePoint now) {
  std::erase_if(stood_, [now](const Stood& stood) { return stood.until <= now; });
  if (entry.standing != Standing::for_equals) return;
  stood_.push_back({entry.asked.rule, entry.asked.subject, approval, now + kStands});
}

std::optional<TimePoint> Approvals::next_deadline() const {
  if (entries_.empty()) return std::nullopt;
  return entries_.front().deadline;
}

}  // namespace stockade::monitor
