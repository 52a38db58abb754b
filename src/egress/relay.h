// Relay: the steady state of a connection that was let through. Bytes move between the agent's socket and the upstream
// one, each direction on its own, and the end of one direction is handed on (shutdown) while the other goes on. Small
// pieces are copied through one buffer of the process; as soon as a direction fills it, its bytes are spliced through a
// pooled pipe and never enter user space. An idle relay holds two sockets and about a kilobyte.
//
// A reset on one side resets the other. Both sides have TCP keepalive; after one direction has ended the other may stay
// silent for kHalfClosedIdle. Bytes are counted by the dialer, on its duplicate. One thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "egress/pipe_pool.h"
#include "loop/loop.h"

namespace stockade::egress {

inline constexpr Duration kHalfClosedIdle = std::chrono::minutes(30);

struct RelayEnds {
  loop::AsyncFd client;
  loop::AsyncFd upstream;
  std::string to_upstream;  // already read from the client
  std::string to_client;    // already read from upstream
};

class RelayHouse;

class Relay {
 public:
  Relay(RelayHouse& house, RelayEnds ends, uint64_t flow)
      : house_(house), client_(std::move(ends.client)), upstream_(std::move(ends.upstream)), flow_(flow) {}
  ~Relay();

 private:
  friend class RelayHouse;
  enum class Need { read, write, yield, ended, broken };
  struct Direction {
    std::unique_ptr<PipePool::Pipe> pipe;
    std::string spill;  // read but not yet written
    size_t spilled = 0;
    bool bulk = false;
    bool source_ended = false;
  };

  static loop::Task<void> pump(std::shared_ptr<Relay> relay, bool outward);
  Need advance(bool outward);
  Need advance_copy(Direction& way, loop::AsyncFd& from, loop::AsyncFd& to);
  Need advance_splice(Direction& way, loop::AsyncFd& from, loop::AsyncFd& to);
  Need flush_spill(Direction& way, loop::AsyncFd& to);
  void stop(bool abort);

  RelayHouse& house_;
  loop::AsyncFd client_;
  loop::AsyncFd upstream_;
  uint64_t flow_;
  Direction out_;
  Direction in_;
  bool one_ended_ = false;
  bool aborted_ = false;
};

// What all relays of a process share.
class RelayHouse {
 public:
  using Ended = std::function<void(uint64_t flow, bool abort)>;
  RelayHouse(loop::Loop& loop, Ended ended);

  void start(RelayEnds ends, uint64_t flow);

 private:
  friend class Relay;
  loop::Loop& loop_;
  Ended ended_;
  PipePool pipes_;
  std::string buffer_;
};

// Makes the next close of a socket a reset.
void reset_on_close(int socket);

}  // namespace stockade::egress
