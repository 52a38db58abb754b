#include "event/head.h"

#include <sys/file.h>

#include "event/private_file.h"

namespace stockade::event {
namespace {

constexpr const char* kName = "audit-head";
// One line of a fixed length, so that one pwrite(2) replaces it whole: 64 columns of run, a space, 64 of hash.
constexpr size_t kRunColumns = 64;
constexpr size_t kLine = kRunColumns + 1 + 64 + 1;

Result<Head> parse(std::string_view line) {
  Head head;
  if (line.empty()) return head;
  const size_t run_end = line.find_last_not_of(' ', kRunColumns);
  if (line.size() != kLine || line.back() != '\n' || run_end == std::string_view::npos || run_end >= kRunColumns ||
      !from_hex(line.substr(kRunColumns + 1, 64), head.hash.data(), head.hash.size()))
    return std::unexpected(Error(ErrorKind::denied, "audit-head is damaged: it does not name the last finished run")
                               .hint("keep a copy and remove it; the next run begins a new chain"));
  head.run = line.substr(0, run_end + 1);
  return head;
}

}  // namespace

Result<UserHead> UserHead::open(int user_directory) {
  UserHead head;
  STOCKADE_ASSIGN(head.file_, open_private_file(user_directory, kName, O_RDWR | O_CREAT));
  return head;
}

Result<Head> UserHead::lock_and_read() {
  STOCKADE_TRY(lock_file(file_.get(), LOCK_EX, kName));
  std::array<char, kLine + 1> buffer;
  const ssize_t count = ::pread(file_.get(), buffer.data(), buffer.size(), 0);
  auto head =
      count < 0 ? Result<Head>(fail_errno("read {}", kName)) : parse({buffer.data(), static_cast<size_t>(count)});
  if (!head) unlock();
  return head;
}

Result<void> UserHead::write(const Head& head) {
  if (head.run.empty() || head.run.size() > kRunColumns || head.run.find_first_of(" \n") != std::string::npos)
    return fail(ErrorKind::internal, "a run's id that does not fit audit-head");
  const std::string line = fmt::format("{:<64} {}\n", head.run, to_hex(head.hash.data(), head.hash.size()));
  if (::pwrite(file_.get(), line.data(), line.size(), 0) != static_cast<ssize_t>(line.size()))
    return fail_errno("write {}", kName);
  return {};
}

void UserHead::unlock() { ::flock(file_.get(), LOCK_UN); }

}  // namespace stockade::event
