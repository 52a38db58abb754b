#include "sandbox/memory_meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/fd.h"
#include "sandbox/mounts.h"
#include "sandbox/usage.h"

namespace stockade::sandbox {

namespace {

constexpr double kShare = 9;              // times as long as a measurement took until the next one
constexpr double kMemfdInterval = 0.02;   // seconds at least
constexpr double kMachineInterval = 0.1;  // seconds
constexpr uint64_t kNextToNothing = 16;   // a sixteenth of the machine's memory

double seconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// "Name:   123 kB", in bytes.
uint64_t field(std::string_view text, std::string_view name) {
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    const std::string_view line = text.substr(at);
    if (line.starts_with(name) && line.substr(name.size()).starts_with(':'))
      return std::strtoull(std::string(line.substr(name.size() + 1, 40)).c_str(), nullptr, 10) << 10;
    if (text.find('\n', at) == std::string_view::npos) break;
  }
  return 0;
}

std::string meminfo() {
  auto fd = open_at(AT_FDCWD, "/proc/meminfo", O_RDONLY);
  auto text = fd ? read_file(fd->get(), 8192) : Result<std::string>(std::unexpected(std::move(fd).error()));
  return text ? *text : std::string();
}

}  // namespace

MemoryMeter::MemoryMeter(int proc, int tmpfs, uint64_t limit) : proc_(proc), tmpfs_(tmpfs), limit_(limit) {
  // All memfds, shared anonymous mappings and System V segments lie on one filesystem of the kernel's.
  const Fd sample(::memfd_create("sample", MFD_CLOEXEC));
  struct stat info{};
  if (sample && ::fstat(sample.get(), &info) == 0) memfd_device_ = info.st_dev;
  shared_at_start_ = field(meminfo(), "Shmem");
}

Result<bool> MemoryMeter::exceeded(double now) {
  STOCKADE_ASSIGN(const ResidentMemory resident, resident_memory(proc_));
  STOCKADE_ASSIGN(const uint64_t files, filesystem_used(tmpfs_));
  if (now >= memfds_due_) {
    const double begin = seconds_now();
    STOCKADE_ASSIGN(memfds_, measure_memfds());
    memfds_due_ = now + std::max(kMemfdInterval, kShare * (seconds_now() - begin));
  }
  if (files + memfds_ > limit_) return true;
  if (now >= machine_due_) {
    machine_due_ = now + kMachineInterval;
    if (is_machine_exhausted()) return true;
  }
  if (resident.all + files + memfds_ <= limit_) return false;
  const bool has_grown = resident.of_one > private_then_ + room_then_;
  if (now < exact_soonest_ || (now < exact_due_ && !has_grown)) return false;
  const double begin = seconds_now();
  const auto over = is_exceeded_exactly(files, resident.of_one);
  const double cost = seconds_now() - begin;
  exact_soonest_ = now + 2 * cost;
  exact_due_ = now + (1 + kShare) * cost;
  return over;
}

Result<bool> MemoryMeter::is_exceeded_exactly(uint64_t files, uint64_t private_now) {
  STOCKADE_ASSIGN(const Exact exact, measure_exactly());
  // A file in memory may be mapped and held by a descriptor: it counts once.
  const uint64_t used = exact.anonymous + std::max(exact.mapped, files + memfds_);
  private_then_ = private_now;
  room_then_ = used < limit_ ? limit_ - used : 0;
  return used > limit_;
}

Result<MemoryMeter::Exact> MemoryMeter::measure_exactly() const {
  Exact exact;
  STOCKADE_TRY(for_each_process(proc_, [&](const char* pid) {
    const std::string text = read_of_process(proc_, pid, "smaps_rollup");
    if (!text.empty()) {
      exact.anonymous += field(text, "Pss_Anon");
      exact.mapped += field(text, "Pss_Shmem");
    } else {
      // Ours (init, which nobody may look into) holds nothing in memory; of any other the worst is assumed.
      const ResidentMemory resident = resident_of(proc_, pid);
      exact.anonymous += std::string_view(pid) == "1" ? resident.of_one : resident.all;
    }
  }));
  return exact;
}

Result<uint64_t> MemoryMeter::measure_memfds() const {
  uint64_t bytes = 0;
  std::set<ino_t> seen;
  STOCKADE_TRY(for_each_process(proc_, [&](const char* pid) {
    auto directory = open_at(proc_, fmt::format("{}/fd", pid), O_RDONLY | O_DIRECTORY);
    DIR* stream = directory ? ::fdopendir(directory->get()) : nullptr;
    if (!stream) return;
    directory->release();
    while (const dirent* entry = ::readdir(stream)) {
      struct stat info{};
      if (entry->d_name[0] == '.' || ::fstatat(::dirfd(stream), entry->d_name, &info, 0) < 0) continue;
      if (info.st_dev == memfd_device_ && S_ISREG(info.st_mode) && seen.insert(info.st_ino).second)
        bytes += static_cast<uint64_t>(info.st_blocks) * 512;
    }
    ::closedir(stream);
  }));
  return bytes;
}

bool MemoryMeter::is_machine_exhausted() const {
  const std::string now = meminfo();
  const uint64_t shared = field(now, "Shmem"), total = field(now, "MemTotal");
  return total > 0 && shared > shared_at_start_ + limit_ && field(now, "MemAvailable") < total / kNextToNothing;
}

}  // namespace stockade::sandbox
