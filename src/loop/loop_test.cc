#include "loop/loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>

namespace stockade::loop {
namespace {

using std::chrono::milliseconds;

struct LoopTest : testing::Test {
  FakeClock fake;
  SystemClock real;
  std::unique_ptr<Loop> loop = Loop::create(fake).value();
};

Task<void> note_after(Loop& loop, Duration wait, std::string& log, char mark) {
  co_await loop.sleep(wait);
  log += mark;
}

TEST_F(LoopTest, ResumesSleepersInTheOrderOfTheirDeadlines) {
  std::string log;
  loop->spawn(note_after(*loop, milliseconds(20), log, 'b'));
  loop->spawn(note_after(*loop, milliseconds(10), log, 'a'));
  ASSERT_TRUE(loop->run_once(Duration::zero()));
  EXPECT_EQ(log, "");
  fake.advance(milliseconds(25));
  EXPECT_FALSE(loop->run_once(Duration::zero()).value());
  EXPECT_EQ(log, "ab");
}

Task<void> echo(AsyncFd fd) {
  char buffer[64];
  while (true) {
    auto count = co_await read_some(fd, buffer, sizeof(buffer));
    if (!count || *count == 0) co_return;
    auto written = co_await write_fully(fd, std::string_view(buffer, *count));
    if (!written) co_return;
  }
}

Task<void> ask(AsyncFd fd, std::string& answer) {
  (void)co_await write_fully(fd, "hello");
  char buffer[64];
  auto count = co_await read_some(fd, buffer, sizeof(buffer));
  answer.assign(buffer, count.value_or(0));
}

TEST_F(LoopTest, CarriesBytesBetweenTwoTasksAndEndsWhenBothAreDone) {
  auto pair = make_socket_pair(SOCK_STREAM).value();
  std::string answer;
  loop->spawn(echo(AsyncFd::adopt(*loop, std::move(pair[0])).value()));
  loop->spawn(ask(AsyncFd::adopt(*loop, std::move(pair[1])).value(), answer));
  ASSERT_TRUE(loop->run());
  EXPECT_EQ(answer, "hello");
  EXPECT_EQ(loop->task_count(), 0u);
}

Task<void> read_with_deadline(Loop& loop, AsyncFd fd, std::string& outcome) {
  char byte;
  auto count = co_await read_some(fd, &byte, 1, loop.now() + milliseconds(5));
  outcome = count ? "bytes" : count.error().message();
}

TEST_F(LoopTest, TimesOutAReaderAtItsDeadline) {
  auto pair = make_socket_pair(SOCK_STREAM).value();
  std::string outcome;
  loop->spawn(read_with_deadline(*loop, AsyncFd::adopt(*loop, std::move(pair[0])).value(), outcome));
  ASSERT_TRUE(loop->run_once(Duration::zero()));
  fake.advance(milliseconds(6));
  EXPECT_FALSE(loop->run_once(Duration::zero()).value());
  EXPECT_EQ(outcome, "no bytes before the deadline");
}

struct Guard {
  int& count;
  ~Guard() { ++count; }
};

Task<void> wait_forever(Signal& signal, int& destroyed) {
  Guard guard{destroyed};
  co_await signal.wait();
}

TEST_F(LoopTest, CancellingDestroysTheWholeChainAndLeavesTheSignalUsable) {
  Signal signal(*loop);
  int destroyed = 0;
  const auto id = loop->spawn(wait_forever(signal, destroyed));
  loop->spawn(wait_forever(signal, destroyed));
  ASSERT_TRUE(loop->run_once(Duration::zero()));
  loop->cancel(id);
  EXPECT_EQ(destroyed, 1);
  signal.notify_all();
  EXPECT_FALSE(loop->run_once(Duration::zero()).value());
  EXPECT_EQ(destroyed, 2);
}

Task<void> close_other(Loop& loop, AsyncFd& other) {
  co_await loop.sleep(milliseconds(1));
  other.close();
}

Task<void> read_until_closed(AsyncFd& fd, std::string& outcome) {
  char byte;
  auto count = co_await read_some(fd, &byte, 1);
  outcome = count ? "bytes" : count.error().message();
}

TEST_F(LoopTest, ClosingADescriptorWakesItsReader) {
  auto pair = make_socket_pair(SOCK_STREAM).value();
  auto fd = AsyncFd::adopt(*loop, std::move(pair[0])).value();
  std::string outcome;
  loop->spawn(read_until_closed(fd, outcome));
  loop->spawn(close_other(*loop, fd));
  ASSERT_TRUE(loop->run_once(Duration::zero()));
  fake.advance(milliseconds(2));
  ASSERT_TRUE(loop->run());
  EXPECT_EQ(outcome, "read: closed meanwhile");
}

TEST_F(LoopTest, DestroyingTheLoopDestroysWaitingTasks) {
  int destroyed = 0;
  auto local = Loop::create(fake).value();
  Signal signal(*local);
  local->spawn(wait_forever(signal, destroyed));
  ASSERT_TRUE(local->run_once(Duration::zero()));
  local.reset();
  EXPECT_EQ(destroyed, 1);
}

}  // namespace
}  // namespace stockade::loop
