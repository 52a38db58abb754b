#include "sandbox/engine_fixture.h"

#include <dirent.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/wire.h"
#include "sandbox/cgroup.h"

namespace stockade::sandbox::testing {

namespace {

constexpr size_t kOutputLimit = 8U << 20;

// Reads until every writer is gone.
std::string drain(int fd) {
  std::string out;
  char buffer[4096];
  ssize_t count;
  while ((count = ::read(fd, buffer, sizeof(buffer))) > 0) out.append(buffer, static_cast<size_t>(count));
  return out;
}

void become(uid_t uid) {
  if (uid == ::geteuid()) return;
  // A new user has no groups; dumpable again, as an ordinary program is after its exec.
  if (::setgroups(0, nullptr) != 0 || ::setresgid(uid, uid, uid) != 0 || ::setresuid(uid, uid, uid) != 0) ::_exit(99);
  ::prctl(PR_SET_DUMPABLE, 1);
}

void await_end(NativeSandbox& sandbox, Outcome& outcome) {
  while (true) {
    pollfd fd{sandbox.status_fd(), POLLIN, 0};
    ::poll(&fd, 1, 60'000);
    const auto status = sandbox.poll_status();
    if (!status || status->kind == EventKind::stopped || status->kind == EventKind::continued) continue;
    outcome.signalled = status->agent.signalled;
    outcome.code = status->kind == EventKind::exited ? status->agent.code : -2;
    return;
  }
}

Outcome run_here(const SandboxPlan& plan, const During& during) {
  Outcome outcome;
  auto pipe = make_pipe();
  if (!pipe) return outcome;
  const Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  static int serial = 0;
  NativeSandbox::Options options{.run_id = fmt::format("test-{}-{}", ::getpid(), ++serial),
                                 .stdio = {null.get(), pipe->write.get(), pipe->write.get()}};
  auto sandbox = NativeSandbox::launch(plan, options);
  pipe->write.reset();
  if (!sandbox) {
    outcome.error = sandbox.error().render();
    return outcome;
  }
  outcome.launched = true;
  if (auto released = sandbox->release(); !released) outcome.error = released.error().render();
  if (during) during(*sandbox);
  outcome.output = drain(pipe->read.get());
  await_end(*sandbox, outcome);
  return outcome;
}

}  // namespace

Outcome run_plan(const SandboxPlan& plan, uid_t uid, const During& during) {
  auto pipe = make_pipe();
  const pid_t pid = ::fork();
  if (pid == 0) {
    pipe->read.reset();
    become(uid);
    const Outcome outcome = run_here(plan, during);
    WireWriter writer;
    writer.put(static_cast<uint8_t>(outcome.launched)).put(outcome.error).put(outcome.output);
    writer.put(static_cast<uint8_t>(outcome.signalled)).put(static_cast<int32_t>(outcome.code));
    (void)write_all(pipe->write.get(), writer.bytes());
    ::_exit(0);
  }
  pipe->write.reset();
  const std::string bytes = drain(pipe->read.get());
  ::waitpid(pid, nullptr, 0);
  Outcome outcome;
  WireReader reader(bytes);
  outcome.launched = reader.get<uint8_t>() != 0;
  outcome.error = reader.get_string(kOutputLimit);
  outcome.output = reader.get_string(kOutputLimit);
  outcome.signalled = reader.get<uint8_t>() != 0;
  outcome.code = reader.get<int32_t>();
  return outcome;
}

SandboxPlan shell_plan(const std::string& script) {
  SandboxPlan plan;
  plan.command = {"sh", "-c", script};
  plan.workdir = "/tmp";
  plan.environment = {"PATH=/usr/bin:/bin", "HOME=/home/agent"};
  plan.mounts.push_back({.kind = MountKind::bind, .source = "/usr", .target = "/usr"});
  for (const char* name : {"bin", "lib", "lib64", "sbin"})
    plan.mounts.push_back(
        {.kind = MountKind::symlink, .target = fmt::format("/{}", name), .content = fmt::format("usr/{}", name)});
  plan.mounts.push_back({.kind = MountKind::scratch, .target = "/tmp", .mode = 01777});
  plan.mounts.push_back({.kind = MountKind::scratch, .target = "/home/agent", .mode = 0700});
  plan.limits.disk = Limit{64U << 20, Strength::hard, "tmpfs size"};
  plan.limits.pids = Limit{64, Strength::hard, "RLIMIT_NPROC of the user namespace"};
  return plan;
}

TempTree::TempTree(uid_t uid) : uid_(uid) {
  char name[] = "/tmp/stockade-engine-XXXXXX";
  path_ = ::mkdtemp(name);
  (void)!::chown(path_.c_str(), uid, uid);
  ::chmod(path_.c_str(), 0755);
}

TempTree::~TempTree() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempTree::directory(const std::string& relative) {
  std::string full = path_;
  size_t at = 0;
  while (at < relative.size()) {
    const size_t end = std::min(relative.find('/', at), relative.size());
    full += "/" + relative.substr(at, end - at);
    if (::mkdir(full.c_str(), 0755) == 0) (void)!::chown(full.c_str(), uid_, uid_);
    at = end + 1;
  }
  return full;
}

std::string TempTree::write(const std::string& relative, const std::string& content) {
  if (const size_t slash = relative.rfind('/'); slash != std::string::npos) directory(relative.substr(0, slash));
  const std::string full = path_ + "/" + relative;
  std::ofstream(full) << content;
  (void)!::chown(full.c_str(), uid_, uid_);
  return full;
}

bool as_user(uid_t uid, const std::function<bool()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    become(uid);
    ::_exit(body() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Litter count_litter() {
  Litter litter;
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) ++litter.mounts;
  const CgroupPlaces places = find_own_cgroups();
  for (const std::string* place :
       {&places.v2, &places.v1_memory, &places.v1_cpu, &places.v1_pids, &places.v1_freezer}) {
    if (place->empty()) continue;
    // Other tests of ours may be running: only this process's own runs, and those of its children, are named so.
    for (const auto& entry : std::filesystem::directory_iterator(*place)) {
      if (entry.path().filename().string().starts_with("stockade-test-")) ++litter.cgroups;
    }
  }
  while (::waitpid(-1, nullptr, WNOHANG) > 0) ++litter.children;
  return litter;
}

}  // namespace stockade::sandbox::testing
