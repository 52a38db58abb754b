// Times the engine alone: launch, release, exit and teardown of a program in a sandbox, with the mounts of an ordinary
// run, interleaved with another command (bwrap with the same binds). Prints medians and the ratio.
//
//   launch_bench [--runs N] [--network] [--dir DIR] [--once] [--against COMMAND…]
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

extern char** environ;

using namespace stockade;
using namespace stockade::sandbox;

namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

SandboxPlan make_plan(const std::string& directory, bool network, std::vector<std::string> command) {
  SandboxPlan plan;
  plan.command = std::move(command);
  plan.workdir = directory.empty() ? "/tmp" : directory;
  plan.environment = {"PATH=/usr/bin:/bin", "HOME=/home/agent"};
  plan.network = network;
  const auto bind = [&](const char* path) {
    plan.mounts.push_back({.kind = MountKind::bind, .source = path, .target = path, .optional = true});
  };
  bind("/usr");
  for (const char* name : {"bin", "lib", "lib64", "sbin"})
    plan.mounts.push_back(
        {.kind = MountKind::symlink, .target = std::string("/") + name, .content = std::string("usr/") + name});
  for (const char* path : {"/etc/alternatives", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/localtime",
                           "/etc/os-release", "/etc/services", "/etc/protocols", "/etc/mime.types", "/etc/ssl"})
    bind(path);
  plan.mounts.back().optional = true;
  plan.mounts.push_back({.kind = MountKind::content,
                         .target = "/etc/passwd",
                         .content = "agent:x:1000:1000::/home/agent:/bin/sh\n",
                         .mode = 0444});
  plan.mounts.push_back(
      {.kind = MountKind::content, .target = "/etc/hosts", .content = "127.0.0.1 localhost\n", .mode = 0444});
  for (const char* path : {"/tmp", "/var/tmp"})
    plan.mounts.push_back({.kind = MountKind::scratch, .target = path, .mode = 01777});
  plan.mounts.push_back({.kind = MountKind::scratch, .target = "/home/agent", .mode = 0700});
  if (!directory.empty())
    plan.mounts.push_back(
        {.kind = MountKind::bind, .source = directory, .target = directory, .writable = true, .persons_tree = true});
  plan.limits.memory = Limit{512U << 20, probe_limit_support().memory.strength, ""};
  plan.limits.pids = Limit{256, Strength::hard, ""};
  return plan;
}

double run_stockade(const SandboxPlan& plan, bool chatty) {
  const auto begin = std::chrono::steady_clock::now();
  {
    auto sandbox = NativeSandbox::launch(plan, {.run_id = "bench-" + std::to_string(::getpid())});
    if (!sandbox) {
      std::fprintf(stderr, "%s\n", sandbox.error().render().c_str());
      std::exit(125);
    }
    const auto ready = std::chrono::steady_clock::now();
    if (auto done = sandbox->release(); !done) {
      std::fprintf(stderr, "%s\n", done.error().render().c_str());
      std::exit(127);
    }
    const auto released = std::chrono::steady_clock::now();
    while (true) {
      pollfd fd{sandbox->status_fd(), POLLIN, 0};
      ::poll(&fd, 1, -1);
      auto status = sandbox->poll_status();
      if (status && chatty)
        std::fprintf(stderr, "event %d: signalled %d code %d\n", static_cast<int>(status->kind),
                     status->agent.signalled, status->agent.code);
      if (status && (status->kind == EventKind::exited || status->kind == EventKind::init_died)) break;
    }
    const auto exited = std::chrono::steady_clock::now();
    if (chatty)
      std::fprintf(stderr, "launch %.2f release %.2f exit %.2f\n", Milliseconds(ready - begin).count(),
                   Milliseconds(released - ready).count(), Milliseconds(exited - released).count());
  }
  return Milliseconds(std::chrono::steady_clock::now() - begin).count();
}

double run_other(const std::vector<std::string>& command) {
  std::vector<char*> argv;
  for (const auto& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const auto begin = std::chrono::steady_clock::now();
  pid_t pid;
  if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) != 0) std::exit(1);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (status != 0) std::exit(2);
  return Milliseconds(std::chrono::steady_clock::now() - begin).count();
}

double quantile(std::vector<double> values, double at) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(static_cast<double>(values.size() - 1) * at)];
}

}  // namespace

int main(int argc, char** argv) {
  int runs = 200;
  bool network = false, once = false;
  std::string directory;
  std::vector<std::string> against, command = {"/bin/true"};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--runs")
      runs = std::atoi(argv[++i]);
    else if (word == "--network")
      network = true;
    else if (word == "--once")
      once = true;
    else if (word == "--dir")
      directory = argv[++i];
    else if (word == "--against") {
      against.assign(argv + i + 1, argv + argc);
      break;
    } else if (word == "--") {
      command.assign(argv + i + 1, argv + argc);
      break;
    }
  }
  const SandboxPlan plan = make_plan(directory, network, command);
  if (once) {
    std::fprintf(stderr, "%.2f ms\n", run_stockade(plan, true));
    return 0;
  }
  std::vector<double> ours, theirs;
  for (int i = 0; i < runs; ++i) {
    ours.push_back(run_stockade(plan, false));
    if (!against.empty()) theirs.push_back(run_other(against));
  }
  std::printf("stockade median %.2f p10 %.2f p90 %.2f ms\n", quantile(ours, .5), quantile(ours, .1),
              quantile(ours, .9));
  if (!theirs.empty()) {
    std::printf("other    median %.2f p10 %.2f p90 %.2f ms\n", quantile(theirs, .5), quantile(theirs, .1),
                quantile(theirs, .9));
    std::printf("ratio %.2f\n", quantile(ours, .5) / quantile(theirs, .5));
  }
  return 0;
}
