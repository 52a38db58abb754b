#include "sandbox/seccomp_filter.h"

#include "base/confine.h"
#include "filters/agent.h"
#include "filters/agent_notify.h"
#include "filters/agent_notify_programs.h"
#include "filters/agent_programs.h"
#include "filters/init.h"
#include "filters/supervisor.h"

namespace stockade::sandbox {

std::span<const sock_filter> agent_filter(const FilterChoice& choice) {
  if (choice.notify_sockets && choice.program_list) return filters::kAgentNotifyProgramsFilter;
  if (choice.notify_sockets) return filters::kAgentNotifyFilter;
  if (choice.program_list) return filters::kAgentProgramsFilter;
  return filters::kAgentFilter;
}

std::span<const sock_filter> init_filter() { return filters::kInitFilter; }
std::span<const sock_filter> supervisor_filter() { return filters::kSupervisorFilter; }

Result<void> install_seccomp_filter(const FilterChoice& choice) {
  if (choice.notify_sockets)
    return fail(ErrorKind::internal, "a filter that asks outside needs its listener: notify_filter.h");
  return install_seccomp_filter(agent_filter(choice));
}

Result<void> install_seccomp_filter(std::span<const sock_filter> filter) {
  const int loaded = load_seccomp_filter(filter, 0);
  if (loaded < 0) return std::unexpected(Error::from_errno("load the seccomp filter", -loaded));
  return {};
}

}  // namespace stockade::sandbox
