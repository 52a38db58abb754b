// NamespaceMaker: a short-lived process that makes the agent's user and network namespaces, with the redirect and its
// listeners, before anything is known of the policy: on another core, while the supervisor reads it. It sends out
// descriptors of what it made and waits until it is let go; what nobody takes goes away with it.
//
// Root mode: the network belongs to the machine's user namespace, and the user namespace is the agent's alone; its ids
// are mapped from outside (map_ids_of()) while the process waits. User mode: the user namespace is the sandbox's whole,
// is there long before the network that it owns, and init, who is born in it, maps its own ids.
// Owned by the supervisor, in its single thread. Facts: user_namespaces(7), network_namespaces(7).
#pragma once

#include "base/message_socket.h"
#include "net/transparent.h"
#include "sandbox/namespaces.h"

namespace stockade::sandbox {

struct MadeNamespaces {
  Fd user;                                             // root mode
  Fd network;                                          // none where the launcher's own is kept (the probe)
  std::optional<net::TransparentListeners> listeners;  // with the redirect
  Fd socket_diag;                                      // of the network namespace
};

class NamespaceMaker {
 public:
  enum class Network { redirected, loopback_only, of_the_launcher };
  static Result<NamespaceMaker> start(Network network = Network::redirected);

  Network network() const { return network_; }
  Mode mode() const { return mode_; }
  pid_t pid() const { return process_.get(); }
  // User mode, before take(): blocks until the sandbox's user namespace is made.
  Result<Fd> take_user_namespace();
  // Blocks until all is made. The explicit proxy's listeners are closed unless they are wanted.
  Result<MadeNamespaces> take(bool explicit_proxy);
  // The process may end: the namespaces live on in their descriptors.
  void let_go() { channel_.reset(); }

 private:
  Result<Message> take_message();
  NamespaceMaker(Network network, Mode mode, Fd channel, Pid process)
      : network_(network), mode_(mode), channel_(std::move(channel)), process_(std::move(process)) {}

  Network network_;
  Mode mode_;
  Fd channel_;
  Pid process_;
};

}  // namespace stockade::sandbox
