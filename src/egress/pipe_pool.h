// PipePool: pipes for splice(2), held by a flow only while bytes are in them. An ordinary user's pipes shrink to two
// pages once fs.pipe-user-pages-soft is used up (about a thousand pipes), so there are few of them, used again and
// again; past kPipes the caller copies instead. The kernel's default size is kept: 256 KiB and 1 MiB moved no more
// bytes a second, over one connection and over 64. One thread. (pipe(7))
#pragma once

#include <memory>
#include <vector>

#include "base/fd.h"

namespace stockade::egress {

class PipePool {
 public:
  static constexpr size_t kPipes = 256;
  static constexpr int kPipeBytes = 256 * 1024;
  static constexpr size_t kKeptIdle = 8;

  struct Pipe {
    PipeEnds ends;
    size_t filled = 0;
  };

  // None when every pipe is in use or the system gives no more.
  std::unique_ptr<Pipe> take();
  // A pipe with bytes left in it is closed, never given to another flow.
  void give_back(std::unique_ptr<Pipe> pipe);
  size_t in_use() const { return made_ - idle_.size(); }

 private:
  size_t made_ = 0;
  std::vector<std::unique_ptr<Pipe>> idle_;
};

}  // namespace stockade::egress
