// The supervisor's ends of the sockets to init and the agent's process, during a launch and after. Each message says
// who sent it (SCM_CREDENTIALS): that is how the agent's pid outside is learned. What these two say before the agent
// execs is ours; after that only init still speaks, from behind its filter.
#pragma once

#include <array>

#include "base/message_socket.h"

namespace stockade::sandbox {

struct LaunchMessage {
  ReceiveState state = ReceiveState::would_block;
  std::string bytes;
  std::vector<Fd> fds;
  pid_t sender = 0;
};

// A pair of SOCK_SEQPACKET sockets; the first one is ours and learns the sender of each message.
Result<std::array<Fd, 2>> make_launch_channel();
Result<LaunchMessage> receive_launch_message(int socket, bool wait);

}  // namespace stockade::sandbox
