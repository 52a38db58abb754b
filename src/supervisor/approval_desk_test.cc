#include "supervisor/approval_desk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace stockade::supervisor {
namespace {

using ::testing::HasSubstr;

// A desk with a log in memory; the loop's clock is the test's.
class ApprovalDeskTest : public testing::Test {
 protected:
  ApprovalDeskTest() {
    ApprovalDesk::Host host;
    host.record = [this](event::Event event) -> Result<uint64_t> {
      if (log_is_full_) return fail(ErrorKind::unavailable, "no space");
      log_.push_back(std::move(event));
      return log_.size();
    };
    host.announce = [this](const event::Event& asked) { announced_.push_back(waiting_line("r1", asked)); };
    desk_.emplace(*loop_, std::chrono::seconds(30), std::move(host));
  }

  Result<uint64_t> ask(std::string subject, egress::AskScope scope = egress::AskScope::once) {
    event::Event event;
    event.wall = event::Wall::network;
    event.kind = scope == egress::AskScope::once ? event::kind::kRequest : event::kind::kConnect;
    event.subject = std::move(subject);
    event.rule = "network.allow[0]: x";
    return desk_->ask(std::move(event), scope, [this](const egress::Answer& answer) { answers_.push_back(answer); });
  }

  FakeClock clock_;
  std::unique_ptr<loop::Loop> loop_ = loop::Loop::create(clock_).value();
  std::vector<event::Event> log_;
  std::vector<std::string> announced_;
  std::vector<egress::Answer> answers_;
  bool log_is_full_ = false;
  std::optional<ApprovalDesk> desk_;
};

TEST_F(ApprovalDeskTest, HoldsWhatIsAskedUntilItIsApproved) {
  const uint64_t event = ask("a.example:443").value();
  EXPECT_TRUE(answers_.empty());
  ASSERT_EQ(log_.size(), 1u);
  EXPECT_EQ(log_[0].decision, event::Decision::ask);
  EXPECT_EQ(announced_.at(0), "waiting for approval: send a request to a.example:443: stockade approve r1 1");
  EXPECT_TRUE(desk_->decide(event, true, "uid 0 pid 9", ""));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_TRUE(answers_[0].granted);
  ASSERT_EQ(log_.size(), 2u);
  EXPECT_EQ(log_[1].kind, "approval");
  EXPECT_EQ(log_[1].decision, event::Decision::allow);
  EXPECT_EQ(*log_[1].find_evidence("by"), "uid 0 pid 9");
  EXPECT_EQ(*log_[1].find_evidence("event"), "1");
  EXPECT_FALSE(desk_->decide(event, true, "uid 0 pid 9", "")) << "once";
}

TEST_F(ApprovalDeskTest, TellsWhatWasDeniedWithThePersonsReason) {
  const uint64_t event = ask("a.example:443").value();
  EXPECT_TRUE(desk_->decide(event, false, "uid 0 pid 9", "not today"));
  EXPECT_FALSE(answers_.at(0).granted);
  EXPECT_EQ(answers_[0].reason, "a person denied it: not today");
  EXPECT_EQ(log_.back().decision, event::Decision::deny);
}

TEST_F(ApprovalDeskTest, DecidesOneOfTwoByItself) {
  const uint64_t first = ask("a.example:443").value();
  const uint64_t second = ask("a.example:443").value();
  EXPECT_EQ(desk_->waiting(), 2u);
  EXPECT_TRUE(desk_->decide(second, true, "p", ""));
  EXPECT_EQ(answers_.size(), 1u);
  EXPECT_EQ(desk_->waiting(), 1u);
  const auto list = nlohmann::json::parse(desk_->list());
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0]["event"], first);
}

TEST_F(ApprovalDeskTest, DeniesAtTheDeadline) {
  ASSERT_TRUE(ask("a.example:443"));
  ASSERT_TRUE(loop_->run_once(Duration(0)));
  clock_.advance(std::chrono::seconds(29));
  ASSERT_TRUE(loop_->run_once(Duration(0)));
  EXPECT_TRUE(answers_.empty());
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(loop_->run_once(Duration(0)));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_FALSE(answers_[0].granted);
  EXPECT_THAT(answers_[0].reason, HasSubstr("within 30 s"));
  EXPECT_EQ(*log_.back().find_evidence("by"), "deadline");
}

TEST_F(ApprovalDeskTest, DeniesAllAtTheEndAndWhateverComesAfter) {
  ASSERT_TRUE(ask("a.example:443"));
  ASSERT_TRUE(ask("b.example:443"));
  desk_->close();
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_FALSE(answers_[0].granted || answers_[1].granted);
  ASSERT_TRUE(ask("c.example:443"));
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_FALSE(answers_[2].granted);
}

TEST_F(ApprovalDeskTest, AnswersEqualConnectionsTogetherAndTheNextOfTheMinuteAtOnce) {
  const uint64_t event = ask("a.example:443", egress::AskScope::destination).value();
  EXPECT_EQ(ask("a.example:443", egress::AskScope::destination).value(), event) << "joins";
  EXPECT_EQ(announced_.size(), 1u);
  EXPECT_TRUE(desk_->decide(event, true, "p", ""));
  EXPECT_EQ(answers_.size(), 2u);
  EXPECT_EQ(ask("a.example:443", egress::AskScope::destination).value(), 0u);
  ASSERT_EQ(answers_.size(), 3u);
  EXPECT_TRUE(answers_[2].granted);
  EXPECT_EQ(answers_[2].approval, 2u) << "says which approval let it pass";
  clock_.advance(std::chrono::seconds(60));
  EXPECT_NE(ask("a.example:443", egress::AskScope::destination).value(), 0u);
  EXPECT_EQ(answers_.size(), 3u);
}

TEST_F(ApprovalDeskTest, DeniesWhatComesWhenSixtyFourWait) {
  for (size_t i = 0; i < monitor::kWaiting; ++i) ASSERT_TRUE(ask("a.example:443"));
  EXPECT_TRUE(answers_.empty());
  EXPECT_EQ(ask("a.example:443").value(), 0u);
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_FALSE(answers_[0].granted);
  EXPECT_EQ(answers_[0].reason, "64 things wait for a person already");
}

TEST_F(ApprovalDeskTest, DeniesWhatCannotBeLogged) {
  const uint64_t event = ask("a.example:443").value();
  log_is_full_ = true;
  EXPECT_FALSE(desk_->decide(event, true, "p", ""));
  ASSERT_EQ(answers_.size(), 1u);
  EXPECT_FALSE(answers_[0].granted);
  EXPECT_FALSE(ask("b.example:443")) << "and nothing is asked that is not in the log";
}

}  // namespace
}  // namespace stockade::supervisor
