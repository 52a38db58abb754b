// Taking over a network namespace that has a network and is in use (`stockade attach`), and giving it back as it was.
// Nothing of it is changed, only added to, and all that is added lives with descriptors:
//
//   tables   nft tables that belong to a socket (redirect_rules.h): nothing in or out but through lo
//   anchor   a link whose other end lies in an empty namespace of ours; local routes over it make every address one of
//            the target's own, as in a sandbox. With the last descriptor of that namespace the link goes, and the
//            routes with it.
//
// So the end of whoever holds a Takeover, also by kill -9, is the end of everything that was added: the kernel takes
// it away, and no process of ours is needed for that. Connections are cut before and after, so that none goes on.
//
// For a process that may become part of the namespace; single-threaded. Not covered: what CAP_NET_ADMIN or
// CAP_NET_RAW inside could do (redirect_rules.h); inbound traffic is refused while it lasts, also on published ports.
// Facts: network_namespaces(7), veth(4), net/ipv4/fib_trie.c (a local and a main table without rules are one trie, in
// which the longest prefix wins), sock_diag(7).
#pragma once

#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "net/redirect_rules.h"
#include "net/transparent.h"

namespace stockade::net {

struct Takeover {
  Fd tables;
  Fd anchor;
  Fd links;  // an rtnetlink socket inside
  Fd diag;   // a NETLINK_SOCK_DIAG socket inside
  TransparentListeners listeners;
  uint32_t connections_cut = 0;

  // In a fixed order for SCM_RIGHTS.
  std::vector<int> descriptors() const;
  static Result<Takeover> from_descriptors(std::vector<Fd> fds);
};

// Enters `network` for good, by way of a new namespace, which becomes the anchor. Nothing is changed yet.
struct EnteredNetwork {
  int network = -1;
  Fd anchor;
  Fd anchor_links;  // an rtnetlink socket there
  Fd diag;
  Fd links;  // rtnetlink, inside
};
Result<EnteredNetwork> enter_network(int network);
Result<Takeover> take_over(EnteredNetwork entered, std::vector<LocalPort> closed_ports);

// Removes the link at once, from outside; the rest goes with the descriptors.
void remove_anchor(const Takeover& takeover);

}  // namespace stockade::net
