#include "event/log.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <map>
#include <nlohmann/json.hpp>

#include "base/pid.h"
#include "event/read.h"
#include "event/temp_state.h"
#include "event/verify.h"

namespace stockade::event {
namespace {

std::vector<Event> events_of(const std::string& run_directory) {
  std::vector<Event> events;
  const auto read = for_each_event(run_directory, {}, [&](const Event& event, std::string_view) {
    events.push_back(event);
    return true;
  });
  EXPECT_TRUE(read) << read.error().render();
  return events;
}

uint64_t sum_of_counts(const std::string& run_directory) {
  uint64_t sum = 0;
  for (const auto& event : events_of(run_directory))
    if (!is_reserved_kind(event.kind) || event.kind == kind::kFolded) sum += event.count;
  return sum;
}

TEST(AuditLog, HasTheEventInTheFileBeforeRecordReturns) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  const auto recorded = log.record(allowed("api.example:443")).value();
  EXPECT_EQ(recorded.seq, 2u);
  EXPECT_NE(TempState::read(state.log("r1")).find("api.example:443"), std::string::npos);
}

TEST(AuditLog, EndsSignedAndVerifies) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(log.record(refusal("evil.example:443")));
  ASSERT_TRUE(log.finish("agent", {{"status", "0"}}));
  const auto verdict = verify_log(state.user(), state.run("r1")).value();
  EXPECT_EQ(verdict.integrity, Integrity::clean) << verdict.to_text();
  EXPECT_EQ(verdict.events, 5u);
  EXPECT_EQ(verdict.ended_by, "agent");
  EXPECT_EQ(verdict.signed_through, verdict.records);
  EXPECT_FALSE(log.record(allowed("late")));
}

TEST(AuditLog, KeepsEveryFilePrivateAndLeavesOnlyTheLog) {
  TempState state;
  FakeClock clock;
  {
    auto log = AuditLog::start(state.options("r1", clock)).value();
    ASSERT_TRUE(log.record(refusal("evil.example:443")));
    ASSERT_TRUE(log.finish("agent"));
  }
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(state.user())) {
    struct stat info{};
    ASSERT_EQ(::lstat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"audit-head", "audit-key.pem", "audit-key.pub", "events.jsonl", "r1"}));
  struct stat info{};
  ASSERT_EQ(::stat(state.log("r1").c_str(), &info), 0);
  EXPECT_LE(info.st_blocks * 512, 16384) << "the reserve was not given back";
}

TEST(AuditLog, FoldsEqualRefusalsAndCountsThem) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  const auto first = log.record(refusal("evil.example:443")).value();
  const auto second = log.record(refusal("evil.example:443")).value();
  const auto other = log.record(refusal("evil.example:80")).value();
  EXPECT_FALSE(first.repeated);
  EXPECT_TRUE(second.repeated);
  EXPECT_EQ(second.seq, first.seq);
  EXPECT_FALSE(other.repeated);
  ASSERT_TRUE(log.flush_folds());
  ASSERT_TRUE(log.flush_folds()) << "nothing pending, nothing written";
  const auto events = events_of(state.run("r1"));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[3].kind, kind::kFolded);
  EXPECT_EQ(events[3].count, 1u);
  EXPECT_EQ(*events[3].find_evidence("of"), fmt::format("{}", first.seq));
}

TEST(AuditLog, AddsWhatTheCallerHasCountedAlready) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  Event three = refusal("evil.example:443");
  three.count = 3;
  ASSERT_TRUE(log.record(three));
  ASSERT_TRUE(log.record(three));
  three.count = 0;
  EXPECT_FALSE(log.record(three));
  ASSERT_TRUE(log.finish("agent"));
  EXPECT_EQ(sum_of_counts(state.run("r1")), 6u);
  EXPECT_EQ(verify_log(state.user(), state.run("r1")).value().integrity, Integrity::clean);
}

TEST(AuditLog, GivesBackALargeReserve) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(log.record(refusal(fmt::format("evil.example:{}", i))));
  struct stat info{};
  ASSERT_EQ(::stat(state.log("r1").c_str(), &info), 0);
  EXPECT_GT(info.st_blocks * 512, info.st_size + 100 * 1024) << "room for a hundred folded records";
  ASSERT_TRUE(log.finish("agent"));
  ASSERT_EQ(::stat(state.log("r1").c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, info.st_size + 32 * 1024);
}

TEST(AuditLog, CountedEventsLoseNoneOfAHundredThousandRefusals) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  const std::string subjects[] = {"evil.example:443", "evil.example:80", "10.0.0.1:22"};
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(log.record(refusal(subjects[i % 3])));
    if (i % 1000 == 0) {
      clock.advance(std::chrono::milliseconds(500));
      ASSERT_TRUE(log.tick());
    }
  }
  ASSERT_TRUE(log.finish("agent"));
  EXPECT_EQ(sum_of_counts(state.run("r1")), 100'000u);
  EXPECT_EQ(log.recorded(), 100'000u);
  EXPECT_LT(std::filesystem::file_size(state.log("r1")), 100u * 1024);
  EXPECT_EQ(verify_log(state.user(), state.run("r1")).value().integrity, Integrity::clean);
}

TEST(AuditLog, StaysBoundedWhenEverySubjectIsAnother) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  for (int i = 0; i < 100'000; ++i) {
    const auto recorded = log.record(refusal(fmt::format("evil.example:{}", i), fmt::format("rule {}", i % 200)));
    ASSERT_TRUE(recorded);
    ASSERT_FALSE(recorded->repeated) << "a different refusal counts towards the limit of denials";
  }
  ASSERT_TRUE(log.finish("agent"));
  EXPECT_EQ(sum_of_counts(state.run("r1")), 100'000u);
  EXPECT_LT(std::filesystem::file_size(state.log("r1")), 600u * 1024);
}

TEST(AuditLog, ForgetsIdleRefusalsSlowlySoThatNewOnesAreNamedAgain) {
  TempState state;
  FakeClock clock;
  auto options = state.options("r1", clock);
  options.folds = {.exact = 4, .classes = 2};
  auto log = AuditLog::start(std::move(options)).value();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(log.record(refusal(fmt::format("a:{}", i))));
  for (int i = 0; i < 2; ++i) {
    clock.advance(std::chrono::seconds(11));
    ASSERT_TRUE(log.flush_folds());
  }
  ASSERT_TRUE(log.record(refusal("new:1")));
  EXPECT_NE(TempState::read(state.log("r1")).find("\"new:1\""), std::string::npos);
  ASSERT_TRUE(log.finish("agent"));
  EXPECT_EQ(sum_of_counts(state.run("r1")), 11u);
}

// Or a program that asks for the same blocked host twice a minute would reach any limit of different refusals.
TEST(AuditLog, KnowsAnEqualRefusalAfterAnHourWhileThereIsRoom) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  ASSERT_FALSE(log.record(refusal("telemetry.example:443"))->repeated);
  for (int minute = 0; minute < 60; ++minute) {
    clock.advance(std::chrono::minutes(1));
    ASSERT_TRUE(log.flush_folds());
  }
  EXPECT_TRUE(log.record(refusal("telemetry.example:443"))->repeated);
  ASSERT_TRUE(log.finish("agent"));
  EXPECT_EQ(sum_of_counts(state.run("r1")), 2u);
}

TEST(AuditLog, SignsACheckpointByCountAndByTime) {
  TempState state;
  FakeClock clock;
  auto options = state.options("r1", clock);
  options.checkpoint_events = 3;
  auto log = AuditLog::start(std::move(options)).value();
  ASSERT_TRUE(log.record(allowed("a")));
  ASSERT_TRUE(log.record(allowed("b")));
  EXPECT_EQ(verify_log(state.user(), state.run("r1")).value().signed_through, 4u);
  ASSERT_TRUE(log.record(allowed("c")));
  ASSERT_EQ(log.next_tick(), clock.now() + std::chrono::seconds(10));
  clock.advance(std::chrono::seconds(10));
  ASSERT_TRUE(log.tick());
  EXPECT_FALSE(log.next_tick());
  const auto verdict = verify_log(state.user(), state.run("r1")).value();
  EXPECT_EQ(verdict.signed_through, 6u);
  EXPECT_EQ(verdict.integrity, Integrity::open);
}

TEST(AuditLog, ChainsTheHeadOfTheLastFinishedRunIntoTheNext) {
  TempState state;
  FakeClock clock;
  auto one = AuditLog::start(state.options("one", clock)).value();
  auto two = AuditLog::start(state.options("two", clock)).value();
  ASSERT_TRUE(one.finish("agent"));
  ASSERT_TRUE(two.finish("agent"));
  auto three = AuditLog::start(state.options("three", clock)).value();
  ASSERT_TRUE(three.finish("agent"));
  const auto first = events_of(state.run("one"));
  const auto second = events_of(state.run("two"));
  const auto third = events_of(state.run("three"));
  EXPECT_EQ(*second.back().find_evidence("after"), "one");
  EXPECT_EQ(*second.back().find_evidence("after_hash"), to_hex(first.back().hash.data(), 32));
  EXPECT_EQ(third.front().prev, second.back().hash);
  const auto all = verify_runs(state.user()).value();
  EXPECT_EQ(all.runs.size(), 3u);
  EXPECT_TRUE(all.problems.empty()) << all.problems[0];
}

TEST(AuditLog, RefusesKindsOfItsOwnAndASecondLog) {
  TempState state;
  FakeClock clock;
  auto log = AuditLog::start(state.options("r1", clock)).value();
  Event forged = allowed("x");
  forged.kind = kind::kEnd;
  EXPECT_FALSE(log.record(forged));
  EXPECT_FALSE(AuditLog::start(state.options("r1", clock)));
  EXPECT_FALSE(AuditLog::start(state.options("../r1", clock)));
}

TEST(AuditLog, RefusesAKeyThatOthersCouldHaveReadOrReplaced) {
  FakeClock clock;
  const auto start_after = [&clock](auto&& change) {
    TempState state;
    {
      auto log = AuditLog::start(state.options("r1", clock)).value();
    }
    change(state.user());
    const auto log = AuditLog::start(state.options("r2", clock));
    return log ? std::string("started") : log.error().render();
  };
  EXPECT_EQ(start_after([](const std::string&) {}), "started");
  EXPECT_EQ(start_after([](const std::string& user) { std::filesystem::remove(user + "/audit-key.pub"); }), "started");
  EXPECT_NE(start_after([](const std::string& user) {
              ::chmod((user + "/audit-key.pem").c_str(), 0644);
            }).find("open to others"),
            std::string::npos);
  EXPECT_NE(start_after([](const std::string& user) { ::chmod(user.c_str(), 0755); }).find("open to others"),
            std::string::npos);
  EXPECT_NE(start_after([](const std::string& user) {
              TempState::write(user + "/audit-key.pem", "x");
            }).find("not a key that Stockade wrote"),
            std::string::npos);
  EXPECT_NE(start_after([](const std::string& user) {
              std::filesystem::rename(user + "/audit-key.pem", user + "/elsewhere");
              std::filesystem::create_symlink("elsewhere", user + "/audit-key.pem");
            }).find("ELOOP"),
            std::string::npos);
  EXPECT_NE(start_after([](const std::string& user) { TempState::write(user + "/audit-head", "x"); }).find("damaged"),
            std::string::npos);
}

// Runs `body` in a mount namespace of its own with a new filesystem at `place`; exit status 77: not possible here.
int in_small_filesystem(const char* type, const std::string& place, const char* options,
                        const std::function<int()>& body) {
  auto child = fork_child([&] {
    const uid_t uid = ::geteuid();
    const gid_t gid = ::getegid();
    if (::unshare(CLONE_NEWNS | (uid == 0 ? 0 : CLONE_NEWUSER)) < 0) return 77;
    if (uid != 0) {
      TempState::write("/proc/self/setgroups", "deny");
      TempState::write("/proc/self/uid_map", fmt::format("{0} {0} 1", uid));
      TempState::write("/proc/self/gid_map", fmt::format("{0} {0} 1", gid));
    }
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0) return 77;
    if (::mount(type, place.c_str(), type, 0, options) < 0) return 77;
    ::chmod(place.c_str(), 0700);
    return body();
  });
  return child.value().wait().value().code;
}

int in_small_tmpfs(const std::string& place, const char* options, const std::function<int()>& body) {
  return in_small_filesystem("tmpfs", place, options, body);
}

TEST(AuditLog, ReportsAFullDiskAndStillWritesItsEnd) {
  TempState state;
  const std::string place = state.run("small");
  const int status = in_small_tmpfs(place, "size=512k", [&] {
    FakeClock clock;
    TempState inner_user;
    auto options = inner_user.options("full", clock);
    options.run_directory = place;
    auto log = AuditLog::start(std::move(options));
    if (!log) return 1;
    uint64_t written = 0;
    Result<AuditLog::Recorded> last = log->record(refusal("evil.example:443"));
    for (; last; ++written) {
      if (!log->record(refusal("evil.example:443"))) return 2;
      ++written;
      last = log->record(allowed("api.example:443"));
      if (written > 100'000) return 3;
    }
    if (last.error().error_number() != ENOSPC) return 4;
    if (log->record(allowed("b"))) return 5;
    if (!log->finish("error:log")) return 6;
    const auto verdict = verify_log(inner_user.user(), place);
    if (!verdict || verdict->integrity != Integrity::clean) return 7;
    return verdict->events == written && verdict->events == log->recorded() ? 0 : 8;
  });
  if (status == 77) GTEST_SKIP() << "needs a mount namespace";
  EXPECT_EQ(status, 0);
}

TEST(AuditLog, EndsWithEveryCountWhenRefusalsFillTheDisk) {
  TempState state;
  const std::string place = state.run("small");
  const int status = in_small_tmpfs(place, "size=256k", [&] {
    FakeClock clock;
    TempState inner_user;
    auto options = inner_user.options("full", clock);
    options.run_directory = place;
    auto log = AuditLog::start(std::move(options));
    if (!log) return 1;
    uint64_t written = 0;
    while (log->record(refusal(fmt::format("evil.example:{}", written / 2)))) ++written;
    if (written < 50 || !log->finish("error:log")) return 2;
    const auto verdict = verify_log(inner_user.user(), place);
    if (!verdict || verdict->integrity != Integrity::clean) return 3;
    return verdict->events == written ? 0 : 4;
  });
  if (status == 77) GTEST_SKIP() << "needs a mount namespace";
  EXPECT_EQ(status, 0);
}

TEST(AuditLog, KeepsAReserveFileWhereSpaceCanNotBeAllocatedAhead) {
  TempState state;
  const std::string place = state.run("small");
  const auto body = [&] {
    FakeClock clock;
    TempState inner_user;
    auto options = inner_user.options("ram", clock);
    options.run_directory = place;
    auto log = AuditLog::start(std::move(options));
    if (!log || !log->record(refusal("evil.example:443")) || !log->record(refusal("evil.example:443"))) return 1;
    if (std::filesystem::file_size(place + "/reserve") < 12 * 1024) return 2;
    if (!log->finish("agent") || std::filesystem::exists(place + "/reserve")) return 3;
    const auto verdict = verify_log(inner_user.user(), place);
    return verdict && verdict->integrity == Integrity::clean && verdict->events == 2 ? 0 : 4;
  };
  const int status = in_small_filesystem("ramfs", place, "", body);
  if (status == 77) GTEST_SKIP() << "needs a mount namespace";
  EXPECT_EQ(status, 0);
}

TEST(AuditLog, SaysThatTheDiskIsFullAtTheStart) {
  TempState state;
  const std::string place = state.run("small");
  const int status = in_small_tmpfs(place, "size=8k", [&] {
    FakeClock clock;
    TempState inner_user;
    auto options = inner_user.options("full", clock);
    options.run_directory = place;
    const auto log = AuditLog::start(std::move(options));
    if (log || log.error().error_number() != ENOSPC) return 1;
    return std::filesystem::is_empty(place) ? 0 : 2;
  });
  if (status == 77) GTEST_SKIP() << "needs a mount namespace";
  EXPECT_EQ(status, 0);
}

TEST(AuditLog, WorksForAnOrdinaryUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "is one already";
  TempState state;
  ASSERT_EQ(::chown(state.user().c_str(), 12345, 12345), 0);
  auto child = fork_child([&] {
    if (::setgid(12345) < 0 || ::setuid(12345) < 0) return 1;
    FakeClock clock;
    auto log = AuditLog::start(state.options("r1", clock));
    if (!log || !log->record(refusal("a:1")) || !log->finish("agent")) return 2;
    return verify_log(state.user(), state.run("r1")).value().integrity == Integrity::clean ? 0 : 3;
  });
  EXPECT_EQ(child.value().wait().value().code, 0);
  EXPECT_FALSE(verify_log(state.user(), state.run("r1"))) << "another user's log is refused";
}

}  // namespace
}  // namespace stockade::event
