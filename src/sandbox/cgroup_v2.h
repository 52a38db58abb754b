// What the two halves of cgroup.cc share; see cgroup.h.
#pragma once

#include "sandbox/cgroup.h"

namespace stockade::sandbox {

// A cgroup2 directory in which we may make a leaf, and the controllers that the leaf would have.
struct V2Parent {
  std::string directory;
  bool memory = false, cpus = false, pids = false;
};
std::optional<V2Parent> find_v2_parent(const CgroupPlaces& places);

// We may make groups in it and move processes from it.
bool is_writable_cgroup(const std::string& directory);

}  // namespace stockade::sandbox
