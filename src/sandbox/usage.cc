#include "sandbox/usage.h"

#include <dirent.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cctype>

#include "base/fd.h"
#include "sandbox/mounts.h"

namespace stockade::sandbox {

namespace {

// After the name in parentheses, which may contain anything: "S ppid …" (proc(5), field 3 on).
const char* after_name(const std::string& stat) {
  const size_t close = stat.rfind(')');
  return close == std::string::npos || close + 2 >= stat.size() ? nullptr : stat.c_str() + close + 2;
}

}  // namespace

Result<void> for_each_process(int proc, const std::function<void(const char* pid)>& visit) {
  STOCKADE_ASSIGN(Fd own, open_at(proc, ".", O_RDONLY | O_DIRECTORY));
  DIR* stream = ::fdopendir(own.get());
  if (!stream) return fail_errno("list the sandbox's processes");
  own.release();
  while (const dirent* entry = ::readdir(stream)) {
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0]))) visit(entry->d_name);
  }
  ::closedir(stream);
  return {};
}

std::string read_of_process(int proc, const char* pid, const char* file) {
  auto fd = open_at(proc, fmt::format("{}/{}", pid, file), O_RDONLY);
  if (!fd) return {};
  auto text = read_file(fd->get(), 8192);
  return text ? *text : std::string();
}

Result<uint32_t> count_processes(int proc) {
  uint32_t count = 0;
  STOCKADE_TRY(for_each_process(proc, [&](const char*) { ++count; }));
  return count;
}

ResidentMemory resident_of(int proc, const char* pid) {
  static const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  unsigned long size = 0, resident = 0, shared = 0;
  if (std::sscanf(read_of_process(proc, pid, "statm").c_str(), "%lu %lu %lu", &size, &resident, &shared) != 3)
    return {};
  return {resident * page, resident > shared ? (resident - shared) * page : 0};
}

Result<ResidentMemory> resident_memory(int proc) {
  ResidentMemory sum;
  STOCKADE_TRY(for_each_process(proc, [&](const char* pid) {
    const ResidentMemory one = resident_of(proc, pid);
    sum.all += one.all;
    sum.of_one += one.of_one;
  }));
  return sum;
}

Result<uint64_t> cpu_ticks(int proc) {
  uint64_t ticks = 0;
  STOCKADE_TRY(for_each_process(proc, [&](const char* pid) {
    const std::string stat = read_of_process(proc, pid, "stat");
    const char* at = after_name(stat);
    unsigned long user = 0, system = 0;
    long user_children = 0, system_children = 0;
    if (at && std::sscanf(at, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &user, &system,
                          &user_children, &system_children) == 4)
      ticks += user + system + static_cast<uint64_t>(user_children) + static_cast<uint64_t>(system_children);
  }));
  return ticks;
}

Result<bool> all_stopped(int proc) {
  bool all = true;
  STOCKADE_TRY(for_each_process(proc, [&](const char* pid) {
    if (std::string_view(pid) == "1") return;
    const std::string stat = read_of_process(proc, pid, "stat");
    const char* state = after_name(stat);
    if (state && std::string_view("TtZX").find(*state) == std::string_view::npos) all = false;
  }));
  return all;
}

Result<uint64_t> filesystem_used(int directory) {
  struct statvfs info{};
  if (::fstatvfs(directory, &info) < 0) return fail_errno("measure the private filesystem");
  return static_cast<uint64_t>(info.f_blocks - info.f_bfree) * info.f_frsize;
}

}  // namespace stockade::sandbox
