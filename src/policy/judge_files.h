// The judgements of the file and program sections, as pure functions of the policy's text (the sandbox enforces them
// with mounts). They answer for the host's files: "may the agent read (or change) what is at this path outside?" A
// path that nothing mounts is the sandbox's own: scratch space, or a file that we make; the host's file is out of
// reach.
#pragma once

#include "policy/decision.h"

namespace stockade::policy {

// `path` as the agent names it: absolute, normalised. The longest mount decides; `hide` beats all.
Verdict judge_read(const Policy& policy, std::string_view path);
Verdict judge_write(const Policy& policy, std::string_view path);
// A bare name ("git") or an absolute path.
Verdict judge_exec(const Policy& policy, std::string_view program);

// The mount that holds the path inside, or null.
const FileRule* mount_of(const Policy& policy, std::string_view path);
// The `hide` entry that covers a path outside, or null.
const FileRule* hidden_by(const Policy& policy, std::string_view host_path);

}  // namespace stockade::policy
