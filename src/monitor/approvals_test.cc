#include "monitor/approvals.h"

#include <gtest/gtest.h>

namespace stockade::monitor {
namespace {

event::Event asked(uint64_t seq, std::string subject = "api.example:443", std::string_view kind = "connect") {
  event::Event event;
  event.seq = seq;
  event.kind = kind;
  event.subject = std::move(subject);
  event.rule = "network.allow[0]: api.example";
  event.decision = event::Decision::ask;
  return event;
}

TEST(Approvals, GiveOutEachEntryOnce) {
  Approvals approvals(std::chrono::seconds(10));
  FakeClock clock;
  approvals.hold(asked(7), Standing::for_equals, clock.now());
  EXPECT_FALSE(approvals.take(8));
  EXPECT_EQ(approvals.take(7)->asked.seq, 7u);
  EXPECT_FALSE(approvals.take(7));
  EXPECT_FALSE(approvals.take_any());
}

TEST(Approvals, AreDueInTheirOrderAfterThePatience) {
  Approvals approvals(std::chrono::seconds(10));
  FakeClock clock;
  approvals.hold(asked(1, "a:1"), Standing::once, clock.now());
  clock.advance(std::chrono::seconds(4));
  approvals.hold(asked(2, "b:1"), Standing::once, clock.now());
  EXPECT_FALSE(approvals.take_due(clock.now()));
  clock.advance(std::chrono::seconds(6));
  EXPECT_EQ(approvals.take_due(clock.now())->asked.seq, 1u);
  EXPECT_FALSE(approvals.take_due(clock.now()));
  EXPECT_EQ(*approvals.next_deadline(), clock.now() + std::chrono::seconds(4));
  clock.advance(std::chrono::seconds(4));
  EXPECT_EQ(approvals.take_due(clock.now())->asked.seq, 2u);
  EXPECT_FALSE(approvals.next_deadline());
}

TEST(Approvals, LetEqualConnectionsJoinButNoRequest) {
  Approvals approvals(std::chrono::seconds(10));
  FakeClock clock;
  approvals.hold(asked(1), Standing::for_equals, clock.now());
  approvals.hold(asked(2, "api.example:443", "request"), Standing::once, clock.now());
  ASSERT_TRUE(approvals.join(asked(3)));
  EXPECT_EQ(approvals.entries().front().askers, 2u);
  EXPECT_FALSE(approvals.join(asked(4, "api.example:444"))) << "another port";
  EXPECT_FALSE(approvals.join(asked(5, "api.example:443", "request")));
  event::Event by_other_rule = asked(6);
  by_other_rule.rule = "network.allow[1]: *.example";
  EXPECT_FALSE(approvals.join(by_other_rule));
}

TEST(Approvals, StandForEqualConnectionsForAMinuteAndForNoRequest) {
  Approvals approvals(std::chrono::seconds(10));
  FakeClock clock;
  approvals.hold(asked(1), Standing::for_equals, clock.now());
  approvals.hold(asked(2, "mail.example:443", "request"), Standing::once, clock.now());
  EXPECT_FALSE(approvals.standing_for(asked(3), clock.now()));
  approvals.stands(*approvals.take(1), 9, clock.now());
  approvals.stands(*approvals.take(2), 10, clock.now());
  EXPECT_EQ(approvals.standing_for(asked(3), clock.now()), 9u);
  EXPECT_FALSE(approvals.standing_for(asked(3, "api.example:80"), clock.now()));
  EXPECT_FALSE(approvals.standing_for(asked(3, "mail.example:443", "request"), clock.now()));
  clock.advance(kStands - std::chrono::nanoseconds(1));
  EXPECT_TRUE(approvals.standing_for(asked(3), clock.now()));
  clock.advance(std::chrono::nanoseconds(1));
  EXPECT_FALSE(approvals.standing_for(asked(3), clock.now()));
}

TEST(Approvals, AreFullByAskersNotByEntries) {
  Approvals approvals(std::chrono::seconds(10));
  FakeClock clock;
  approvals.hold(asked(1), Standing::for_equals, clock.now());
  for (size_t i = 1; i < kWaiting; ++i) {
    EXPECT_FALSE(approvals.is_full());
    ASSERT_TRUE(approvals.join(asked(1 + i)));
  }
  EXPECT_TRUE(approvals.is_full());
  EXPECT_EQ(approvals.take_any()->askers, kWaiting);
  EXPECT_FALSE(approvals.is_full());
}

TEST(ActionWords, SayWhatIsAskedInOurWords) {
  EXPECT_EQ(action_words(asked(1)), "connect to api.example:443");
  event::Event request = asked(2, "api.example:443", "request");
  request.reason = "a secret in its body: AWS access key";
  request.evidence = {{"method", "POST"}, {"path", "/v1/x"}};
  EXPECT_EQ(action_words(request), "send POST /v1/x to api.example:443");
  request.evidence.emplace_back("pattern", "aws-key");
  EXPECT_EQ(action_words(request), "send POST /v1/x to api.example:443, with a secret in its body: AWS access key");
  event::Event session = asked(3, "db.example:5432", "session");
  session.reason = "a secret in its bytes: AWS access key";
  session.evidence = {{"protocol", "postgresql"}};
  EXPECT_EQ(action_words(session),
            "send postgresql bytes to db.example:5432, with a secret in its bytes: AWS access key");
}

}  // namespace
}  // namespace stockade::monitor
