// A 1 ms timer that says how late it was woken: how the rest of the machine feels while a sandbox misbehaves. Runs
// until stdin ends or SECONDS have passed, then prints one JSON object in milliseconds.
//
//   tick SECONDS
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  std::vector<double> late;
  late.reserve(1 << 20);
  const auto begin = Clock::now();
  std::puts("ready");
  std::fflush(stdout);
  while (std::chrono::duration<double>(Clock::now() - begin).count() < seconds) {
    const itimerspec once{{0, 0}, {0, 1'000'000}};
    ::timerfd_settime(timer, 0, &once, nullptr);
    const auto armed = Clock::now();
    pollfd fds[2] = {{timer, POLLIN, 0}, {0, POLLIN, 0}};
    ::poll(fds, 2, -1);
    if (fds[1].revents != 0) break;
    late.push_back(std::chrono::duration<double, std::milli>(Clock::now() - armed).count());
  }
  if (late.empty()) return 1;
  std::sort(late.begin(), late.end());
  const auto at = [&](double q) { return late[static_cast<size_t>(static_cast<double>(late.size() - 1) * q)]; };
  std::printf("{\"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f, \"ticks\": %zu}\n", at(0.5), at(0.99), late.back(),
              late.size());
  return 0;
}
