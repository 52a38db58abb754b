#include "event/scan.h"

#include <charconv>

namespace stockade::event {

Result<bool> LineScanner::fill() {
  constexpr size_t kChunk = 64 * 1024;
  buffer_.erase(0, at_);
  base_ += at_;
  at_ = 0;
  const size_t had = buffer_.size();
  buffer_.resize(had + kChunk);
  ssize_t count = 0;
  do {
    count = ::pread(fd_, buffer_.data() + had, kChunk, static_cast<off_t>(base_ + had));
  } while (count < 0 && errno == EINTR);
  if (count < 0) return fail_errno("read the audit log");
  buffer_.resize(had + static_cast<size_t>(count));
  return count > 0;
}

Result<std::optional<LineScanner::Line>> LineScanner::next() {
  size_t newline = buffer_.find('\n', at_);
  bool more = true;
  while (newline == std::string::npos && more && buffer_.size() - at_ <= kLineLimit) {
    STOCKADE_ASSIGN(more, fill());
    newline = buffer_.find('\n', at_);
  }
  if (at_ == buffer_.size()) return std::optional<Line>();
  Line line{.number = ++lines_, .offset = base_ + at_};
  const bool whole = newline != std::string::npos;
  line.torn = !whole && !more;
  const size_t end = whole ? newline : buffer_.size();
  line.text = std::string_view(buffer_).substr(at_, end - at_);
  at_ = whole ? end + 1 : end;
  return std::optional(line);
}

std::optional<uint64_t> folded_of(const Event& event) {
  const std::string* of = event.kind == kind::kFolded ? event.find_evidence("of") : nullptr;
  uint64_t seq = 0;
  if (!of || std::from_chars(of->data(), of->data() + of->size(), seq).ptr != of->data() + of->size())
    return std::nullopt;
  return seq > 0 && seq < event.seq ? std::optional(seq) : std::nullopt;
}

Result<void> ChainChecker::check_place(const Event& event) const {
  if (closing_) return fail(ErrorKind::invalid_input, "a record after the end of the log");
  if (event.seq != records_ + 1)
    return fail(ErrorKind::invalid_input, "record {} where {} belongs: records were removed, added or moved", event.seq,
                records_ + 1);
  if ((event.kind == kind::kStart) != (records_ == 0))
    return fail(ErrorKind::invalid_input, "the first record alone is a start, and always");
  if (records_ > 0 && event.prev != head_)
    return fail(ErrorKind::invalid_input, "does not follow the record before it: one of the two was changed");
  if (start_ && event.run != start_->run)
    return fail(ErrorKind::invalid_input, "belongs to another run, {}", event.run);
  return {};
}

Result<void> ChainChecker::take_start(const Event& event) {
  const std::string* format = event.find_evidence("format");
  const std::string* key = event.find_evidence("key");
  if (!format || *format != "1") return fail(ErrorKind::invalid_input, "a format that this version does not know");
  if (!key || !from_hex(*key, key_.emplace().data(), sizeof(PublicKey)))
    return fail(ErrorKind::invalid_input, "the start names no signing key");
  start_ = event;
  return {};
}

Result<void> ChainChecker::take_folded(const Event& event) {
  const auto of = folded_of(event);
  if (!of) return fail(ErrorKind::invalid_input, "a folded record that does not say what it counts");
  folded_[*of] += event.count;
  return {};
}

Result<void> ChainChecker::check_signature(const Event& event) {
  const bool closing = event.kind == kind::kEnd || event.kind == kind::kUncleanEnd;
  const bool must = closing || event.kind == kind::kCheckpoint;
  if (must != event.signature.has_value())
    return fail(ErrorKind::invalid_input, "{}", must ? "the signature is missing" : "a signature where none belongs");
  if (!must) return {};
  if (!verify_signature(*key_, signed_message(event.hash), *event.signature))
    return fail(ErrorKind::invalid_input, "the signature is not by the key that the start names");
  signed_through_ = event.seq;
  if (closing) closing_ = event;
  return {};
}

Result<Event> ChainChecker::feed(std::string_view line) {
  size_t body = 0;
  STOCKADE_ASSIGN(Event event, decode_line(line, &body));
  STOCKADE_TRY(check_place(event));
  if (sha256(line.substr(0, body)) != event.hash)
    return fail(ErrorKind::invalid_input, "its text was changed: the hash is of another one");
  if (event.kind == kind::kStart) STOCKADE_TRY(take_start(event));
  if (event.kind == kind::kFolded) STOCKADE_TRY(take_folded(event));
  STOCKADE_TRY(check_signature(event));
  head_ = event.hash;
  ++records_;
  if (!is_reserved_kind(event.kind) || event.kind == kind::kFolded) events_ += event.count;
  return event;
}

}  // namespace stockade::event
