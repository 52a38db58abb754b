// ChainWriter: appends records to one events.jsonl, each sealed by the hash of the one before it. A record is in the
// file (one write(2), O_APPEND) before append() returns; it survives the death of any process, not of the machine.
// Space for the last records is reserved ahead of the file's end, so a full disk is noticed while the log can still be
// closed properly. A failed append leaves no partial line, and every later one but the closing ones fails too.
// One thread; used by the log and by recovery.
#pragma once

#include "base/fd.h"
#include "event/event.h"
#include "event/signing_key.h"

namespace stockade::event {

class ChainWriter {
 public:
  enum class Use {
    normal,   // leaves the reserve untouched
    closing,  // may use it
  };

  ChainWriter() = default;
  // `file` is open for appending and holds `size` bytes, which end with the record before `next_seq`.
  ChainWriter(Fd file, int directory, std::string run, uint64_t size, uint64_t next_seq, const Digest& prev);

  // Fills seq, time, run, prev and hash of `event`, signs it if asked, and writes it.
  Result<void> append(Event& event, WallTime now, Use use, const SigningKey* signer = nullptr);

  // From now on keeps `bytes` ahead of the end.
  Result<void> reserve(uint64_t bytes);
  // Gives back what was reserved and not used, but for a few blocks.
  void release_reserve();

  uint64_t next_seq() const { return next_seq_; }
  uint64_t size() const { return size_; }
  const Digest& head() const { return prev_; }
  int fd() const { return file_.get(); }

 private:
  Result<void> make_room(uint64_t line_bytes);
  Result<void> extend_reserve_file(uint64_t bytes);
  Result<void> write_line(std::string_view line);
  void give_up_reserve_file();

  Fd file_;
  int directory_ = -1;
  std::string run_;
  uint64_t size_ = 0;
  uint64_t next_seq_ = 1;
  Digest prev_{};
  uint64_t reserve_ = 0;
  uint64_t allocated_ = 0;  // the file's blocks reach to here
  bool failed_ = false;
  bool closing_ = false;
  Fd reserve_file_;  // where the filesystem can't allocate past the end: a file of zeros, given up at the end
  uint64_t reserve_file_size_ = 0;
};

}  // namespace stockade::event
