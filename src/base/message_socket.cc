#include "base/message_socket.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cstring>

namespace stockade {

Result<void> send_message(int socket, std::string_view bytes, std::span<const int> fds) {
  if (bytes.size() > kMessageLimit || fds.size() > kMessageFdLimit)
    return fail(ErrorKind::internal, "message of {} bytes and {} descriptors is too large", bytes.size(), fds.size());
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMessageFdLimit)] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(rights), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(socket, &header, MSG_NOSIGNAL) < 0) {
    if (errno != EINTR) return fail_errno("send a message");
  }
  return {};
}

Result<ReceiveState> receive_message(int socket, Message& out) {
  out.fds.clear();
  // Not filled with zeros: most messages are short, and 64 KiB are sixteen page faults.
  out.bytes.resize_and_overwrite(kMessageLimit, [](char*, size_t size) { return size; });
  iovec part{out.bytes.data(), out.bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMessageFdLimit)];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t count;
  while ((count = ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return ReceiveState::would_block;
    if (errno == ECONNRESET) return ReceiveState::closed;
    return fail_errno("receive a message");
  }
  for (cmsghdr* part_header = CMSG_FIRSTHDR(&header); part_header; part_header = CMSG_NXTHDR(&header, part_header)) {
    if (part_header->cmsg_level != SOL_SOCKET || part_header->cmsg_type != SCM_RIGHTS) continue;
    const size_t fd_count = (part_header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < fd_count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part_header) + i * sizeof(int), sizeof(int));
      out.fds.emplace_back(fd);
    }
  }
  if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    out.fds.clear();
    return fail(ErrorKind::protocol, "a message was too large");
  }
  if (count == 0) return ReceiveState::closed;
  out.bytes.resize(static_cast<size_t>(count));
  return ReceiveState::message;
}

}  // namespace stockade
