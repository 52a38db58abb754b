#include <fmt/format.h>

#include "cli/arguments.h"

namespace stockade::cli {

int version(const VersionOptions& options) {
  if (options.json) {
    fmt::print("{{\"version\": \"{}\"}}\n", STOCKADE_VERSION);
  } else {
    fmt::print("stockade {}\n", STOCKADE_VERSION);
  }
  return 0;
}

}  // namespace stockade::cli
