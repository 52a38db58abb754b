#include "supervisor/run_directory.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "sandbox/scratch.h"

namespace stockade::supervisor {

namespace {

// A command line may have 2 MiB, and JSON makes six bytes of one.
constexpr size_t kRecordLimit = 16 << 20;
constexpr size_t kRecordPage = 4096;
constexpr char kRecordName[] = "/run.json";
constexpr char kFreshRecordName[] = "/run.json.new";
constexpr size_t kSpares = 8;
constexpr std::array kSpareFiles = {kRecordName, "/events.jsonl", "/policy.json"};

std::string variable(const char* name) {
  const char* value = ::getenv(name);
  return value && value[0] == '/' ? value : "";
}

Result<void> make_private_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return fail_errno("make {}", path);
  struct stat found;
  if (::lstat(path.c_str(), &found) < 0) return fail_errno("look at {}", path);
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid())
    return fail(ErrorKind::unavailable, "{} is not a directory of ours", path);
  if ((found.st_mode & 077) != 0 && ::chmod(path.c_str(), 0700) < 0) return fail_errno("close {}", path);
  return {};
}

// The parents of our own directory belong to the person (~/.local/state, /run/user/UID): made if absent, never changed.
Result<void> make_parents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    if (::mkdir(parent.c_str(), 0700) < 0 && errno != EEXIST) return fail_errno("make {}", parent);
  }
  return {};
}

Result<void> make_root(const std::string& path) {
  struct stat found;
  if (::lstat(path.c_str(), &found) != 0) STOCKADE_TRY(make_parents(path));
  return make_private_directory(path);
}

bool is_valid_name(const std::string& name) {
  if (name.size() > 63 || name.empty()) return false;
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!plain(name[0])) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) { return plain(c) || c == '.' || c == '_' || c == '-'; });
}

// 50 random bits in the alphabet of Crockford's base 32: short enough to type, no look-alikes.
Result<std::string> new_id() {
  uint8_t random[10];
  if (::getrandom(random, sizeof(random), 0) != sizeof(random)) return fail_errno("draw a run's id");
  std::string id;
  for (uint8_t byte : random) id += "0123456789abcdefghjkmnpqrstvwxyz"[byte % 32];
  return id;
}

std::vector<std::string> directory_names(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return names;
  while (const dirent* entry = ::readdir(directory.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  return names;
}

bool lock_is_held(const std::string& runtime_path) {
  auto lock = open_at(AT_FDCWD, runtime_path + "/lock", O_RDWR | O_NOFOLLOW);
  return lock && ::flock(lock->get(), LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

// A reader may come while it is written in place, or is between its two names.
Result<RunRecord> read_record(const std::string& state_path) {
  Result<RunRecord> record = fail(ErrorKind::invalid_input, "there is no record");
  for (const char* name : {kRecordName, kFreshRecordName, kRecordName}) {
    auto text = read_file(state_path + name, kRecordLimit);
    if (text) record = parse_run_record(*text);
    if (record) break;
  }
  return record;
}

std::optional<KnownRun> read_run(const Places& places, const std::string& id) {
  const std::string state_path = places.state + "/" + id;
  auto record = read_record(state_path);
  if (!record) return std::nullopt;
  const std::string runtime_path = places.runtime + "/" + id;
  return KnownRun{std::move(*record), lock_is_held(runtime_path), state_path, runtime_path + "/control.sock"};
}

}  // namespace

std::string staging_path(const std::string& state_path) { return state_path + "/work"; }

Places find_places() {
  std::string state = variable("XDG_STATE_HOME");
  if (state.empty()) state = variable("HOME") + "/.local/state";
  state += "/stockade";
  const std::string runtime = variable("XDG_RUNTIME_DIR");
  return Places{state, runtime.empty() ? state + "/runtime" : runtime + "/stockade"};
}

Result<void> make_places(const Places& places) {
  STOCKADE_TRY(make_root(places.state));
  return make_root(places.runtime);
}

Result<RunDirectory> RunDirectory::create(const Places& places, const std::string& name) {
  if (!name.empty()) {
    if (!is_valid_name(name))
      return fail(ErrorKind::invalid_input, "--name must be lower-case letters, digits, '.', '_' or '-', at most 63");
    STOCKADE_ASSIGN(auto live, list_runs(places, true));
    for (const KnownRun& run : live)
      if (run.running && run.record.name == name)
        return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("a run named {} is still going", name))
                                   .hint("choose another --name, or end it: stockade kill " + name));
  }
  STOCKADE_TRY(make_places(places));
  RunDirectory run;
  STOCKADE_ASSIGN(run.id_, new_id());
  run.state_path_ = places.state + "/" + run.id_;
  run.runtime_path_ = places.runtime + "/" + run.id_;
  // A fresh name, so neither may exist: the kernel decides, and follows no link.
  if (!run.take_spare() && ::mkdir(run.state_path_.c_str(), 0700) < 0) return fail_errno("make {}", run.state_path_);
  if (::mkdir(run.runtime_path_.c_str(), 0700) < 0) return fail_errno("make {}", run.runtime_path_);
  STOCKADE_ASSIGN(run.lock_,
                  open_at(AT_FDCWD, run.runtime_path_ + "/lock", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  if (::flock(run.lock_.get(), LOCK_EX | LOCK_NB) < 0) return fail_errno("lock {}", run.runtime_path_);
  return run;
}

Result<void> RunDirectory::write_record(const RunRecord& record, bool running) const {
  return write_run_record(state_path_, record, running);
}

// One that fills a page at the most is written in place: neither a signal nor a full disk cuts it short, and no file is
// made and removed for it (sandbox/scratch.h says what that costs). A larger one is not renamed over the old one: ext4
// would write its data to the disk first (auto_da_alloc, ext4(5)), 0.2 ms.
Result<void> write_run_record(const std::string& state_path, const RunRecord& record, bool running) {
  const std::string path = state_path + kRecordName;
  const std::string fresh = state_path + kFreshRecordName;
  std::string text = to_json(record, running);
  if (text.size() <= kRecordPage) {
    text.resize(kRecordPage, ' ');
    STOCKADE_ASSIGN(auto fd, open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
    STOCKADE_TRY(write_all(fd.get(), text));
    return ::ftruncate(fd.get(), kRecordPage) == 0 ? Result<void>() : fail_errno("write {}", path);
  }
  STOCKADE_ASSIGN(auto fd, open_at(AT_FDCWD, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  STOCKADE_TRY(write_all(fd.get(), text));
  if (::unlink(path.c_str()) < 0 && errno != ENOENT) return fail_errno("replace {}", path);
  if (::rename(fresh.c_str(), path.c_str()) < 0) return fail_errno("write {}", path);
  return {};
}

std::string RunDirectory::spares_path() const { return state_path_.substr(0, state_path_.rfind('/')) + "/spare"; }
std::string RunDirectory::own_spare() const { return spares_path() + "/" + id_; }

// The rename decides who gets it.
bool RunDirectory::take_spare() const {
  const std::string spares = spares_path();
  return std::ranges::any_of(directory_names(spares), [&](const std::string& name) {
    return ::renameat2(AT_FDCWD, (spares + "/" + name).c_str(), AT_FDCWD, state_path_.c_str(), RENAME_NOREPLACE) == 0;
  });
}

void RunDirectory::make_spare() const {
  if (directory_names(spares_path()).size() >= kSpares) return;
  if (::mkdir(spares_path().c_str(), 0700) < 0 && errno != EEXIST) return;
  if (::mkdir(own_spare().c_str(), 0700) < 0) return;
  for (const char* name : kSpareFiles)
    (void)open_at(AT_FDCWD, own_spare() + name, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
}

Result<void> RunDirectory::make_staging() const {
  const std::string path = staging_path(state_path_);
  if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST) return fail_errno("make {}", path);
  return {};
}

void RunDirectory::finish() {
  const std::string staging = staging_path(state_path_);
  if (sandbox::holds_only_scratch(staging)) (void)::rename(staging.c_str(), staging_path(own_spare()).c_str());
  (void)sandbox::remove_scratch(staging);  // stays where something was kept aside
  ::unlink(socket_path().c_str());
  ::unlink((runtime_path_ + "/lock").c_str());
  ::rmdir(runtime_path_.c_str());
  lock_.reset();
}

Result<std::vector<KnownRun>> list_runs(const Places& places, bool running_only) {
  std::vector<KnownRun> runs;
  for (const std::string& id : directory_names(running_only ? places.runtime : places.state))
    if (auto run = read_run(places, id)) runs.push_back(std::move(*run));
  std::sort(runs.begin(), runs.end(), [](const KnownRun& a, const KnownRun& b) {
    return std::tie(a.record.started, a.record.id) < std::tie(b.record.started, b.record.id);
  });
  return runs;
}

Result<KnownRun> find_run(const Places& places, const std::string& id_or_name) {
  if (id_or_name.find('/') == std::string::npos && !id_or_name.starts_with('.'))
    if (auto run = read_run(places, id_or_name)) return std::move(*run);
  STOCKADE_ASSIGN(auto runs, list_runs(places, false));
  for (auto it = runs.rbegin(); it != runs.rend(); ++it)
    if (it->record.name == id_or_name) return std::move(*it);
  return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("there is no run called {}", id_or_name))
                             .hint("stockade ps --all lists them"));
}

std::vector<KnownRun> find_dead_runs(const Places& places) {
  std::vector<KnownRun> dead;
  for (const std::string& id : directory_names(places.runtime)) {
    auto run = read_run(places, id);
    if (run && !run->running) dead.push_back(std::move(*run));
  }
  return dead;
}

Result<Fd> lock_dead_run(const KnownRun& run) {
  const std::string path = run.socket_path.substr(0, run.socket_path.rfind('/')) + "/lock";
  STOCKADE_ASSIGN(auto lock, open_at(AT_FDCWD, path, O_RDWR | O_NOFOLLOW));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) < 0) return fail_errno("lock {}", path);
  return lock;
}

void remove_runtime_directory(const Places& places, const std::string& id) {
  const std::string path = places.runtime + "/" + id;
  ::unlink((path + "/control.sock").c_str());
  ::unlink((path + "/lock").c_str());
  ::rmdir(path.c_str());
}

std::string format_time(WallTime time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(milliseconds);
  tm parts{};
  const time_t count = std::chrono::system_clock::to_time_t(seconds);
  ::gmtime_r(&count, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (milliseconds - seconds).count());
}

}  // namespace stockade::supervisor
