// A policy file read once: opened, checked and hashed through one descriptor, so that what is judged is what is used.
#pragma once

#include <sys/types.h>

#include <optional>

#include "base/error.h"

namespace stockade::policy {

struct SourceFile {
  std::string path;  // where the descriptor really points: absolute, no symbolic links
  std::string bytes;
  std::string sha256;
  uid_t owner = 0;
  mode_t mode = 0;
};

// Nothing when there is no such file. A file over 1 MiB is refused by its size, without reading it. `follow`: may the
// last component be a symbolic link?
Result<std::optional<SourceFile>> read_source(const std::string& path, bool follow);

std::string sha256_hex(std::string_view bytes);

}  // namespace stockade::policy
