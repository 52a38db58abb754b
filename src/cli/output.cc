#include "cli/output.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/printable.h"

namespace stockade::cli {

std::string spoken(std::string_view line) { return fmt::format("stockade: {}\n", escape_for_terminal(line)); }
void say(std::string_view line) { fmt::print(stderr, "{}", spoken(line)); }

UnwaitingStderr UnwaitingStderr::open() {
  UnwaitingStderr out;
  struct stat found;
  if (::fstat(STDERR_FILENO, &found) < 0) return out;
  out.socket_ = S_ISSOCK(found.st_mode);
  out.is_pipe_ = S_ISFIFO(found.st_mode);
  if (out.is_pipe_) out.pipe_ = Fd(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  return out;
}

void UnwaitingStderr::write(std::string_view line) const {
  if (socket_) {
    (void)::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  } else if (!is_pipe_) {
    (void)!::write(STDERR_FILENO, line.data(), line.size());
  } else {
    const iovec part{const_cast<char*>(line.data()), line.size()};
    // Pipes know RWF_NOWAIT since Linux 6.4.
    if (::pwritev2(STDERR_FILENO, &part, 1, -1, RWF_NOWAIT) < 0 && errno == EOPNOTSUPP && pipe_)
      (void)!::write(pipe_.get(), line.data(), line.size());
  }
}

void print_error(const Error& error) {
  say(error.message());
  if (!error.hint().empty()) say(error.hint());
}

void print_json(const nlohmann::ordered_json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

int exit_status(const Error& error) { return error.kind() == ErrorKind::invalid_input ? 2 : 1; }

bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], escape_for_terminal(row[i]).size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = escape_for_terminal(row[i]);
      line += cell;
      if (i + 1 < row.size()) line.append(widths[i] + 2 - cell.size(), ' ');
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace stockade::cli
