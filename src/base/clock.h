// Time as a dependency: code that waits or stamps takes a Clock, tests give it a FakeClock.
#pragma once

#include <chrono>

namespace stockade {

using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;  // CLOCK_MONOTONIC
  virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override { return std::chrono::system_clock::now(); }
};

class FakeClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall() const override { return WallTime(std::chrono::seconds(1'700'000'000)) + now_.time_since_epoch(); }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

}  // namespace stockade
