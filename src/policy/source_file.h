// A policy file read once: opened, checked and hashed through one descriptor, so that what is judged is what is used.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace stockade::policy {

struct SourceFile {
  std::string path;                // where the descriptor really points: absolute, no symbolic links
  std::vector<std::string> links;  // the symbolic links that led there: whoever could write one chose the file
  std::string bytes;
  std::string sha256;
  uid_t owner = 0;
  mode_t mode = 0;
};

// Nothing when there is no such file. A file over 1 MiB is refused by its size, without reading it. `follow`: may the
// last component be a symbolic link?
Result<std::optional<SourceFile>> read_source(const std::string& path, bool follow);

// The way to a path, one component after another: what a symbolic link's writer chose is seen, and can't change between
// the look and the use.
struct Walked {
  Fd place;  // O_PATH
  std::string path;
  std::vector<std::string> links;
};
Result<Walked> walk(const std::string& path, bool follow_last);

std::string sha256_hex(std::string_view bytes);

}  // namespace stockade::policy
