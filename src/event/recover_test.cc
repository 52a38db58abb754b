#include "event/recover.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <random>

#include "base/pid.h"
#include "event/read.h"
#include "event/temp_state.h"
#include "event/verify.h"

namespace stockade::event {
namespace {

class RecoverLog : public testing::Test {
 protected:
  RecoverOptions options(const std::string& run = "r1") {
    return {.user_directory = state_.user(), .run_directory = state_.run(run), .run = run, .clock = &clock_};
  }
  // A run whose supervisor died after these events.
  void die_after(const std::function<void(AuditLog&)>& body) {
    auto log = AuditLog::start(state_.options("r1", clock_)).value();
    body(log);
  }
  Verification verify() { return verify_log(state_.user(), state_.run("r1")).value(); }

  TempState state_;
  FakeClock clock_;
};

TEST_F(RecoverLog, ClosesTheLogAndWritesTheCountsOut) {
  die_after([](AuditLog& log) {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(log.record(refusal("evil.example:443")));
  });
  EXPECT_EQ(verify().integrity, Integrity::unclean);
  EXPECT_EQ(verify().events, 1u);
  const auto recovery = recover_log(options()).value();
  EXPECT_TRUE(recovery.needed);
  EXPECT_EQ(recovery.folded, 9u);
  const auto verdict = verify();
  EXPECT_EQ(verdict.integrity, Integrity::recovered) << verdict.to_text();
  EXPECT_EQ(verdict.events, 10u);
  EXPECT_EQ(verdict.ended_by, "error:supervisor");
  EXPECT_FALSE(recover_log(options())->needed) << "a second recovery has nothing to do";
  EXPECT_EQ(verify().records, verdict.records);
  EXPECT_FALSE(std::filesystem::exists(state_.run("r1") + "/folds"));
}

TEST_F(RecoverLog, CutsATornLastLineAndSaysSo) {
  die_after([](AuditLog& log) { ASSERT_TRUE(log.record(allowed("a:1"))); });
  const std::string text = TempState::read(state_.log("r1"));
  TempState::write(state_.log("r1"), text + R"({"seq":3,"time":"20)");
  EXPECT_EQ(verify().integrity, Integrity::unclean);
  EXPECT_EQ(recover_log(options())->torn_bytes, 19u);
  EXPECT_EQ(verify().integrity, Integrity::recovered);
}

TEST_F(RecoverLog, BeginsALogThatDiedBeforeItsFirstRecord) {
  die_after([](AuditLog&) {});
  for (const char* left : {"", "{\"seq\":1,"}) {
    TempState::write(state_.log("r1"), left);
    ASSERT_TRUE(recover_log(options()));
    EXPECT_EQ(verify().integrity, Integrity::recovered);
    std::filesystem::remove(state_.user() + "/audit-head");
  }
}

TEST_F(RecoverLog, RefusesALivingWriter) {
  auto log = AuditLog::start(state_.options("r1", clock_)).value();
  const auto recovery = recover_log(options());
  ASSERT_FALSE(recovery);
  EXPECT_NE(recovery.error().message().find("still written"), std::string::npos);
}

TEST_F(RecoverLog, LeavesABrokenChainAsItIs) {
  die_after([](AuditLog& log) { ASSERT_TRUE(log.record(allowed("a:1"))); });
  std::string text = TempState::read(state_.log("r1"));
  text.replace(text.find("a:1"), 3, "b:1");
  TempState::write(state_.log("r1"), text);
  EXPECT_FALSE(recover_log(options()));
  EXPECT_EQ(TempState::read(state_.log("r1")), text);
}

TEST_F(RecoverLog, ClosesTheLogAlsoWhenTheTableOfFoldsIsDamaged) {
  die_after([](AuditLog& log) {
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(log.record(refusal("evil.example:443")));
  });
  TempState::write(state_.run("r1") + "/folds", "nonsense");
  ASSERT_TRUE(recover_log(options()));
  EXPECT_EQ(verify().integrity, Integrity::recovered);
  EXPECT_NE(TempState::read(state_.log("r1")).find("folds is damaged"), std::string::npos);
}

TEST_F(RecoverLog, MakesTheRecoveredEndTheHeadOfTheNextRun) {
  die_after([](AuditLog& log) { ASSERT_TRUE(log.record(allowed("a:1"))); });
  ASSERT_TRUE(recover_log(options()));
  auto next = AuditLog::start(state_.options("r2", clock_)).value();
  ASSERT_TRUE(next.finish("agent"));
  EXPECT_TRUE(verify_runs(state_.user())->problems.empty());
  EXPECT_NE(TempState::read(state_.log("r2")).find("\"after\":\"r1\""), std::string::npos);
}

TEST_F(RecoverLog, RepairsAHeadThatItsWriterDidNotReach) {
  die_after([](AuditLog& log) { ASSERT_TRUE(log.finish("agent")); });
  std::filesystem::remove(state_.user() + "/audit-head");
  ASSERT_TRUE(recover_log(options()));
  EXPECT_EQ(TempState::read(state_.user() + "/audit-head").substr(0, 3), "r1 ");
}

// What a writer and its murderer share: how many record() calls were begun and how many came back.
struct Progress {
  std::atomic<uint64_t> begun;
  std::atomic<uint64_t> acknowledged;
};

int write_until_killed(const AuditLog::Options& options, uint32_t seed, Progress& progress) {
  auto log = AuditLog::start(options);
  if (!log) return 1;
  std::mt19937 random(seed);
  while (true) {
    const uint32_t choice = random() % 100;
    const Event event =
        choice < 5 ? allowed("api.example:443") : refusal(fmt::format("evil.example:{}", random() % 12));
    progress.begun.fetch_add(1);
    if (!log->record(event)) return 2;
    progress.acknowledged.fetch_add(1);
    if (choice == 99 && !log->flush_folds()) return 3;
    if (choice == 98 && !log->checkpoint()) return 4;
  }
}

TEST_F(RecoverLog, LosesNothingHoweverTheWriterIsKilled) {
  void* shared = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  std::mt19937 random(42);
  SystemClock clock;
  for (uint32_t round = 0; round < 60; ++round) {
    auto& progress = *new (shared) Progress{};
    const std::string run = fmt::format("r{}", round);
    auto log_options = state_.options(run, clock);
    log_options.folds = {.exact = 8, .classes = 2};
    log_options.checkpoint_events = 7;
    auto child = fork_child([&] { return write_until_killed(log_options, round, progress); });
    ASSERT_TRUE(child);
    // Kill it at a random amount of work, which is a random instruction.
    const uint64_t at = random() % 400;
    while (progress.acknowledged.load() < at) ASSERT_FALSE(child->poll().value()) << "the writer failed";
    ASSERT_TRUE(child->signal(SIGKILL));
    ASSERT_EQ(child->wait()->code, SIGKILL);

    auto recover_options = options(run);
    // Kill the recovery as well, now and then: the next one does the rest.
    auto first = fork_child([&] { return recover_log(recover_options) ? 0 : 1; }).value();
    if (round % 2 == 0) {
      for (uint32_t turn = random() % 2000; turn > 0; --turn) sched_yield();
      ASSERT_TRUE(first.signal(SIGKILL));
    }
    ASSERT_TRUE(first.wait());
    const auto recovery = recover_log(recover_options);
    ASSERT_TRUE(recovery) << recovery.error().render();
    const auto verdict = verify_log(state_.user(), state_.run(run)).value();
    ASSERT_EQ(verdict.integrity, Integrity::recovered) << verdict.to_text();
    ASSERT_GE(verdict.events, progress.acknowledged.load());
    ASSERT_LE(verdict.events, progress.begun.load());
  }
  ::munmap(shared, sizeof(Progress));
  EXPECT_TRUE(verify_runs(state_.user())->problems.empty());
}

}  // namespace
}  // namespace stockade::event
