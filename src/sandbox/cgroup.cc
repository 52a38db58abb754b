#include "sandbox/cgroup.h"

#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "sandbox/cgroup_v2.h"

namespace stockade::sandbox {

namespace {

constexpr uint64_t kCpuPeriod = 100'000;  // microseconds
constexpr int kRemoveTries = 200;         // a millisecond apart
constexpr int kFreezeWait = 1000;         // milliseconds

Result<void> write_file(const Fd& directory, const char* name, std::string_view text) {
  STOCKADE_ASSIGN(const Fd file, open_at(directory.get(), name, O_WRONLY));
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return fail_errno("write '{}' to the cgroup's {}", text, name);
  return {};
}

std::string read_small(const Fd& directory, const char* name) {
  auto file = open_at(directory.get(), name, O_RDONLY);
  if (!file) return {};
  auto text = read_file(file->get(), 64U << 10);
  return text ? *text : std::string();
}

// The number after `key` at the start of a line ("oom_kill 3"), or the whole text's for an empty key.
uint64_t number_of(std::string_view text, std::string_view key) {
  size_t at = 0;
  if (!key.empty()) {
    const std::string needle = std::string(key) + " ";
    at = text.find(needle);
    while (at != std::string_view::npos && at != 0 && text[at - 1] != '\n') at = text.find(needle, at + 1);
    if (at == std::string_view::npos) return 0;
    at += needle.size();
  }
  uint64_t value = 0;
  std::from_chars(text.data() + at, text.data() + text.size(), value);
  return value;
}

void wait_a_millisecond() {
  const timespec pause{0, 1'000'000};
  ::nanosleep(&pause, nullptr);
}

bool is_run_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && id[0] != '.' && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

Result<RunCgroup::Group> RunCgroup::make_group(const std::string& parent, const std::string& name) {
  Group group{parent, name, {}};
  const std::string path = parent + "/" + name;
  if (::mkdir(path.c_str(), 0755) < 0) return fail_errno("make cgroup {}", path);
  auto directory = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!directory) {
    ::rmdir(path.c_str());
    return std::unexpected(std::move(directory).error());
  }
  group.directory = std::move(*directory);
  return group;
}

Result<void> RunCgroup::remove_group(Group& group) {
  if (!group.directory) return {};
  group.directory.reset();
  const std::string path = group.parent + "/" + group.name;
  for (int i = 0; i < kRemoveTries; ++i) {
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
    if (errno != EBUSY) break;
    wait_a_millisecond();
  }
  return fail_errno("remove cgroup {}", path);
}

Result<RunCgroup> RunCgroup::create(const CgroupRequest& request, const CgroupPlaces& places) {
  if (!is_run_id(request.run_id)) return fail(ErrorKind::invalid_input, "'{}' can't name a cgroup", request.run_id);
  RunCgroup out;
  const std::string name = "stockade-" + request.run_id;
  STOCKADE_TRY(out.make_v2(request, places, name));
  STOCKADE_TRY(out.make_v1(request, places, name));
  return out;
}

Result<void> RunCgroup::make_v2(const CgroupRequest& request, const CgroupPlaces& places, const std::string& name) {
  const auto parent = find_v2_parent(places);
  if (!parent) return {};
  STOCKADE_ASSIGN(v2_, make_group(parent->directory, name));
  can_kill_ = ::faccessat(v2_.directory.get(), "cgroup.kill", W_OK, 0) == 0;      // 5.14
  can_freeze_ = ::faccessat(v2_.directory.get(), "cgroup.freeze", W_OK, 0) == 0;  // 5.2
  if (request.memory && parent->memory) {
    STOCKADE_TRY(write_file(v2_.directory, "memory.max", std::to_string(*request.memory)));
    // Absent where the kernel has no swap accounting.
    if (auto swap = write_file(v2_.directory, "memory.swap.max", "0"); !swap && swap.error().error_number() != ENOENT)
      return swap;
    STOCKADE_TRY(write_file(v2_.directory, "memory.oom.group", "1"));
    v2_memory_ = true;
  }
  if (request.cpus && parent->cpus) {
    STOCKADE_TRY(
        write_file(v2_.directory, "cpu.max", fmt::format("{} {}", *request.cpus * kCpuPeriod / 1000, kCpuPeriod)));
    v2_cpus_ = true;
  }
  if (request.pids && parent->pids) {
    STOCKADE_TRY(write_file(v2_.directory, "pids.max", std::to_string(*request.pids + 1)));
    v2_pids_ = true;
  }
  return {};
}

// pids on v1 is left to the user namespace (plan's RLIMIT_NPROC), which costs no group.
Result<void> RunCgroup::make_v1(const CgroupRequest& request, const CgroupPlaces& places, const std::string& name) {
  if (request.memory && !v2_memory_ && is_writable_cgroup(places.v1_memory)) {
    STOCKADE_ASSIGN(memory_, make_group(places.v1_memory, name));
    const std::string bytes = std::to_string(*request.memory);
    STOCKADE_TRY(write_file(memory_.directory, "memory.limit_in_bytes", bytes));
    if (auto swap = write_file(memory_.directory, "memory.memsw.limit_in_bytes", bytes);
        !swap && swap.error().error_number() != ENOENT && swap.error().error_number() != EOPNOTSUPP)
      return swap;
  }
  if (request.cpus && !v2_cpus_ && is_writable_cgroup(places.v1_cpu)) {
    STOCKADE_ASSIGN(cpu_, make_group(places.v1_cpu, name));
    STOCKADE_TRY(write_file(cpu_.directory, "cpu.cfs_period_us", std::to_string(kCpuPeriod)));
    STOCKADE_TRY(write_file(cpu_.directory, "cpu.cfs_quota_us", std::to_string(*request.cpus * kCpuPeriod / 1000)));
  }
  if (!can_freeze_ && is_writable_cgroup(places.v1_freezer)) {
    STOCKADE_ASSIGN(freezer_, make_group(places.v1_freezer, name));
  }
  return {};
}

RunCgroup& RunCgroup::operator=(RunCgroup&& other) noexcept {
  if (this != &other) {
    (void)remove();
    v2_ = std::move(other.v2_);
    memory_ = std::move(other.memory_);
    cpu_ = std::move(other.cpu_);
    freezer_ = std::move(other.freezer_);
    v2_memory_ = other.v2_memory_;
    v2_cpus_ = other.v2_cpus_;
    v2_pids_ = other.v2_pids_;
    can_kill_ = other.can_kill_;
    can_freeze_ = other.can_freeze_;
  }
  return *this;
}

RunCgroup::~RunCgroup() { (void)remove(); }

// v1's `tasks`, not cgroup.procs: only a thread that names itself (0) there skips the lock that waits for RCU.
Result<std::vector<Fd>> RunCgroup::entrances() const {
  std::vector<Fd> out;
  for (const Group* group : {&memory_, &cpu_, &freezer_}) {
    if (!group->directory) continue;
    STOCKADE_ASSIGN(Fd tasks, open_at(group->directory.get(), "tasks", O_WRONLY));
    out.push_back(std::move(tasks));
  }
  return out;
}

Result<void> enter_cgroup(int entrance) {
  if (::write(entrance, "0", 1) != 1) return fail_errno("enter the run's cgroup");
  return {};
}

Result<void> RunCgroup::do_without_leaf() {
  if (v2_memory_ || v2_cpus_ || v2_pids_) return fail(ErrorKind::unavailable, "the run's cgroup can't be entered");
  can_kill_ = can_freeze_ = false;
  return remove_group(v2_);
}

Result<void> RunCgroup::kill() {
  if (!can_kill_) return fail(ErrorKind::unavailable, "no cgroup here can kill at once");
  return write_file(v2_.directory, "cgroup.kill", "1");
}

Result<void> RunCgroup::freeze() {
  if (!can_freeze_ && freezer_.directory) {
    STOCKADE_TRY(write_file(freezer_.directory, "freezer.state", "FROZEN"));
    for (int i = 0; i < kFreezeWait; ++i) {
      if (read_small(freezer_.directory, "freezer.state").starts_with("FROZEN")) return {};
      wait_a_millisecond();
    }
    return fail(ErrorKind::unavailable, "the cgroup did not freeze within a second");
  }
  if (!can_freeze_) return fail(ErrorKind::unavailable, "no cgroup here can freeze");
  STOCKADE_ASSIGN(const Fd events, open_at(v2_.directory.get(), "cgroup.events", O_RDONLY));
  STOCKADE_TRY(write_file(v2_.directory, "cgroup.freeze", "1"));
  const auto frozen = [&]() -> bool {
    char text[256];
    const ssize_t count = ::pread(events.get(), text, sizeof(text), 0);
    return count > 0 && number_of(std::string_view(text, static_cast<size_t>(count)), "frozen") == 1;
  };
  for (int waited = 0; waited < kFreezeWait; waited += 10) {
    if (frozen()) return {};
    pollfd change{events.get(), POLLPRI, 0};
    (void)::poll(&change, 1, 10);
  }
  return fail(ErrorKind::unavailable, "the cgroup did not freeze within a second");
}

Result<void> RunCgroup::thaw() {
  if (can_freeze_) return write_file(v2_.directory, "cgroup.freeze", "0");
  if (freezer_.directory) return write_file(freezer_.directory, "freezer.state", "THAWED");
  return {};
}

std::optional<uint64_t> RunCgroup::memory_used() const {
  if (v2_memory_) return number_of(read_small(v2_.directory, "memory.current"), "");
  if (memory_.directory) return number_of(read_small(memory_.directory, "memory.usage_in_bytes"), "");
  return std::nullopt;
}

uint64_t RunCgroup::out_of_memory_kills() const {
  if (v2_memory_) return number_of(read_small(v2_.directory, "memory.events"), "oom_kill");
  if (memory_.directory) return number_of(read_small(memory_.directory, "memory.oom_control"), "oom_kill");
  return 0;
}

Result<void> RunCgroup::remove() {
  Result<void> outcome;
  for (Group* group : {&v2_, &memory_, &cpu_, &freezer_}) {
    if (auto done = remove_group(*group); !done && outcome) outcome = std::move(done);
  }
  return outcome;
}

Result<int> remove_leftover_cgroups(const std::string& run_id, const CgroupPlaces& places) {
  if (!is_run_id(run_id)) return fail(ErrorKind::invalid_input, "'{}' can't name a cgroup", run_id);
  std::vector<std::string> parents = {places.v1_memory, places.v1_cpu, places.v1_pids, places.v1_freezer};
  for (std::string up = places.v2; !up.empty() && up.size() >= places.v2_root.size(); up.resize(up.rfind('/'))) {
    parents.insert(parents.begin(), up);
    if (up.size() == places.v2_root.size()) break;
  }
  int count = 0;
  Result<int> outcome = 0;
  for (const std::string& parent : parents) {
    if (parent.empty()) continue;
    const std::string path = parent + "/stockade-" + run_id;
    auto directory = open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!directory) continue;
    (void)write_file(*directory, "cgroup.kill", "1");
    (void)write_file(*directory, "freezer.state", "THAWED");
    bool removed = false;
    for (int i = 0; i < kRemoveTries && !removed; ++i) {
      removed = ::rmdir(path.c_str()) == 0 || errno == ENOENT;
      if (!removed) wait_a_millisecond();
    }
    if (!removed) outcome = fail_errno("remove cgroup {}", path);
    ++count;
  }
  if (outcome) outcome = count;
  return outcome;
}

Result<int> remove_leftover_cgroups(const std::string& run_id) {
  return remove_leftover_cgroups(run_id, find_own_cgroups());
}

}  // namespace stockade::sandbox
