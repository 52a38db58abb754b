// Times commands against each other: each round starts every command once, in turn, so that whatever else the machine
// does falls on all of them alike. From before the fork to after the wait. Prints one JSON object a command, in
// milliseconds. A command that fails ends the whole measurement: a time of something that did not work means nothing.
//
//   interleave ROUNDS [--in PID] [--user UID] [--directory DIR] -- COMMAND… [--- [options] -- COMMAND…]…
//
// --in PID: in that process's mount namespace.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Command {
  int mounts = -1;
  uid_t user = 0;
  const char* directory = nullptr;
  std::vector<char*> words;
  std::vector<double> times;
};

[[noreturn]] void leave(const std::string& why) {
  std::fprintf(stderr, "interleave: %s\n", why.c_str());
  std::exit(2);
}

std::vector<Command> parse(int argc, char** argv) {
  std::vector<Command> commands;
  for (int i = 2; i < argc;) {
    Command command;
    for (; i < argc && std::strcmp(argv[i], "--") != 0; i += 2) {
      const std::string option = argv[i];
      if (i + 1 >= argc) leave("a value is missing after " + option);
      if (option == "--user") {
        command.user = static_cast<uid_t>(std::atoi(argv[i + 1]));
      } else if (option == "--directory") {
        command.directory = argv[i + 1];
      } else if (option == "--in") {
        const std::string path = std::string("/proc/") + argv[i + 1] + "/ns/mnt";
        command.mounts = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (command.mounts < 0) leave("cannot open " + path);
      } else {
        leave("unknown option " + option);
      }
    }
    for (++i; i < argc && std::strcmp(argv[i], "---") != 0; ++i) command.words.push_back(argv[i]);
    ++i;
    if (command.words.empty()) leave("a command is empty");
    command.words.push_back(nullptr);
    commands.push_back(std::move(command));
  }
  return commands;
}

[[noreturn]] void start(const Command& command) {
  if (command.mounts >= 0 && ::setns(command.mounts, CLONE_NEWNS) != 0) ::_exit(120);
  if (command.directory != nullptr && ::chdir(command.directory) != 0) ::_exit(121);
  if (command.user != 0 &&
      (::setgroups(0, nullptr) != 0 || ::setresgid(command.user, command.user, command.user) != 0 ||
       ::setresuid(command.user, command.user, command.user) != 0))
    ::_exit(122);
  const int quiet = ::open("/dev/null", O_RDWR);
  ::dup2(quiet, 0);
  ::dup2(quiet, 1);
  ::execvp(command.words[0], command.words.data());
  ::_exit(123);
}

double time_once(const Command& command) {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child < 0) leave("cannot fork");
  if (child == 0) start(command);
  int status = 0;
  ::waitpid(child, &status, 0);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  if (status != 0) leave(std::string(command.words[0]) + " ended with wait status " + std::to_string(status));
  return took.count();
}

double quantile(const std::vector<double>& sorted, double at) {
  return sorted[static_cast<size_t>(static_cast<double>(sorted.size() - 1) * at)];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) leave("ROUNDS [options] -- COMMAND… [--- [options] -- COMMAND…]…");
  const int rounds = std::atoi(argv[1]);
  std::vector<Command> commands = parse(argc, argv);
  for (const Command& command : commands) time_once(command);  // warm: not counted
  for (int round = 0; round < rounds; ++round)
    for (Command& command : commands) command.times.push_back(time_once(command));
  for (Command& command : commands) {
    std::sort(command.times.begin(), command.times.end());
    std::printf("{\"median\": %.3f, \"p10\": %.3f, \"p90\": %.3f, \"min\": %.3f, \"rounds\": %d}\n",
                quantile(command.times, 0.5), quantile(command.times, 0.1), quantile(command.times, 0.9),
                command.times.front(), rounds);
  }
  return 0;
}
