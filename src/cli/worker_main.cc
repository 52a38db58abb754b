// stockade-worker: inspector and sealer (egress/worker_program.h), and the verb scan, for its patterns.
#include <fcntl.h>

#include <charconv>
#include <cstring>

#include "cli/arguments.h"
#include "egress/inspector.h"
#include "egress/sealer.h"
#include "egress/worker.h"
#include "policy/load.h"

namespace {

using namespace stockade;
using namespace stockade::egress;

constexpr size_t kTextLimit = 64 << 20;

Fd given(int number) {
  const int fd = kFirstWorkerDescriptor + number;
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) return Fd();
  return Fd(fd);
}

int inspector(pid_t parent) {
  Fd supervisor = given(0), dialer = given(1), sealer = given(2);
  const auto text = read_file(given(3).get(), kTextLimit);
  if (!text) return kWorkerSetUpFailed;
  policy::Surroundings nowhere;  // every path in an effective policy is absolute
  const policy::LoadOutcome loaded = policy::load_policy(*text, "effective policy", nowhere);
  if (!loaded.errors.empty()) return kWorkerSetUpFailed;
  return run_inspector({loaded.policy.network, std::move(supervisor), std::move(dialer), std::move(sealer), parent});
}

int sealer(pid_t parent) {
  Fd dialer = given(0), inspector = given(1), lifeline = given(2);
  auto roots = read_file(given(3).get(), kTextLimit);
  if (!roots) return kWorkerSetUpFailed;
  return run_sealer({std::move(*roots), std::move(dialer), std::move(inspector), std::move(lifeline), parent});
}

int scan(int argc, char** argv) {
  auto parsed = cli::parse_arguments(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const auto* options = std::get_if<cli::ScanOptions>(&std::get<cli::Verb>(parsed));
  return options ? cli::scan(*options) : kWorkerSetUpFailed;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "scan") == 0) return scan(argc, argv);
  if (argc != 3) return kWorkerSetUpFailed;
  pid_t parent = 0;
  const char* end = argv[2] + std::strlen(argv[2]);
  if (const auto parsed = std::from_chars(argv[2], end, parent); parsed.ec != std::errc{} || parsed.ptr != end)
    return kWorkerSetUpFailed;
  if (std::strcmp(argv[1], "inspector") == 0) return inspector(parent);
  if (std::strcmp(argv[1], "sealer") == 0) return sealer(parent);
  return kWorkerSetUpFailed;
}
