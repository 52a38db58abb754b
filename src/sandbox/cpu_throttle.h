// The CPU limit where no cgroup holds it: an allowance that grows with time and shrinks with what was used; below zero
// everything inside stands still until it is earned back. Pure arithmetic; who measures and freezes is the engine.
// Ticks are 10 ms, so over a second the average holds within a few percent, over 50 ms it does not.
#pragma once

#include <cstdint>

namespace stockade::sandbox {

class CpuThrottle {
 public:
  CpuThrottle() = default;
  // `thousandths` of a CPU; ticks of sysconf(_SC_CLK_TCK) a second.
  CpuThrottle(uint64_t thousandths, long ticks_per_second)
      : rate_(static_cast<double>(thousandths) / 1000.0), ticks_per_second_(static_cast<double>(ticks_per_second)) {}

  // True: everything inside must stand still now. `ticks` is the sum so far; a sum that shrank (a process ended whose
  // parent ignores it) counts as no use.
  bool must_stop(uint64_t ticks, double now_seconds) {
    if (started_) {
      allowance_ += (now_seconds - last_) * rate_;
      if (ticks > ticks_) allowance_ -= static_cast<double>(ticks - ticks_) / ticks_per_second_;
      if (allowance_ > rate_ * kBurst) allowance_ = rate_ * kBurst;
    }
    started_ = true;
    last_ = now_seconds;
    ticks_ = ticks;
    // Earn a little before going on, or it would stop and go at every measurement.
    stopped_ = allowance_ < (stopped_ ? rate_ * kEarnFirst : 0.0);
    return stopped_;
  }

 private:
  static constexpr double kBurst = 0.1;       // seconds of its rate that may be saved up
  static constexpr double kEarnFirst = 0.01;  // seconds of its rate before it goes on

  double rate_ = 0, ticks_per_second_ = 100, allowance_ = 0, last_ = 0;
  uint64_t ticks_ = 0;
  bool started_ = false, stopped_ = false;
};

}  // namespace stockade::sandbox
