// The two processes that a sandbox starts with, and what they say to the supervisor. Both are forks of the
// single-threaded supervisor, so they may allocate; neither lives long with privileges.
//
//   init (pid 1)   makes the root, then gives up everything: ids of its own (root) or not dumpable (user), no
//                  capability, its seccomp filter. It reaps, reports, and dies with the supervisor (death signal, and
//                  the end of its socket). It leads the session, whose terminal is the agent's pty.
//   agent (pid 2)  forked inside the finished root: gives up everything and waits for the word to exec. A process
//                  group of its own in init's session, the foreground one: the kernel stops no orphaned group, so a
//                  leader of its own session could not be stopped by Ctrl-Z.
//
// When the agent's process has ended, init reports and ends too, and with it everything inside.
#pragma once

#include "base/message_socket.h"
#include "sandbox/launch.h"

namespace stockade::sandbox {

enum class Report : uint8_t {
  failed,      // error: the launch is over
  namespaces,  // the maker of namespaces; descriptors: user, network, diag socket, listeners
  root,        // init: root made and privileges gone; descriptors: /proc, the private tmpfs, then the master of the pty
  ready,  // agent: within its walls; descriptors: its pidfd, notify listener, mount namespace, a second diag socket
  exec_failed,  // agent: errno and program
  exited,       // init: the agent's end
  stopped,
  continued,
};

enum class Order : uint8_t { release, stop_all, continue_all };

struct InitChannels {
  int control = -1;             // init ↔ supervisor
  int agent = -1;               // agent ↔ supervisor
  int stdio[3] = {-1, -1, -1};  // -1: the pty
  std::vector<int> entrances;   // of v1 cgroups; the agent's process goes in by itself
  bool keep_kill = false;  // no cgroup can freeze: init stops everything by signal, and needs CAP_KILL in its namespace
};

// What is made while init builds the root, and comes to it on `control`.
struct LateNamespaces {
  Fd network;  // for init and the agent; none where the launcher's is kept
  Fd user;     // root mode: the agent's
  std::string authority;  // for mounts of kind trust
};
Result<void> send_namespaces(int control, const LateNamespaces& namespaces);

// In the child of clone_init(). Never returns.
[[noreturn]] void run_init(const Launch& launch, const InitChannels& channels);

struct AgentStart {
  int terminal = -1;            // the slave of its pty
  int user_namespace = -1;      // to enter (root mode)
  bool notify_sockets = false;  // a mount of the root needs connects to be decided outside (root_fs.h)
};
// The agent's part (init_agent.cc). Never returns.
[[noreturn]] void run_agent(const Launch& launch, const InitChannels& channels, const AgentStart& start);

// An Error over the wire.
std::string encode_failure(const Error& error);
Error decode_failure(std::string_view bytes);  // after the tag

}  // namespace stockade::sandbox
