#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/verbs_fixture.h"
#include "event/log.h"
#include "supervisor/run_directory.h"

namespace stockade::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

event::Event refusal(const std::string& subject) {
  event::Event event;
  event.wall = event::Wall::network;
  event.kind = event::kind::kConnect;
  event.subject = subject;
  event.decision = event::Decision::deny;
  event.rule = "network.allow";
  event.where = "policy.yaml:12:5";
  event.reason = "no rule of network.allow names it";
  event.hint = "add it to network.allow";
  return event;
}

// A run as its supervisor leaves it, with the given refusals in the log.
class FakeRun {
 public:
  explicit FakeRun(const std::string& name) {
    auto directory = supervisor::RunDirectory::create(supervisor::find_places(), name);
    EXPECT_TRUE(directory) << directory.error().render();
    directory_.emplace(std::move(*directory));
    record_.id = directory_->id();
    record_.name = name;
    record_.command = {"/bin/true"};
    record_.started = supervisor::format_time(clock_.wall());
    EXPECT_TRUE(directory_->write_record(record_, true));
    event::AuditLog::Options options;
    options.user_directory = supervisor::find_places().state;
    options.run_directory = directory_->state_path();
    options.run = directory_->id();
    options.clock = &clock_;
    auto log = event::AuditLog::start(std::move(options));
    EXPECT_TRUE(log) << log.error().render();
    log_.emplace(std::move(*log));
  }
  void refuse(const std::string& subject) { EXPECT_TRUE(log_->record(refusal(subject))); }
  void flush() { EXPECT_TRUE(log_->flush_folds()); }
  void end() {
    EXPECT_TRUE(log_->finish("agent"));
    record_.ended = supervisor::format_time(clock_.wall());
    EXPECT_TRUE(directory_->write_record(record_, false));
    directory_->finish();
  }
  std::string log_path() const { return directory_->state_path() + "/events.jsonl"; }
  const std::string& id() const { return directory_->id(); }

 private:
  const SystemClock clock_;
  std::optional<supervisor::RunDirectory> directory_;
  supervisor::RunRecord record_;
  std::optional<event::AuditLog> log_;
};

TEST(Logs, PrintsALineAnEventAndTheRecordsAsTheyLie) {
  as_both_users([] {
    const TestPerson person;
    FakeRun run("one");
    run.refuse("evil.example:443");
    const auto open = said_by([] { return logs({"one", false, false}); });
    EXPECT_EQ(open.status, 0) << open.err;
    EXPECT_THAT(open.out, HasSubstr("connect evil.example:443  no rule of network.allow names it (2)"));
    run.end();
    const auto json = said_by([] { return logs({"one", true, false}); });
    EXPECT_EQ(json.out, *read_file(run.log_path(), 1 << 20));
    const auto missing = said_by([] { return logs({"other", false, false}); });
    EXPECT_EQ(missing.status, 2);
    EXPECT_THAT(missing.err, HasSubstr("stockade ps --all"));
  });
}

TEST(Logs, FollowsUntilTheRunEnds) {
  const TestPerson person;
  FakeRun run("one");
  run.refuse("first.example:443");
  auto pipe = make_pipe();
  ASSERT_TRUE(pipe);
  auto follower = fork_child([&] {
    ::alarm(30);
    ::dup2(pipe->write.get(), STDOUT_FILENO);
    const int status = logs({"one", false, true});
    std::fflush(stdout);
    return status;
  });
  ASSERT_TRUE(follower);
  pipe->write.reset();
  std::string seen;
  const auto read_until = [&](std::string_view word) {
    char buffer[4096];
    while (seen.find(word) == std::string::npos) {
      const ssize_t count = ::read(pipe->read.get(), buffer, sizeof(buffer));
      if (count <= 0) return;
      seen.append(buffer, static_cast<size_t>(count));
    }
  };
  read_until("first.example");
  run.refuse("second.example:443");
  read_until("second.example");
  run.end();
  read_until("no such word: to the end");
  EXPECT_THAT(seen, HasSubstr("end agent"));
  EXPECT_EQ(seen.find("first.example"), seen.rfind("first.example"));
  EXPECT_EQ(follower->wait()->code, 0);
}

// The supervisor dies without a word: its follower settles the run, prints the end that recovery wrote, and leaves.
TEST(Logs, FollowsARunToItsEndThatDied) {
  as_both_users([] {
    const TestPerson person;
    auto ready = make_pipe();
    ASSERT_TRUE(ready);
    auto dying = fork_child([&] {
      FakeRun run("one");
      run.refuse("first.example:443");
      if (::write(ready->write.get(), "r", 1) != 1) return 1;
      ::alarm(30);
      ::pause();
      return 0;
    });
    ASSERT_TRUE(dying);
    char byte;
    ASSERT_EQ(::read(ready->read.get(), &byte, 1), 1);
    auto follower = fork_child([&] {
      ::alarm(30);
      const auto said = said_by([] { return logs({"one", false, true}); });
      EXPECT_THAT(said.out, HasSubstr("first.example"));
      EXPECT_THAT(said.out, HasSubstr("unclean_end"));
      return testing::Test::HasFailure() ? 1 : said.status;
    });
    ASSERT_TRUE(follower);
    ASSERT_TRUE(dying->signal(SIGKILL));
    EXPECT_TRUE(dying->wait());
    EXPECT_EQ(follower->wait()->code, 0);
    const auto verified = said_by([] { return audit_verify({"one", false}); });
    EXPECT_EQ(verified.status, 0);
    EXPECT_THAT(verified.out, HasSubstr("recovered"));
  });
}

TEST(Audit, SumsUpWithFoldedRefusals) {
  const TestPerson person;
  FakeRun run("one");
  for (int i = 0; i < 5; ++i) run.refuse("evil.example:443");
  run.refuse("other.example:443");
  run.end();
  const auto said = said_by([] { return audit({"one", true}); });
  EXPECT_EQ(said.status, 0) << said.err;
  const auto json = nlohmann::json::parse(said.out);
  EXPECT_EQ(json["events"], 6);
  EXPECT_EQ(json["decisions"][0]["kind"], "connect");
  EXPECT_EQ(json["decisions"][0]["count"], 6);
  ASSERT_EQ(json["refused"].size(), 2u);
  EXPECT_EQ(json["refused"][0]["times"], 5);
  EXPECT_EQ(json["log"]["integrity"], "clean");
  EXPECT_THAT(said_by([] { return audit({"one", false}); }).out, HasSubstr("connect evil.example:443"));
  EXPECT_EQ(said_by([] { return audit({"", false}); }).status, 2);
}

TEST(Audit, SaysThatALogWasChangedAndCountsNothingOfIt) {
  const TestPerson person;
  FakeRun run("one");
  run.refuse("evil.example:443");
  run.end();
  std::string text = *read_file(run.log_path(), 1 << 20);
  text.replace(text.find("evil.example"), 4, "good");
  std::ofstream(run.log_path(), std::ios::trunc) << text;
  const auto verified = said_by([] { return audit_verify({"one", true}); });
  EXPECT_EQ(verified.status, 1);
  EXPECT_EQ(nlohmann::json::parse(verified.out)["integrity"], "broken");
  const auto summed = said_by([] { return audit({"one", false}); });
  EXPECT_EQ(summed.status, 1);
  EXPECT_THAT(summed.out, Not(HasSubstr("good.example")));
}

TEST(Audit, VerifiesAllLogsAndSaysWhichIsGone) {
  const TestPerson person;
  FakeRun gone("one");
  gone.end();
  FakeRun last("two");
  last.end();
  const auto good = said_by([] { return audit_verify({"", true}); });
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(nlohmann::json::parse(good.out)["runs"].size(), 2u);
  const std::string path = gone.log_path();
  std::filesystem::remove_all(std::filesystem::path(path).parent_path());
  const auto bad = said_by([] { return audit_verify({"", false}); });
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.out, HasSubstr("clean"));
  EXPECT_THAT(bad.err, HasSubstr("is gone; a later run names its end"));
}

TEST(Why, TellsTheLastRefusalOrTheOneThatIsAskedFor) {
  const TestPerson person;
  FakeRun run("one");
  const auto none = said_by([] { return why({"one", std::nullopt, false}); });
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("was refused nothing"));
  run.refuse("first.example:443");
  run.refuse("second.example:443");
  const auto last = said_by([] { return why({"one", std::nullopt, false}); });
  EXPECT_EQ(last.status, 0);
  EXPECT_THAT(last.out, HasSubstr("deny connect second.example:443"));
  EXPECT_THAT(last.out, HasSubstr("policy.yaml:12:5"));
  EXPECT_THAT(last.out, HasSubstr("add it to network.allow"));
  const auto json = nlohmann::json::parse(said_by([] { return why({"one", 2, true}); }).out);
  EXPECT_EQ(json["event"]["subject"], "first.example:443");
  EXPECT_EQ(said_by([] { return why({"one", 99, false}); }).status, 2);
  run.end();
}

}  // namespace
}  // namespace stockade::cli
