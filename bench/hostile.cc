// What misbehaves inside a sandbox while `make bench` measures the outside. Each mode says "ready" on stdout once it is
// under way, goes on until a limit or a kill ends it, and by itself after half a minute.
//
//   hostile processes N | bomb | memory | disk | inodes | descriptors | line | refused ADDRESS PORT
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

void say_ready() { (void)!::write(1, "ready\n", 6); }

int processes(int count) {
  for (int i = 1; i < count; ++i) {
    if (::fork() == 0) {
      ::pause();
      ::_exit(0);
    }
  }
  say_ready();
  ::pause();
  return 0;
}

[[noreturn]] void bomb() {
  say_ready();
  ::alarm(30);
  while (true) {
    if (::fork() == 0) ::alarm(30);
  }
}

int memory() {
  say_ready();
  constexpr size_t kPiece = 16 << 20;
  for (size_t total = 0; total < (size_t{10} << 30); total += kPiece) {
    void* piece = std::malloc(kPiece);
    if (piece == nullptr) return 3;
    std::memset(piece, 1, kPiece);
  }
  return 0;
}

int disk(bool inodes) {
  say_ready();
  const std::vector<char> piece(1 << 20, 'x');
  for (int i = 0; i < 1'000'000; ++i) {
    const int fd = ::open(("/tmp/fill-" + std::to_string(i)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return 3;
    while (!inodes)
      if (::write(fd, piece.data(), piece.size()) <= 0) return 3;
    ::close(fd);
  }
  return 0;
}

int descriptors() {
  say_ready();
  for (int i = 0; i < 100'000; ++i)
    if (::open("/dev/null", O_RDONLY) < 0) return 3;
  return 0;
}

int line() {
  say_ready();
  const std::vector<char> piece(1 << 20, 'x');
  for (int i = 0; i < 1024; ++i)
    for (size_t done = 0; done < piece.size();) {
      const ssize_t count = ::write(1, piece.data() + done, piece.size() - done);
      if (count <= 0) return 3;
      done += static_cast<size_t>(count);
    }
  return 0;
}

int refused(const char* address, int port) {
  say_ready();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  ::inet_pton(AF_INET, address, &to.sin_addr);
  for (int i = 0; i < 100'000; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to);
    ::close(fd);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  ::alarm(30);
  if (mode == "processes" && argc > 2) return processes(std::atoi(argv[2]));
  if (mode == "bomb") bomb();
  if (mode == "memory") return memory();
  if (mode == "disk" || mode == "inodes") return disk(mode == "inodes");
  if (mode == "descriptors") return descriptors();
  if (mode == "line") return line();
  if (mode == "refused" && argc > 3) return refused(argv[2], std::atoi(argv[3]));
  std::fputs("hostile: unknown mode\n", stderr);
  return 2;
}
