// Directories and files that are the person's alone: opened without following a link, owned by the effective user,
// closed to everybody else. What is not so is refused, never repaired. O_NOFOLLOW covers the last component; the
// directories above it are the caller's to trust ($XDG_STATE_HOME).
#pragma once

#include <sys/stat.h>

#include <string>

#include "base/fd.h"

namespace stockade::event {

enum class Missing { refuse, create };

Result<Fd> open_private_directory(const std::string& path, Missing missing);

// `flags` are open(2)'s; with O_CREAT the mode is 0600. An error for a file that is missing keeps ENOENT.
Result<Fd> open_private_file(int directory, const std::string& name, int flags);

// Waits for flock(2) up to a second, so that a stopped holder can't hang us.
Result<void> lock_file(int fd, int operation, std::string_view what);

}  // namespace stockade::event
