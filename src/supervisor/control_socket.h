// The control socket of a run: JSON-RPC 2.0, one request a line, over a unix socket in the run's runtime directory
// (0700). The peer must be of our own uid or root, and live in our own pid namespace: nothing inside any sandbox may
// speak here (nor approve anything), even if the socket were mounted into it by mistake; it is told so. A line is at most 64 KiB; a peer that sends none for
// ten seconds is dropped; at most 32 peers at once.
//
//   {"jsonrpc": "2.0", "id": 1, "method": "kill", "params": {"reason": "…"}}
//   methods: status, pause, resume, kill {reason}, approvals, approve {event, reason}, deny {event, reason}
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "loop/loop.h"

namespace stockade::supervisor {

// What the methods do; implemented by the run. Each answer is a JSON value as text, or an error for the peer.
class ControlHandler {
 public:
  virtual ~ControlHandler() = default;
  virtual Result<std::string> control_status() = 0;
  virtual Result<std::string> control_pause(const std::string& who) = 0;
  virtual Result<std::string> control_resume(const std::string& who) = 0;
  virtual Result<std::string> control_kill(const std::string& who, const std::string& reason) = 0;
  virtual Result<std::string> control_approvals() = 0;
  virtual Result<std::string> control_decide(const std::string& who, uint64_t event, bool granted,
                                             const std::string& reason) = 0;
};

class ControlServer {
 public:
  // Binds `path`; serves as tasks of `loop` until destroyed.
  static Result<std::unique_ptr<ControlServer>> create(loop::Loop& loop, const std::string& path,
                                                       ControlHandler& handler);
  ~ControlServer();

 private:
  ControlServer(loop::Loop& loop, loop::AsyncFd listener, ControlHandler& handler);
  loop::Task<void> accept_peers();
  loop::Task<void> serve(loop::AsyncFd peer, std::string who);

  loop::Loop& loop_;
  loop::AsyncFd listener_;
  ControlHandler& handler_;
  std::vector<loop::Loop::TaskId> tasks_;  // the acceptor and one a peer; ended ones are harmless
  size_t peers_ = 0;
};

struct ControlRequest {
  std::string method;
  std::string reason{};
  std::optional<uint64_t> event{};
};

// One request and its answer: the `result` as JSON text. Blocks; a run that answers nothing within the timeout is an
// error of kind unavailable.
Result<std::string> control_request(const std::string& socket_path, const ControlRequest& request,
                                    std::chrono::milliseconds timeout);

}  // namespace stockade::supervisor
