// Reading a log that may be alive, cut short or edited. LineScanner gives the lines of events.jsonl in order, in
// bounded memory; ChainChecker judges them one after the other: form, sequence, chain, signatures, what may follow
// what. Verification, recovery and the read verbs are built on the two.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "base/fd.h"
#include "event/event.h"
#include "event/signing_key.h"

namespace stockade::event {

class LineScanner {
 public:
  explicit LineScanner(int fd) : fd_(fd) {}  // not owned; read from its start

  struct Line {
    uint64_t number = 0;    // from 1
    uint64_t offset = 0;    // of its first byte
    std::string_view text;  // without the newline; valid until the next call
    bool torn = false;      // the file ends within it
  };
  // The next line; none at the end. A line longer than any of ours comes cut, as torn or not as it was.
  Result<std::optional<Line>> next();

 private:
  Result<bool> fill();

  int fd_;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t base_ = 0;  // offset of buffer_[0]
  uint64_t lines_ = 0;
};

class ChainChecker {
 public:
  // The event of a line that stands where it should, or what is wrong with it. Signatures are checked against the key
  // that the first record names.
  Result<Event> feed(std::string_view line);

  uint64_t records() const { return records_; }
  uint64_t events() const { return events_; }  // sum of the counts of all but the log's own records
  uint64_t signed_through() const { return signed_through_; }
  const Digest& head() const { return head_; }
  const std::optional<Event>& start() const { return start_; }
  const std::optional<Event>& closing() const { return closing_; }
  const std::optional<PublicKey>& key() const { return key_; }
  // By the first record's seq: how many of its equals were written out.
  const std::unordered_map<uint64_t, uint64_t>& folded() const { return folded_; }

 private:
  Result<void> check_place(const Event& event) const;
  Result<void> check_signature(const Event& event);
  Result<void> take_start(const Event& event);
  Result<void> take_folded(const Event& event);

  uint64_t records_ = 0;
  uint64_t events_ = 0;
  uint64_t signed_through_ = 0;
  Digest head_{};
  std::optional<Event> start_;
  std::optional<Event> closing_;
  std::optional<PublicKey> key_;
  std::unordered_map<uint64_t, uint64_t> folded_;
};

// The seq that a folded record stands for.
std::optional<uint64_t> folded_of(const Event& event);

}  // namespace stockade::event
