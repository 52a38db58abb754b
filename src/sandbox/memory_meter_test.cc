#include "sandbox/memory_meter.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/fd.h"
#include "sandbox/mounts.h"

namespace stockade::sandbox {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// A directory that plays the sandbox's /proc; the test's own memfds are what its processes hold.
class MemoryMeterTest : public testing::Test {
 protected:
  MemoryMeterTest() {
    char name[] = "/tmp/stockade-memory-XXXXXX";
    path_ = ::mkdtemp(name);
    proc_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    tmpfs_ = Fd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));  // a filesystem of no size
  }
  ~MemoryMeterTest() override { std::filesystem::remove_all(path_); }

  struct Process {
    uint64_t resident = 0, shared = 0, anonymous = 0, mapped = 0;  // MiB; the last two by PSS
    bool readable = true;
  };
  void process(int pid, const Process& is) {
    const std::string place = path_ + "/" + std::to_string(pid);
    std::filesystem::create_directories(place + "/fd");
    const uint64_t pages = kMiB / static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    std::ofstream(place + "/statm") << "99999 " << is.resident * pages << ' ' << is.shared * pages << " 1 0 9 0\n";
    if (!is.readable) return;
    std::ofstream(place + "/smaps_rollup")
        << "5500-7ffd ---p 00000000 00:00 0 [rollup]\nRss: 1 kB\nPss:  2 kB\nPss_Anon:  " << is.anonymous * 1024
        << " kB\nPss_File:  9 kB\nPss_Shmem:  " << is.mapped * 1024 << " kB\n";
  }
  void holds(int pid, int number, const Fd& fd) {
    std::filesystem::create_symlink("/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd.get()),
                                    path_ + "/" + std::to_string(pid) + "/fd/" + std::to_string(number));
  }
  static Fd memfd(uint64_t size) {
    Fd fd(::memfd_create("test", MFD_CLOEXEC));
    EXPECT_TRUE(write_all(fd.get(), std::string(size, 'x')));
    return fd;
  }
  bool exceeds(uint64_t limit) {
    MemoryMeter meter(proc_.get(), tmpfs_.get(), limit * kMiB);
    const auto over = meter.exceeded(1);
    EXPECT_TRUE(over) << over.error().message();
    return over && *over;
  }

  std::string path_;
  Fd proc_, tmpfs_;
};

TEST_F(MemoryMeterTest, CountsPagesThatForkedProcessesShareOnce) {
  for (int pid = 2; pid < 52; ++pid) process(pid, {.resident = 20, .shared = 5, .anonymous = 1});
  EXPECT_FALSE(exceeds(50));
  EXPECT_TRUE(exceeds(49));
}

TEST_F(MemoryMeterTest, CountsMemfdsThatNobodyMapsOnceHoweverManyHoldThem) {
  const Fd one = memfd(4 * kMiB);
  for (int pid = 2; pid < 5; ++pid) {
    process(pid, {});
    holds(pid, 3, one);
    holds(pid, 4, one);
  }
  EXPECT_FALSE(exceeds(4));
  EXPECT_TRUE(exceeds(3));
}

TEST_F(MemoryMeterTest, CountsAMemfdThatIsMappedAndHeldOnce) {
  const Fd one = memfd(4 * kMiB);
  process(2, {.resident = 6, .shared = 4, .anonymous = 2, .mapped = 4});
  holds(2, 3, one);
  EXPECT_FALSE(exceeds(6));
  EXPECT_TRUE(exceeds(5));
}

TEST_F(MemoryMeterTest, AssumesTheWorstOfAProcessThatCannotBeLookedInto) {
  process(1, {.resident = 30, .shared = 29, .readable = false});  // our init
  process(2, {.resident = 10, .shared = 8, .readable = false});
  EXPECT_FALSE(exceeds(11));
  EXPECT_TRUE(exceeds(10));
}

TEST_F(MemoryMeterTest, MeasuresAgainWhenWhatIsPrivateHasGrownByTheRoomThatWasLeft) {
  process(2, {.resident = 20, .shared = 5, .anonymous = 1});
  MemoryMeter meter(proc_.get(), tmpfs_.get(), 10 * kMiB);
  EXPECT_FALSE(*meter.exceeded(1));
  process(2, {.resident = 40, .shared = 5, .anonymous = 21});
  EXPECT_TRUE(*meter.exceeded(1.5));
}

}  // namespace
}  // namespace stockade::sandbox
