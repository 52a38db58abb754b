// A policy in plain sentences, wall by wall: what the agent can do, each default that applies, which limits are hard or
// polled, what happens without an event, what is broad. A person should be able to read it in a minute.
#pragma once

#include <span>

#include "policy/layer.h"

namespace stockade::policy {

enum class Strength { hard, polled, refused };

// Who holds a limit on this machine; `limit` is its key ("memory", "cpus", "pids", "disk", "inodes", "open_files",
// "file_size", "time", …).
struct LimitStrength {
  std::string limit;
  Strength strength = Strength::hard;
  std::string by;  // "cgroup v1 memory"
};

struct Chapter {
  std::string title;
  std::vector<std::string> lines;
};

std::vector<Chapter> explain(const Layered& layered, std::span<const LimitStrength> strengths,
                             const Surroundings& surroundings);
std::string to_text(const std::vector<Chapter>& chapters);

}  // namespace stockade::policy
