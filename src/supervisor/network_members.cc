#include "supervisor/network_members.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>

#include <charconv>
#include <memory>

#include "base/fd.h"
#include "base/printable.h"

namespace stockade::supervisor {

namespace {

constexpr int kKillRounds = 200;
constexpr int kRoundMilliseconds = 10;

std::vector<pid_t> numbers_in(const std::string& path) {
  std::vector<pid_t> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    pid_t number = 0;
    const std::string_view name = entry->d_name;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

// "CapEff:\t000001ff\n" → the digits.
std::string_view field(std::string_view status, std::string_view name) {
  const size_t at = status.find(fmt::format("\n{}:\t", name));
  if (at == std::string_view::npos) return {};
  const size_t start = at + name.size() + 3;
  return status.substr(start, status.find('\n', start) - start);
}

bool read_number(std::string_view text, uint64_t& number, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end != text.data();
}

}  // namespace

std::optional<Credentials> credentials_of(const std::string& directory) {
  const auto status = read_file(directory + "/status", 1 << 16);
  if (!status) return std::nullopt;
  Credentials found;
  uint64_t uid = 0, flag = 0;
  std::string_view uids = field(*status, "Uid");  // real, effective, saved, of files
  uids.remove_prefix(std::min(uids.find('\t') + 1, uids.size()));
  if (!read_number(field(*status, "CapEff"), found.effective, 16) ||
      !read_number(field(*status, "CapPrm"), found.permitted, 16) ||
      !read_number(field(*status, "CapInh"), found.inheritable, 16) ||
      !read_number(field(*status, "CapBnd"), found.bounding, 16) || !read_number(uids, uid, 10) ||
      !read_number(field(*status, "NoNewPrivs"), flag, 10))
    return std::nullopt;
  found.effective_uid = static_cast<uid_t>(uid);
  found.no_new_privileges = flag == 1;
  return found;
}

std::string process_name(pid_t pid) {
  auto name = read_file(fmt::format("/proc/{}/comm", pid), 256);
  if (!name || name->empty()) return "?";
  name->pop_back();
  return escape_for_terminal(*name);
}

std::optional<uint64_t> process_start(pid_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid), 4096);
  // The 22nd field; the second is a name in parentheses that may hold anything.
  size_t at = stat ? stat->rfind(')') : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  for (int field_number = 2; field_number < 22 && at != std::string::npos; ++field_number) at = stat->find(' ', at + 1);
  uint64_t start = 0;
  if (at == std::string::npos || !read_number(std::string_view(*stat).substr(at + 1), start, 10)) return std::nullopt;
  return start;
}

Result<std::vector<Member>> members_of(const NamespaceId& network) {
  std::vector<Member> members;
  const std::vector<pid_t> processes = numbers_in("/proc");
  if (processes.empty()) return fail(ErrorKind::unavailable, "/proc lists no process");
  for (const pid_t pid : processes) {
    if (pid == ::getpid()) continue;
    Member member{pid, {}, {}};
    for (const pid_t thread : numbers_in(fmt::format("/proc/{}/task", pid))) {
      const auto its = namespace_id(fmt::format("/proc/{}/task/{}/ns/net", pid, thread));
      if (its) (*its == network ? member.threads : member.threads_beside).push_back(thread);
    }
    if (!member.threads.empty()) members.push_back(std::move(member));
  }
  return members;
}

bool kill_members(const NamespaceId& network) {
  for (int round = 0; round < kKillRounds; ++round) {
    const auto members = members_of(network);
    if (!members) return false;
    bool alive = false;
    for (const Member& member : *members) {
      const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, member.pid, 0)));
      // The number is still a member's: it was given anew to none in between.
      const auto its = namespace_id(fmt::format("/proc/{}/task/{}/ns/net", member.pid, member.threads.front()));
      if (!process || !its || *its != network) continue;
      alive = true;
      ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
    }
    if (!alive) return true;
    (void)::poll(nullptr, 0, kRoundMilliseconds);
  }
  return false;
}

}  // namespace stockade::supervisor
