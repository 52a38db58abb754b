#include "egress/worker_program.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "egress/worker.h"
#include "policy/effective.h"

namespace stockade::egress {

namespace {

constexpr std::array kPlaces = {"/stockade-worker", "/../libexec/stockade/stockade-worker"};

Result<std::string> own_directory() {
  char path[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0 || size == static_cast<ssize_t>(sizeof path)) return fail_errno("find this program");
  const std::string own(path, static_cast<size_t>(size));
  return own.substr(0, own.rfind('/'));
}

// As trustworthy as this program itself. Owners are compared, not named: in a user namespace root may have no number.
Result<void> check_owner(int file, const std::string& path) {
  struct stat info, own;
  if (::fstat(file, &info) < 0 || ::stat("/proc/self/exe", &own) < 0) return fail_errno("look at {}", path);
  const mode_t others = (info.st_mode & 022) & ~own.st_mode;
  if (!S_ISREG(info.st_mode) || (info.st_uid != own.st_uid && info.st_uid != ::geteuid()) || others != 0)
    return std::unexpected(Error(ErrorKind::unavailable, fmt::format("{} could be written by somebody else", path))
                               .hint("it must belong to the owner of stockade, and be writable by nobody else"));
  return {};
}

Result<Fd> in_memory(const char* name, std::string_view text) {
  Fd file(::memfd_create(name, MFD_CLOEXEC));
  if (!file) return fail_errno("keep {} for a worker", name);
  STOCKADE_TRY(write_all(file.get(), text));
  if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno("keep {} for a worker", name);
  return file;
}

// In the forked child: `fds` become 3, 4, 5 … (an absent one stays closed), all others are closed.
int become_program(int program, const char* kind, pid_t parent, const std::vector<int>& fds) {
  std::vector<Fd> high;
  for (const int fd : fds) high.emplace_back(fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 64));
  const Fd program_high(::fcntl(program, F_DUPFD_CLOEXEC, 64));
  int place = kFirstWorkerDescriptor;
  for (const Fd& fd : high) {
    if (fd && ::dup2(fd.get(), place) < 0) return kWorkerSetUpFailed;
    if (!fd) ::close(place);
    ++place;
  }
  if (!program_high || ::close_range(static_cast<unsigned>(place), 63, 0) < 0) return kWorkerSetUpFailed;
  std::string name = "stockade-worker", which = kind, whose = std::to_string(parent);
  char* const argv[] = {name.data(), which.data(), whose.data(), nullptr};
  char* const environment[] = {nullptr};
  ::fexecve(program_high.get(), argv, environment);
  return kWorkerSetUpFailed;
}

}  // namespace

Result<WorkerProgram> WorkerProgram::find() {
  STOCKADE_ASSIGN(const std::string directory, own_directory());
  for (const char* place : kPlaces) {
    auto file = open_at(AT_FDCWD, directory + place, O_RDONLY);
    if (!file && file.error().error_number() == ENOENT) continue;
    if (!file) return std::unexpected(std::move(file).error());
    char real[PATH_MAX];
    const std::string link = fmt::format("/proc/self/fd/{}", file->get());
    const ssize_t size = ::readlink(link.c_str(), real, sizeof real);
    if (size <= 0 || size == static_cast<ssize_t>(sizeof real)) return fail_errno("find the worker program");
    std::string path(real, static_cast<size_t>(size));
    STOCKADE_TRY(check_owner(file->get(), path));
    return WorkerProgram(std::move(*file), std::move(path));
  }
  return std::unexpected(
      Error(ErrorKind::unavailable, fmt::format("there is no stockade-worker in {} or ../libexec/stockade", directory))
          .hint("it is built and installed together with stockade: install both"));
}

Result<EgressLink::Workers> WorkerProgram::workers(const policy::Policy& policy) const {
  STOCKADE_ASSIGN(Fd file, file_.duplicate());
  STOCKADE_ASSIGN(Fd text, in_memory("policy", policy::to_json(policy)));
  const auto program = std::make_shared<Fd>(std::move(file));
  const auto policy_text = std::make_shared<Fd>(std::move(text));
  EgressLink::Workers workers;
  workers.inspector = [program, policy_text](InspectorOptions options) {
    return become_program(program->get(), "inspector", options.parent,
                          {options.supervisor.get(), options.dialer.get(), options.sealer.get(), policy_text->get()});
  };
  workers.sealer = [program](SealerOptions options) {
    auto roots = in_memory("roots", options.roots);
    if (!roots) return kWorkerSetUpFailed;
    return become_program(program->get(), "sealer", options.parent,
                          {options.dialer.get(), options.inspector.get(), options.lifeline.get(), roots->get()});
  };
  return workers;
}

Error WorkerProgram::become(char** argv) const {
  ::fexecve(file_.get(), argv, environ);
  return Error::from_errno("start " + path_);
}

bool WorkerProgram::is_within(const std::vector<std::string>& trees) const {
  struct stat info;
  if (::fstat(file_.get(), &info) < 0 || info.st_nlink != 1) return true;  // it has another name somewhere
  return std::ranges::any_of(
      trees, [&](const std::string& tree) { return tree == "/" || path_.starts_with(tree + "/") || path_ == tree; });
}

}  // namespace stockade::egress
