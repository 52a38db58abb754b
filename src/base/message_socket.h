// Datagrams with descriptors between our own processes, over a SOCK_SEQPACKET socket pair. A message is at most
// kMessageLimit bytes and carries at most kMessageFdLimit descriptors; a longer or truncated one is a protocol error,
// and descriptors that arrive with it are closed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace stockade {

inline constexpr size_t kMessageLimit = 64 * 1024;
inline constexpr size_t kMessageFdLimit = 16;

struct Message {
  std::string bytes;
  std::vector<Fd> fds;
};

enum class ReceiveState { message, would_block, closed };

// Sends one message; EAGAIN becomes an error whose error_number() is EAGAIN.
Result<void> send_message(int socket, std::string_view bytes, std::span<const int> fds = {});

// Receives one message into `out` (its buffers are reused).
Result<ReceiveState> receive_message(int socket, Message& out);

}  // namespace stockade
