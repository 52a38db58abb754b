// The world that a probe attacks: a network namespace of its own, in which every address is ours and answers with one
// word, and a fixture of directories. Nothing reaches the host's network, whatever wall is missing. The world's server
// is a child process that ends with this object; it answers DNS for the names of the probe and writes down what it saw.
// Single-threaded; enter_world() moves the calling process for good.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/pid.h"

namespace stockade::supervisor {

// A new network namespace (for an ordinary user: below a user namespace that maps only that user) in which all of IPv4
// and IPv6 is local.
Result<void> enter_world();

class ProbeWorld {
 public:
  static Result<ProbeWorld> start();
  // The names that were asked of the world's DNS since the last call, a line each.
  std::string take_queries();

 private:
  Pid server_;
  Fd queries_;
};

// Directories in $TMPDIR or /tmp, removed with the object: work (the current directory), read, write, out, outside,
// state and runtime; with a canary, hidden keys, hooks and listening sockets.
class ProbeFixture {
 public:
  static Result<ProbeFixture> make();
  ProbeFixture(ProbeFixture&&) noexcept = default;
  ProbeFixture& operator=(ProbeFixture&&) = delete;
  ~ProbeFixture();
  std::string at(std::string_view relative) const { return path_ + "/" + std::string(relative); }

 private:
  ProbeFixture() = default;
  Result<void> fill();
  Result<void> listen_at(const std::string& path);
  std::string path_;
  std::vector<Fd> sockets_;
};

}  // namespace stockade::supervisor
