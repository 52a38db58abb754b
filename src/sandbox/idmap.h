// User namespaces whose only use is their id map: a mount that carries one shows the person's files as the agent's
// (mount_setattr(2), MOUNT_ATTR_IDMAP). Only the machine's root can make such mounts; an ordinary user needs none,
// because there the agent is the person.
#pragma once

#include <sys/types.h>

#include <vector>

#include "base/fd.h"
#include "sandbox/namespaces.h"

namespace stockade::sandbox {

class IdMaps {
 public:
  // The descriptor of a namespace that maps owner → the agent's kernel ids; made at the first call for an owner.
  Result<int> for_owner(uid_t uid, gid_t gid, const Identity& identity);

  std::vector<int> descriptors() const;

 private:
  struct Entry {
    uid_t uid = 0;
    gid_t gid = 0;
    Fd userns;
  };
  std::vector<Entry> entries_;
};

}  // namespace stockade::sandbox
