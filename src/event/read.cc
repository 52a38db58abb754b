#include "event/read.h"

#include <algorithm>
#include <unordered_map>

#include "event/folds.h"
#include "event/log.h"
#include "event/log_text.h"
#include "event/private_file.h"
#include "event/scan.h"

namespace stockade::event {
namespace {

constexpr std::string_view kReset = "\x1b[0m";

std::string_view colour_of(Decision decision) {
  switch (decision) {
    case Decision::deny:
    case Decision::kill:
      return "\x1b[31m";
    case Decision::ask:
    case Decision::pause:
    case Decision::redact:
      return "\x1b[33m";
    case Decision::allow:
      return "\x1b[32m";
    case Decision::log:
      return "";
  }
  return "";
}

std::string coloured(std::string_view text, Decision decision, Colour colour) {
  const auto begin = colour == Colour::ansi ? colour_of(decision) : std::string_view();
  return begin.empty() ? std::string(text) : fmt::format("{}{}{}", begin, text, kReset);
}

Result<Fd> open_log(const std::string& run_directory, Fd& directory) {
  STOCKADE_ASSIGN(directory, open_private_directory(run_directory, Missing::refuse));
  return open_private_file(directory.get(), kLogName, O_RDONLY);
}

Result<void> walk(int fd, const ShowEvent& show) {
  LineScanner scanner(fd);
  while (true) {
    STOCKADE_ASSIGN(const auto line, scanner.next());
    if (!line || line->torn) return {};  // a torn line: a writer at work, or a dead one that recovery has yet to follow
    auto event = decode_line(line->text);
    if (!event)
      return std::unexpected(std::move(event)
                                 .error()
                                 .context(fmt::format("line {} of the audit log", line->number))
                                 .hint("run 'stockade audit verify'"));
    if (!show(*event, line->text)) return {};
  }
}

// What one pass over a log tells about its refusals.
struct Tally {
  struct Folded {
    uint64_t count = 0;
    bool others = false;
  };
  std::unordered_map<uint64_t, Folded> folded;  // by the first record's seq
  uint64_t last = 0;                            // the refusal that happened last, by its first record
  WallTime last_time{};                         // of its record
  std::optional<Event> wanted;
};

Result<Tally> tally(int fd, std::optional<uint64_t> seq) {
  Tally result;
  auto walked = walk(fd, [&](const Event& event, std::string_view) {
    const auto of = folded_of(event);
    if (of) {
      const std::string* scope = event.find_evidence("equal");
      auto& folded = result.folded[*of];
      folded.count += event.count;
      folded.others = !scope || *scope != to_string(FoldScope::equal);
    }
    if (is_refusal(event)) {
      result.last = of.value_or(event.seq);
      result.last_time = event.time;
    }
    if (seq && event.seq == *seq) result.wanted = event;
    return true;
  });
  if (!walked) return std::unexpected(std::move(walked).error());
  return result;
}

Result<std::optional<Event>> find_event(int fd, uint64_t seq) {
  std::optional<Event> found;
  STOCKADE_TRY(walk(fd, [&](const Event& event, std::string_view) {
    if (event.seq == seq) found = event;
    return event.seq < seq;
  }));
  return found;
}

void add_field(std::string& out, std::string_view name, std::string_view value) {
  if (!value.empty()) out += fmt::format("  {:<16}{}\n", fmt::format("{}:", name), display_text(value));
}

}  // namespace

bool is_refusal(const Event& event) {
  return event.decision == Decision::deny || event.decision == Decision::kill || event.decision == Decision::pause;
}

bool Filter::matches(const Event& event) const {
  if (wall && event.wall != *wall) return false;
  if (decision && event.decision != *decision) return false;
  if (refusals_only && !is_refusal(event)) return false;
  if (!own_records && is_reserved_kind(event.kind) && event.kind != kind::kFolded) return false;
  const std::string* folded_kind = event.kind == kind::kFolded ? event.find_evidence("kind") : nullptr;
  if (!kind.empty() && event.kind != kind && !(folded_kind && *folded_kind == kind)) return false;
  return event.seq >= from_seq && event.subject.find(subject_part) != std::string::npos;
}

Result<void> for_each_event(const std::string& run_directory, const Filter& filter, const ShowEvent& show) {
  Fd directory;
  STOCKADE_ASSIGN(const Fd file, open_log(run_directory, directory));
  return walk(file.get(), [&](const Event& event, std::string_view record) {
    return !filter.matches(event) || show(event, record);
  });
}

std::string event_line(const Event& event, Colour colour) {
  const std::string time = format_time(event.time).substr(11, 12);
  std::string what = event.kind;
  std::string note = fmt::format("{}", event.seq);
  if (const auto of = folded_of(event)) {
    const std::string* kind = event.find_evidence("kind");
    what = kind ? *kind : "";
    note += fmt::format(", {} more like {}", event.count, *of);
  }
  std::string line = fmt::format("{}  {:<7}  {}  {} {}", time, to_string(event.wall),
                                 coloured(fmt::format("{:<6}", to_string(event.decision)), event.decision, colour),
                                 display_text(what), display_text(event.subject));
  if (!event.reason.empty()) line += fmt::format("  {}", display_text(event.reason));
  return line + fmt::format(" ({})", note);
}

Result<std::optional<Refusal>> find_refusal(const std::string& run_directory, std::optional<uint64_t> seq) {
  Fd directory;
  STOCKADE_ASSIGN(const Fd file, open_log(run_directory, directory));
  // The table first: what the writer moves into the log meanwhile is then counted from the log, at most.
  auto slots = FoldTable::read(directory.get());
  if (!slots) slots = std::vector<FoldSlot>();
  STOCKADE_ASSIGN(Tally seen, tally(file.get(), seq));
  uint64_t wanted = seen.last;
  if (seq) {
    if (!seen.wanted) return fail(ErrorKind::invalid_input, "the log has no event {}", *seq);
    if (!is_refusal(*seen.wanted))
      return fail(ErrorKind::invalid_input, "event {} is no refusal: {} {}, {}", *seq, display_text(seen.wanted->kind),
                  display_text(seen.wanted->subject), to_string(seen.wanted->decision));
    wanted = folded_of(*seen.wanted).value_or(*seq);
  } else {
    for (const auto& slot : *slots) {
      const WallTime last{Duration(slot.last_time)};
      if (last < seen.last_time) continue;
      wanted = slot.first_seq;
      seen.last_time = last;
    }
  }
  if (wanted == 0) return std::optional<Refusal>();
  STOCKADE_ASSIGN(auto event, find_event(file.get(), wanted));
  if (!event) return fail(ErrorKind::invalid_input, "the log has no event {}", wanted);
  const auto& folded = seen.folded[wanted];
  const uint64_t own = event->count;
  Refusal refusal{.event = std::move(*event), .times = own + folded.count, .others = folded.others};
  for (const auto& slot : *slots) {
    if (slot.first_seq != wanted) continue;
    refusal.times = std::max(refusal.times, own + slot.total);
    refusal.others = slot.scope != FoldScope::equal;
  }
  return std::optional(std::move(refusal));
}

std::string Refusal::to_text(Colour colour) const {
  std::string out = fmt::format("{} {} {}\n", coloured(to_string(event.decision), event.decision, colour),
                                display_text(event.kind), display_text(event.subject));
  add_field(out, "reason", event.reason);
  add_field(out, "wall", to_string(event.wall));
  add_field(out, "rule", event.rule);
  add_field(out, "where", event.where);
  for (const auto& [key, value] : event.evidence) add_field(out, display_text(key), value);
  std::string times = fmt::format("{}, first at {}", times_text(), format_time(event.time));
  add_field(out, "seen", times);
  add_field(out, "event", fmt::format("{}", event.seq));
  add_field(out, "to allow it", event.hint);
  return out;
}

std::string Refusal::times_text() const {
  std::string text = times == 1 ? "once" : fmt::format("{} times", times);
  return others ? text + " with others that the same rule refused" : text;
}

std::string Refusal::to_json() const {
  std::string record = encode_line(encode_body(event), event);
  record.pop_back();
  return fmt::format("{{\"times\":{},\"others\":{},\"event\":{}}}", times, others, record);
}

}  // namespace stockade::event
