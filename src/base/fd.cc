#include "base/fd.h"

#include <sys/socket.h>

namespace stockade {

Result<Fd> Fd::duplicate() const {
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return fail_errno("duplicate a descriptor");
  return Fd(copy);
}

Result<Fd> open_at(int at, const std::string& path, int flags, mode_t mode) {
  const int fd = ::openat(at, path.c_str(), flags | O_CLOEXEC, mode);
  if (fd < 0) return fail_errno("open {}", path);
  return Fd(fd);
}

Result<PipeEnds> make_pipe(int flags) {
  int ends[2];
  if (::pipe2(ends, flags | O_CLOEXEC) < 0) return fail_errno("make a pipe");
  return PipeEnds{Fd(ends[0]), Fd(ends[1])};
}

Result<std::array<Fd, 2>> make_socket_pair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) < 0) return fail_errno("make a socket pair");
  return std::array<Fd, 2>{Fd(ends[0]), Fd(ends[1])};
}

Result<void> set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK)) return {};
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return fail_errno("make a descriptor non-blocking");
  return {};
}

Result<std::string> read_file(int fd, size_t limit) {
  std::string content;
  std::array<char, 16384> buffer;
  while (true) {
    const ssize_t count = ::read(fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("read");
    if (count == 0) return content;
    if (content.size() + static_cast<size_t>(count) > limit)
      return fail(ErrorKind::invalid_input, "larger than {} bytes", limit);
    content.append(buffer.data(), static_cast<size_t>(count));
  }
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  auto fd = open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd) return std::unexpected(std::move(fd).error());
  auto content = read_file(fd->get(), limit);
  if (!content) return std::unexpected(std::move(content).error().context(path));
  return content;
}

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno("write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return {};
}

}  // namespace stockade
