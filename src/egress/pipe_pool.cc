#include "egress/pipe_pool.h"

#include <fcntl.h>

namespace stockade::egress {

std::unique_ptr<PipePool::Pipe> PipePool::take() {
  if (!idle_.empty()) {
    auto pipe = std::move(idle_.back());
    idle_.pop_back();
    return pipe;
  }
  if (made_ >= kPipes) return nullptr;
  auto ends = make_pipe(O_NONBLOCK);
  if (!ends) return nullptr;
  (void)::fcntl(ends->write.get(), F_SETPIPE_SZ, kPipeBytes);  // over the user's share: it stays as it is
  ++made_;
  auto pipe = std::make_unique<Pipe>();
  pipe->ends = std::move(*ends);
  return pipe;
}

void PipePool::give_back(std::unique_ptr<Pipe> pipe) {
  if (!pipe) return;
  if (pipe->filled == 0 && idle_.size() < kKeptIdle) {
    idle_.push_back(std::move(pipe));
    return;
  }
  --made_;
}

}  // namespace stockade::egress
