// Fd: a file descriptor with one owner. Everything here is born O_CLOEXEC.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace stockade {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  Result<Fd> duplicate() const;

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC added. `at` may be AT_FDCWD.
Result<Fd> open_at(int at, const std::string& path, int flags, mode_t mode = 0);

struct PipeEnds {
  Fd read;
  Fd write;
};
Result<PipeEnds> make_pipe(int flags = 0);

// A connected pair of unix sockets of `type` (SOCK_STREAM, SOCK_SEQPACKET), O_CLOEXEC.
Result<std::array<Fd, 2>> make_socket_pair(int type);

Result<void> set_nonblocking(int fd);

// Reads a whole file, refusing more than `limit` bytes.
Result<std::string> read_file(int fd, size_t limit);
Result<std::string> read_file(const std::string& path, size_t limit);

// Writes all of `bytes`, through short writes and EINTR.
Result<void> write_all(int fd, std::string_view bytes);

}  // namespace stockade
