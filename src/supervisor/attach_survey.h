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
  bool sends_packets = false;                // somebody can send past the rules: the links must be closed outside
};

struct SurveyOptions {
  int diag = -1;                // a NETLINK_SOCK_DIAG socket inside
  pid_t entrant = 0;            // a process of ours inside, which does not count
  bool links_closable = false;  // outside (net/outer_links.h): who sends packets past the rules sends them nowhere
};
Result<AttachSurvey> survey_target(const AttachTarget& target, const SurveyOptions& options);

// Who could undo it (attach_privileges.cc).
void survey_privileges(const AttachTarget& target, const SurveyOptions& options, AttachSurvey& survey);
// What else the members hold, share and reach (attach_channels.cc).
Result<void> survey_channels(const AttachTarget& target, const SurveyOptions& options, AttachSurvey& survey);

}  // namespace stockade::supervisor
