#include "sandbox/launch_channel.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

namespace stockade::sandbox {

namespace {
constexpr size_t kLimit = 16 * 1024;
}

Result<std::array<Fd, 2>> make_launch_channel() {
  STOCKADE_ASSIGN(auto pair, make_socket_pair(SOCK_SEQPACKET));
  const int on = 1;
  if (::setsockopt(pair[0].get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
    return fail_errno("ask for the sender of messages");
  return pair;
}

Result<LaunchMessage> receive_launch_message(int socket, bool wait) {
  LaunchMessage out;
  char buffer[kLimit];
  iovec part{buffer, sizeof(buffer)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMessageFdLimit) + CMSG_SPACE(sizeof(ucred))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t count;
  while ((count = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT))) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return out;
    if (errno == ECONNRESET) count = 0;
    if (count == 0) break;
    return fail_errno("hear from the sandbox");
  }
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET) continue;
    if (item->cmsg_type == SCM_CREDENTIALS) {
      ucred sender;
      std::memcpy(&sender, CMSG_DATA(item), sizeof(sender));
      out.sender = sender.pid;
    } else if (item->cmsg_type == SCM_RIGHTS) {
      const size_t fds = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < fds; ++i) {
        int fd;
        std::memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(int));
        out.fds.emplace_back(fd);
      }
    }
  }
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) return fail(ErrorKind::protocol, "a message of the sandbox was cut");
  out.state = count == 0 ? ReceiveState::closed : ReceiveState::message;
  if (count > 0) out.bytes.assign(buffer, static_cast<size_t>(count));
  return out;
}

}  // namespace stockade::sandbox
