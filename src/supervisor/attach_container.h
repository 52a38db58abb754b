// A running container by the name or id that its engine knows, found in the state files that engines keep on disk:
// runc (also under Docker and containerd) and crun (also under Podman) record each container's first process; Docker
// and Podman record which id a name stands for. No engine is asked and no program run. The files are the engine's own
// (root's, or this person's where rootless); a process is the recorded one only if it started when the record says.
// Facts: runc libcontainer/state_linux.go, crun src/libcrun/status.c, moby container/container.go, containers/storage.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/error.h"

namespace stockade::supervisor {

struct ContainerProcess {
  pid_t pid = 0;
  uint64_t start = 0;  // as in /proc/PID/stat
  std::string engine;  // "crun", "runc"
};

Result<ContainerProcess> find_container(const std::string& name_or_id);

}  // namespace stockade::supervisor
