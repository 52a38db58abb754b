// What a sandbox takes of the machine's memory where no cgroup counts it, as a limit sees it: anonymous pages, each
// shared one once (PSS: forked processes share most of theirs), and files that lie in memory, be they in the private
// tmpfs, mapped, or memfds that nobody maps. Page cache of files on a disk does not count: it gives way.
//
// Exact figures cost a walk of page tables, so they are asked for only when the resident sets, which count shared pages
// many times, could be too much; and never for more than a tenth of the time, unless what is private has grown by the
// whole remaining room. Files in memory that no process maps or holds by a descriptor of its own (in flight between
// sockets, in a table that a thread made its own) are seen only by what the whole machine lacks: when that much more
// lies in memory than before, and next to nothing is left, the limit counts as exceeded.
#pragma once

#include <cstdint>

#include "base/error.h"

namespace stockade::sandbox {

class MemoryMeter {
 public:
  // Both descriptors stay the caller's: the sandbox's /proc, and a directory of its private tmpfs.
  MemoryMeter(int proc, int tmpfs, uint64_t limit);

  // `now` in seconds of a clock that only advances.
  Result<bool> exceeded(double now);

 private:
  struct Exact {
    uint64_t anonymous = 0;
    uint64_t mapped = 0;  // of files in memory
  };
  Result<bool> is_exceeded_exactly(uint64_t files, uint64_t private_now);
  Result<Exact> measure_exactly() const;
  Result<uint64_t> measure_memfds() const;
  bool is_machine_exhausted() const;

  const int proc_;
  const int tmpfs_;
  const uint64_t limit_;
  uint64_t memfd_device_ = 0;
  uint64_t shared_at_start_ = 0;  // of the whole machine

  uint64_t memfds_ = 0;
  uint64_t private_then_ = 0, room_then_ = 0;  // at the last exact measurement
  double memfds_due_ = 0, exact_due_ = 0, exact_soonest_ = 0, machine_due_ = 0;
};

}  // namespace stockade::sandbox
