// What `stockade attach` is pointed at: a running process, a network namespace, or a container by the name that its
// engine knows (attach_container.h), as one network namespace and the way into it. Opened once; everything after works
// on the descriptors. The host's own network namespace is refused, and one that somebody else owns.
// Facts: namespaces(7), ioctl_ns(2), pidfd_open(2).
#pragma once

#include <sys/types.h>

#include <compare>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/fd.h"

namespace stockade::supervisor {

struct NamespaceId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const NamespaceId&) const = default;
};
Result<NamespaceId> namespace_id(int fd);
Result<NamespaceId> namespace_id(const std::string& path);

struct AttachRequest {
  std::optional<pid_t> pid;  // exactly one of the three
  std::string netns;
  std::string container;
};

struct AttachTarget {
  std::string words;  // "process 4242 (node)", for people and the log
  Fd network;
  NamespaceId network_id;
  Fd owner;                  // the user namespace that the network belongs to
  bool enter_owner = false;  // an ordinary user's: privileges over the network are had only in there
  pid_t pid = 0;             // whose end may be the attachment's; 0: a namespace alone
  Fd process;                // its pidfd
};

Result<AttachTarget> find_target(const AttachRequest& request);

}  // namespace stockade::supervisor
