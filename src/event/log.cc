#include "event/log.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>

#include "event/private_file.h"

namespace stockade::event {
namespace {

constexpr uint64_t kClosingReserve = 12 * 1024;  // end or unclean_end: evidence is at most 12 × 566 bytes
constexpr uint64_t kFoldedReserve = 1536;        // the longest `folded` record
// Forgetting idle folds lets at most this many new refusals into the log each interval, however they vary.
constexpr uint32_t kForgetPerInterval = 32;
constexpr Duration kForgetInterval = std::chrono::seconds(10);
constexpr size_t kStartEvidence = 8;

}  // namespace

bool is_run_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && text[0] != '.' && text[0] != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_' ||
                  c == '-';
         });
}

Result<void> write_closing_record(ChainWriter& writer, UserHead& head, const SigningKey& key, Event closing,
                                  WallTime now) {
  STOCKADE_ASSIGN(const Head before, head.lock_and_read());
  if (!before.run.empty()) {
    closing.evidence.emplace_back("after", before.run);
    closing.evidence.emplace_back("after_hash", to_hex(before.hash.data(), before.hash.size()));
  }
  auto written = writer.append(closing, now, ChainWriter::Use::closing, &key);
  if (written) written = head.write({closing.run, closing.hash});
  head.unlock();
  return written;
}

Result<AuditLog> AuditLog::start(Options options) {
  if (!is_run_id(options.run)) return fail(ErrorKind::internal, "'{}' is no run's id", options.run);
  if (options.start_evidence.size() > kStartEvidence)
    return fail(ErrorKind::internal, "the first record takes {} entries of evidence", kStartEvidence);
  AuditLog log;
  log.options_ = std::move(options);
  STOCKADE_ASSIGN(const Fd user, open_private_directory(log.options_.user_directory, Missing::create));
  STOCKADE_ASSIGN(log.run_directory_, open_private_directory(log.options_.run_directory, Missing::refuse));
  STOCKADE_ASSIGN(log.head_, UserHead::open(user.get()));
  STOCKADE_ASSIGN(const Head head, log.head_.lock_and_read());
  auto key = SigningKey::open_or_create(user.get());
  log.head_.unlock();
  if (!key) return std::unexpected(std::move(key).error());
  log.key_ = std::move(*key);
  const int directory = log.run_directory_.get();
  STOCKADE_ASSIGN(Fd file, open_private_file(directory, kLogName, O_RDWR | O_CREAT | O_APPEND));
  // Held until the writer is dead: recovery takes it first, so it never touches a living log.
  STOCKADE_TRY(lock_file(file.get(), LOCK_EX, kLogName));
  struct stat found;
  if (::fstat(file.get(), &found) < 0) return fail_errno("look at the audit log");
  if (found.st_size != 0) return fail(ErrorKind::internal, "the run has an audit log already");
  log.writer_ = ChainWriter(std::move(file), directory, log.options_.run, 0, 1, head.hash);
  if (auto written = log.write_start(head); !written) {
    log.writer_.release_reserve();
    ::unlinkat(directory, kLogName, 0);
    return std::unexpected(std::move(written).error().context("begin the audit log"));
  }
  return log;
}

Result<void> AuditLog::write_start(const Head& head) {
  last_forget_ = options_.clock->now();
  STOCKADE_TRY(adjust_reserve(0));
  Event start;
  start.kind = kind::kStart;
  start.subject = options_.run;
  start.evidence = {{"format", "1"}, {"key", to_hex(key_.public_key().data(), key_.public_key().size())}};
  if (!head.run.empty()) start.evidence.emplace_back("after", head.run);
  start.evidence.insert(start.evidence.end(), options_.start_evidence.begin(), options_.start_evidence.end());
  return append(start);
}

Result<void> AuditLog::append(Event& event) {
  STOCKADE_TRY(writer_.append(event, options_.clock->wall(), ChainWriter::Use::normal));
  if (unsigned_++ == 0) unsigned_since_ = options_.clock->now();
  return {};
}

Result<void> AuditLog::adjust_reserve(uint64_t folds) {
  return writer_.reserve(kClosingReserve + folds * kFoldedReserve);
}

Result<AuditLog::Recorded> AuditLog::record(Event event) {
  if (finished_) return fail(ErrorKind::internal, "an event after the end of the audit log");
  if (is_reserved_kind(event.kind) || event.kind.empty())
    return fail(ErrorKind::internal, "an event of the log's own kind '{}'", event.kind);
  if (event.count == 0) return fail(ErrorKind::internal, "an event that counts nothing");
  event.signature.reset();
  Recorded recorded;
  if (event.decision == Decision::deny) {
    STOCKADE_ASSIGN(recorded, record_refusal(event));
  } else {
    STOCKADE_TRY(append(event));
    recorded.seq = event.seq;
  }
  recorded_ += event.count;
  if (unsigned_ >= options_.checkpoint_events) STOCKADE_TRY(checkpoint());
  return recorded;
}

Result<AuditLog::Recorded> AuditLog::record_refusal(Event& event) {
  if (!folds_) {
    STOCKADE_ASSIGN(folds_, FoldTable::create(run_directory_.get(), options_.folds));
  }
  const auto place = folds_.count(event, options_.clock->wall());
  if (place.counted) {
    if (!std::exchange(folds_pending_, true)) pending_since_ = options_.clock->now();
    // Past the table's bound it is not known whether this one came before: it counts as new.
    return Recorded{folds_.first_seq(place), place.scope == FoldScope::equal};
  }
  // Room for the record that will write its count out comes first: once the event is in the log nothing may fail.
  STOCKADE_TRY(adjust_reserve(folds_.used() + 1));
  STOCKADE_TRY(append(event));
  folds_.claim(place, event);
  return Recorded{event.seq, false};
}

Result<void> AuditLog::write_folds(ChainWriter::Use use) {
  for (auto& pending : folds_.pending()) {
    STOCKADE_TRY(writer_.append(pending.record, options_.clock->wall(), use));
    if (unsigned_++ == 0) unsigned_since_ = options_.clock->now();
    folds_.written(pending);
  }
  folds_pending_ = false;
  return {};
}

Result<void> AuditLog::flush_folds() {
  if (!folds_) return {};
  STOCKADE_TRY(write_folds(ChainWriter::Use::normal));
  const TimePoint now = options_.clock->now();
  if (now - last_forget_ >= kForgetInterval) {
    last_forget_ = now;
    folds_.forget_idle(kForgetPerInterval);
  }
  return {};
}

Result<void> AuditLog::prepare_signing() {
  auto signature = key_.sign(signed_message(writer_.head()));
  if (!signature) return std::unexpected(std::move(signature).error());
  return {};
}

Result<void> AuditLog::checkpoint() {
  if (unsigned_ == 0) return {};
  Event event;
  event.kind = kind::kCheckpoint;
  event.subject = fmt::format("{} records", unsigned_);
  STOCKADE_TRY(writer_.append(event, options_.clock->wall(), ChainWriter::Use::normal, &key_));
  unsigned_ = 0;
  return {};
}

Result<void> AuditLog::tick() {
  const TimePoint now = options_.clock->now();
  if (folds_pending_ && now - pending_since_ >= options_.fold_interval) STOCKADE_TRY(flush_folds());
  if (unsigned_ > 0 && now - unsigned_since_ >= options_.checkpoint_interval) STOCKADE_TRY(checkpoint());
  return {};
}

std::optional<TimePoint> AuditLog::next_tick() const {
  std::optional<TimePoint> next;
  if (finished_) return next;
  if (folds_pending_) next = pending_since_ + options_.fold_interval;
  if (unsigned_ > 0) {
    const TimePoint due = unsigned_since_ + options_.checkpoint_interval;
    next = next ? std::min(*next, due) : due;
  }
  return next;
}

Result<void> AuditLog::finish(std::string_view ended_by, Evidence evidence) {
  if (finished_) return {};
  if (folds_) STOCKADE_TRY(write_folds(ChainWriter::Use::closing));
  Event end;
  end.kind = kind::kEnd;
  end.subject = ended_by;
  end.evidence = {{"events", fmt::format("{}", recorded_)}};
  end.evidence.insert(end.evidence.end(), evidence.begin(), evidence.end());
  // Two entries are the closing record's own.
  end.evidence.resize(std::min(end.evidence.size(), kEvidenceLimit - 2));
  STOCKADE_TRY(write_closing_record(writer_, head_, key_, std::move(end), options_.clock->wall()));
  finished_ = true;
  writer_.release_reserve();
  if (folds_) FoldTable::remove(run_directory_.get());
  return {};
}

}  // namespace stockade::event
