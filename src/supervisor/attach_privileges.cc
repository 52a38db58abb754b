// Who of a target could undo the takeover: whoever holds, or could come to hold, a capability over its network.
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>

#include <array>
#include <set>

#include "supervisor/attach_survey.h"

namespace stockade::supervisor {

namespace {

struct Danger {
  int capability;
  const char* name;
  const char* could;
};
constexpr std::array kDangers = {
    Danger{CAP_NET_ADMIN, "CAP_NET_ADMIN", "change routes, addresses and rules back"},
    Danger{CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "enter another network namespace (setns)"},
    Danger{CAP_NET_RAW, "CAP_NET_RAW", "send past every rule (AF_PACKET, AF_XDP)"},
    Danger{CAP_SYS_MODULE, "CAP_SYS_MODULE", "change the kernel"},
};
// Only where the target sees processes outside.
constexpr Danger kPtrace = {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "take over a process outside"};

// Whose privileges reach the network: its owner's user namespace and those above it, up to ours.
struct Reach {
  NamespaceId ours;
  std::set<NamespaceId> user_namespaces;
  std::set<uid_t> owners;  // of those below ours: with such a uid in ours, one has every capability in there
};

Reach reach_of(const AttachTarget& target) {
  Reach reach;
  reach.ours = namespace_id("/proc/self/ns/user").value_or(NamespaceId{});
  Fd current(::fcntl(target.owner.get(), F_DUPFD_CLOEXEC, 3));
  while (current) {
    const auto id = namespace_id(current.get());
    if (!id) break;
    reach.user_namespaces.insert(*id);
    if (*id == reach.ours) break;
    uid_t owner = 0;
    if (::ioctl(current.get(), NS_GET_OWNER_UID, &owner) == 0) reach.owners.insert(owner);
    current = Fd(::ioctl(current.get(), NS_GET_PARENT));
  }
  return reach;
}

bool same_namespace(pid_t pid, const char* kind) {
  const auto its = namespace_id(fmt::format("/proc/{}/ns/{}", pid, kind));
  const auto ours = namespace_id(fmt::format("/proc/self/ns/{}", kind));
  return !its || !ours || *its == *ours;
}

// What it has, and what it could get by executing a program: of a file's or root's capabilities, those in its bounding
// set (and its inheritable ones), unless it has given that up for good.
uint64_t could_have(const Credentials& its) {
  const uint64_t has = its.effective | its.permitted;
  return its.no_new_privileges ? has : has | its.inheritable | its.bounding;
}

std::string refusal(pid_t pid, const Credentials& its, const Danger& danger) {
  const bool has = ((its.effective | its.permitted) & capability_bit(danger.capability)) != 0;
  return fmt::format("process {} ({}) {} {}: it could {}", pid, process_name(pid),
                     has ? "has" : "could regain, by executing a program,", danger.name, danger.could);
}

void judge_thread(pid_t pid, pid_t thread, const Reach& reach, const SurveyOptions& options, AttachSurvey& survey) {
  const std::string directory = fmt::format("/proc/{}/task/{}", pid, thread);
  const auto its = credentials_of(directory);
  const auto user_namespace = namespace_id(directory + "/ns/user");
  if (!its || !user_namespace) {
    if (namespace_id(directory + "/ns/net"))  // else it ended
      survey.refusals.push_back(fmt::format("process {} ({}) can't be looked into", pid, process_name(pid)));
    return;
  }
  // Root of a user namespace below the network's has no power over it.
  if (!reach.user_namespaces.contains(*user_namespace)) return;
  if (*user_namespace == reach.ours && reach.owners.contains(its->effective_uid))
    survey.refusals.push_back(
        fmt::format("process {} ({}) is of the user who owns the network's user namespace: it could enter that", pid,
                    process_name(pid)));
  uint64_t dangerous = could_have(*its);
  if (options.links_closable && dangerous & capability_bit(CAP_NET_RAW)) {
    survey.sends_packets = true;
    dangerous &= ~capability_bit(CAP_NET_RAW);
  }
  for (const Danger& danger : kDangers)
    if (dangerous & capability_bit(danger.capability)) survey.refusals.push_back(refusal(pid, *its, danger));
  if (same_namespace(pid, "pid") && dangerous & capability_bit(CAP_SYS_PTRACE))
    survey.refusals.push_back(refusal(pid, *its, kPtrace));
}

}  // namespace

void survey_privileges(const AttachTarget& target, const SurveyOptions& options, AttachSurvey& survey) {
  const Reach reach = reach_of(target);
  for (const Member& member : survey.members) {
    for (const pid_t thread : member.threads) {
      const size_t before = survey.refusals.size();
      judge_thread(member.pid, thread, reach, options, survey);
      if (survey.refusals.size() > before) break;  // of one process, one thread's reasons are enough
    }
    if (!member.threads_beside.empty())
      survey.refusals.push_back(fmt::format("process {} ({}) has threads in another network namespace as well",
                                            member.pid, process_name(member.pid)));
  }
}

Result<AttachSurvey> survey_target(const AttachTarget& target, const SurveyOptions& options) {
  AttachSurvey survey;
  STOCKADE_ASSIGN(survey.members, members_of(target.network_id));
  std::erase_if(survey.members, [&](const Member& member) { return member.pid == options.entrant; });
  survey_privileges(target, options, survey);
  STOCKADE_TRY(survey_channels(target, options, survey));
  return survey;
}

}  // namespace stockade::supervisor
