// Can this network be taken over so that nobody in it can undo that, and what stays open beside it? `stockade attach`
// refuses what could undo it (`refusals`) and says what no firewall covers (`uncovered`): the target was not started by
// us, so it may hold descriptors, memory and sockets that lead elsewhere. Reads /proc and asks the kernel; changes
// nothing (a socket is looked at through a duplicate). A snapshot, taken just before the takeover.
// Facts: capabilities(7), pidfd_getfd(2), socket(7), unix(7), ioctl SIOCGSKNS.
#pragma once

#include <string>
#include <vector>

#include "net/redirect_rules.h"
#include "supervisor/network_members.h"

namespace stockade::supervisor {

struct AttachSurvey {
  std::vector<Member> members;
  std::vector<std::string> refusals;
  std::vector<std::string> uncovered;
  std::vector<net::LocalPort> closed_ports;  // inside, held by somebody outside
};

// `diag` is a NETLINK_SOCK_DIAG socket inside; `entrant` a process of ours there, which does not count.
Result<AttachSurvey> survey_target(const AttachTarget& target, int diag, pid_t entrant);

// Who could undo it (attach_privileges.cc).
void survey_privileges(const AttachTarget& target, AttachSurvey& survey);
// What else the members hold, share and reach (attach_channels.cc). `diag` as above.
Result<void> survey_channels(const AttachTarget& target, int diag, AttachSurvey& survey);

}  // namespace stockade::supervisor
