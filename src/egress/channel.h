// Channel: one end of a SOCK_SEQPACKET pair between two of our processes, on a loop. Records are queued and leave
// together: whatever one round of the loop produced is one message (up to kBatchBytes and kBatchFds), so that a flood
// of refusals costs one system call for some hundred of them, in each process.
//
// The queue is bounded: a peer that does not read while we have kQueueLimit bytes for it is treated as gone. The owner
// spawns run_reader() and run_writer(); both end when the channel does, and the owner then ends too. One thread.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "base/message_socket.h"
#include "egress/records.h"
#include "loop/loop.h"

namespace stockade::egress {

inline constexpr size_t kBatchBytes = 48 * 1024;
inline constexpr size_t kQueueLimit = 16 * 1024 * 1024;

// Descriptors that came with a message, taken in order by the records that announce one.
class ArrivedFds {
 public:
  explicit ArrivedFds(std::vector<Fd>& fds) : fds_(fds) {}
  Fd take() { return next_ < fds_.size() ? std::move(fds_[next_++]) : Fd(); }
  std::vector<Fd> take_all();
  bool all_taken() const { return next_ == fds_.size(); }

 private:
  std::vector<Fd>& fds_;
  size_t next_ = 0;
};

class RecordHandler {
 public:
  virtual ~RecordHandler() = default;
  // Reads the record's fields from `in`. An error, or a reader that is not ok, ends the channel.
  virtual Result<void> on_record(RecordType type, WireReader& in, ArrivedFds& fds) = 0;
};

class Channel {
 public:
  static Result<std::unique_ptr<Channel>> open(loop::Loop& loop, Fd socket);
  Channel(loop::Loop& loop, loop::AsyncFd socket) : loop_(loop), wake_writer_(loop), socket_(std::move(socket)) {}

  template <typename Record>
  void send(const Record& record) {
    send_with(record, {});
  }
  template <typename Record>
  void send_with(const Record& record, std::vector<Fd> fds) {
    WireWriter& out = begin(fds.size());
    out.put(Record::kType);
    write_record(out, record);
    finish(std::move(fds));
  }

  // Decodes until the peer is gone or breaks the protocol; how it ended is in `outcome` (kept by the owner).
  loop::Task<void> run_reader(RecordHandler& handler, Result<void>& outcome);
  loop::Task<void> run_writer();

 private:
  struct Outgoing {
    WireWriter bytes;
    std::vector<Fd> fds;
  };
  WireWriter& begin(size_t fd_count);
  void finish(std::vector<Fd> fds);
  Result<void> decode(RecordHandler& handler, Message& message);

  loop::Loop& loop_;
  loop::Signal wake_writer_;
  loop::AsyncFd socket_;
  std::deque<Outgoing> queue_;
  size_t queued_bytes_ = 0;
  size_t before_record_ = 0;
  bool overflowed_ = false;
  bool writer_idle_ = false;
};

}  // namespace stockade::egress
