// A run that goes on, by its id or name; runs that died are settled first.
#pragma once

#include "supervisor/run_directory.h"

namespace stockade::cli {

Result<supervisor::KnownRun> running_run(const std::string& name);

}  // namespace stockade::cli
