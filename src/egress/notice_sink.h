// NoticeSink: a worker's line to the audit log. `written()` sends a notice to the supervisor and returns when the
// supervisor says that it is in the log; only then may the decision take effect. Acknowledgements are cumulative, so
// a flood costs one message for many. `post()` is for what has no effect to hold back. One thread.
#pragma once

#include <deque>
#include <memory>

#include "egress/channel.h"

namespace stockade::egress {

class NoticeSink {
 public:
  NoticeSink(loop::Loop& loop, Channel& supervisor) : loop_(loop), supervisor_(supervisor) {}

  void post(Notice notice);
  loop::Task<void> written(Notice notice);
  // False if the supervisor acknowledges what was never sent.
  bool on_acked(uint64_t seq);
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    uint64_t seq;
    std::shared_ptr<loop::Signal> signal;
  };
  loop::Loop& loop_;
  Channel& supervisor_;
  uint64_t last_seq_ = 0;
  std::deque<Waiting> waiting_;
};

}  // namespace stockade::egress
