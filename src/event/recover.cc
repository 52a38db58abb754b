#include "event/recover.h"

#include <sys/file.h>

#include <map>

#include "event/log.h"
#include "event/private_file.h"
#include "event/scan.h"

namespace stockade::event {
namespace {

struct Found {
  ChainChecker chain;
  uint64_t whole = 0;  // bytes of complete lines
  uint64_t torn = 0;
  std::map<uint64_t, Event> firsts;  // the records that slots refer to
};

Result<Found> scan(int fd, const std::vector<FoldSlot>& slots) {
  Found found;
  for (const auto& slot : slots) found.firsts[slot.first_seq];
  LineScanner scanner(fd);
  while (true) {
    STOCKADE_ASSIGN(const auto line, scanner.next());
    if (!line) return found;
    if (line->torn) {
      found.torn = line->text.size();
      return found;
    }
    auto event = found.chain.feed(line->text);
    if (!event)
      return std::unexpected(std::move(event).error().context(fmt::format("line {} of the audit log", line->number)));
    found.whole = line->offset + line->text.size() + 1;
    if (const auto first = found.firsts.find(event->seq); first != found.firsts.end()) first->second = *event;
  }
}

// The same first record as AuditLog writes, for a run that died before it.
Result<void> write_missing_start(ChainWriter& writer, const SigningKey& key, const RecoverOptions& options) {
  Event start;
  start.kind = kind::kStart;
  start.subject = options.run;
  start.evidence = {
      {"format", "1"}, {"key", to_hex(key.public_key().data(), key.public_key().size())}, {"written_by", "recovery"}};
  return writer.append(start, options.clock->wall(), ChainWriter::Use::closing);
}

// Returns what was wrong with the table, if anything was.
Result<std::string> write_folds(ChainWriter& writer, const Found& found, const std::vector<FoldSlot>& slots,
                                WallTime now, uint64_t& folded) {
  std::string problem;
  for (const auto& slot : slots) {
    const Event& first = found.firsts.at(slot.first_seq);
    const auto written = found.chain.folded().find(slot.first_seq);
    const uint64_t before = written == found.chain.folded().end() ? 0 : written->second;
    if (first.seq == 0 || before > slot.total) {
      problem = fmt::format("a slot of folds does not fit record {}", slot.first_seq);
      continue;
    }
    if (slot.total == before) continue;
    Event record = folded_record(first, slot.scope, slot.total - before);
    STOCKADE_TRY(writer.append(record, now, ChainWriter::Use::closing));
    folded += slot.total - before;
  }
  return problem;
}

// A writer that died between its end and the user's head left that head as its end found it.
Result<void> repair_head(UserHead& head, const Event& closing) {
  STOCKADE_ASSIGN(const Head known, head.lock_and_read());
  const std::string* after = closing.find_evidence("after");
  const std::string* hash = closing.find_evidence("after_hash");
  const bool behind =
      known.run == (after ? *after : "") && (!hash || *hash == to_hex(known.hash.data(), known.hash.size()));
  auto written = behind ? head.write({closing.run, closing.hash}) : Result<void>();
  head.unlock();
  return written;
}

Event unclean_end(const Found& found, const RecoverOptions& options, const std::string& problem, uint64_t events) {
  Event end;
  end.kind = kind::kUncleanEnd;
  end.subject = options.ended_by;
  end.reason = "the log was closed by recovery, as it was found";
  end.evidence = {{"events", fmt::format("{}", events)},
                  {"signed_through", fmt::format("{}", found.chain.signed_through())}};
  if (found.torn > 0) end.evidence.emplace_back("torn_bytes", fmt::format("{}", found.torn));
  if (!problem.empty()) end.evidence.emplace_back("folds", problem);
  return end;
}

}  // namespace

Result<Recovery> recover_log(const RecoverOptions& options) {
  STOCKADE_ASSIGN(const Fd user, open_private_directory(options.user_directory, Missing::refuse));
  STOCKADE_ASSIGN(const Fd directory, open_private_directory(options.run_directory, Missing::refuse));
  STOCKADE_ASSIGN(Fd file, open_private_file(directory.get(), kLogName, O_RDWR | O_APPEND));
  STOCKADE_TRY(lock_file(file.get(), LOCK_EX, "a log that is still written"));
  std::string fold_problem;
  auto slots = FoldTable::read(directory.get());
  if (!slots) {
    fold_problem = slots.error().message();
    slots = std::vector<FoldSlot>();
  }
  STOCKADE_ASSIGN(Found found, scan(file.get(), *slots));
  STOCKADE_ASSIGN(UserHead head, UserHead::open(user.get()));
  Recovery recovery{.torn_bytes = found.torn, .seq = found.chain.records()};
  if (found.chain.closing()) {
    STOCKADE_TRY(repair_head(head, *found.chain.closing()));
  } else {
    recovery.needed = true;
    STOCKADE_ASSIGN(const Head before, head.lock_and_read());
    auto key = SigningKey::open_or_create(user.get());
    head.unlock();
    if (!key) return std::unexpected(std::move(key).error());
    if (found.chain.key() && *found.chain.key() != key->public_key())
      return fail(ErrorKind::denied, "the log was begun with another signing key than audit-key.pem");
    if (found.torn > 0 && ::ftruncate(file.get(), static_cast<off_t>(found.whole)) < 0)
      return fail_errno("cut a torn record");
    const bool empty = found.chain.records() == 0;
    if (empty && !is_run_id(options.run)) return fail(ErrorKind::internal, "an empty log and no run's id");
    ChainWriter writer(std::move(file), directory.get(), empty ? options.run : found.chain.start()->run, found.whole,
                       found.chain.records() + 1, empty ? before.hash : found.chain.head());
    if (empty) STOCKADE_TRY(write_missing_start(writer, *key, options));
    STOCKADE_ASSIGN(const std::string problem,
                    write_folds(writer, found, *slots, options.clock->wall(), recovery.folded));
    if (fold_problem.empty()) fold_problem = problem;
    STOCKADE_TRY(write_closing_record(writer, head, *key,
                                      unclean_end(found, options, fold_problem, found.chain.events() + recovery.folded),
                                      options.clock->wall()));
    recovery.seq = writer.next_seq() - 1;
    writer.release_reserve();
  }
  FoldTable::remove(directory.get());
  return recovery;
}

}  // namespace stockade::event
