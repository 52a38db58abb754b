#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "monitor/limits.h"

namespace stockade::monitor {
namespace {

event::Event make(std::string_view kind, event::Decision decision) {
  event::Event event;
  event.kind = kind;
  event.decision = decision;
  return event;
}

TEST(LimitMonitor, LetsExactlyTheLimitPassAndSpeaksOnce) {
  policy::Limits limits;
  limits.requests = 3;
  LimitMonitor monitor(limits, "policy.yaml:9:1");
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(monitor.add(Counter::requests));
  const auto verdict = monitor.add(Counter::requests);
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->ended_by.to_string(), "limit:requests");
  EXPECT_EQ(verdict->sentence, "the limit of 3 requests was passed");
  EXPECT_FALSE(monitor.add(Counter::requests));
  EXPECT_EQ(monitor.verdict()->used, 4u);
  const auto event = verdict->to_event();
  EXPECT_EQ(event.decision, event::Decision::kill);
  EXPECT_EQ(event.where, "policy.yaml:9:1");
  EXPECT_EQ(event.rule, "limits.requests");
}

TEST(LimitMonitor, HoldsEachCounterByItself) {
  for (const auto counter :
       {Counter::connections, Counter::requests, Counter::names, Counter::bytes_out, Counter::denials}) {
    policy::Limits limits;
    auto* limit = counter == Counter::connections ? &limits.connections
                  : counter == Counter::requests  ? &limits.requests
                  : counter == Counter::names     ? &limits.names
                  : counter == Counter::bytes_out ? &limits.bytes_out
                                                  : &limits.denials;
    *limit = 0;
    LimitMonitor monitor(limits, "");
    for (const auto other :
         {Counter::connections, Counter::requests, Counter::names, Counter::bytes_out, Counter::denials})
      EXPECT_EQ(monitor.add(other, 5).has_value(), other == counter);
    EXPECT_EQ(monitor.verdict()->ended_by.name, to_string(counter));
  }
}

TEST(LimitMonitor, TakesTotalsThatNeverGoBackAndSumsThatDoNotWrap) {
  policy::Limits limits;
  limits.bytes_out = 1000;
  LimitMonitor monitor(limits, "");
  EXPECT_FALSE(monitor.set_total(Counter::bytes_out, 900));
  EXPECT_FALSE(monitor.set_total(Counter::bytes_out, 100));
  EXPECT_EQ(monitor.used(Counter::bytes_out), 900u);
  EXPECT_TRUE(monitor.add(Counter::bytes_out, UINT64_MAX));
  EXPECT_EQ(monitor.used(Counter::bytes_out), UINT64_MAX);
}

TEST(LimitMonitor, CountsDifferentRefusalsOnly) {
  policy::Limits limits;
  limits.denials = 1;
  LimitMonitor monitor(limits, "");
  const auto deny = make("connect", event::Decision::deny);
  EXPECT_FALSE(monitor.feed(deny, false));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(monitor.feed(deny, true));
  EXPECT_TRUE(monitor.feed(deny, false));
  EXPECT_EQ(monitor.used(Counter::connections), 0u) << "what was refused used nothing";
}

TEST(LimitMonitor, CountsWhatWasLetThroughByItsKind) {
  LimitMonitor monitor({}, "");
  for (const auto decision : {event::Decision::allow, event::Decision::log, event::Decision::ask})
    for (const auto kind : {"connect", "request", "name", "exec"})
      EXPECT_FALSE(monitor.feed(make(kind, decision), false));
  EXPECT_EQ(monitor.used(Counter::connections), 2u);
  EXPECT_EQ(monitor.used(Counter::requests), 2u);
  EXPECT_EQ(monitor.used(Counter::names), 2u);
}

TEST(LimitMonitor, EndsTheRunAtItsTime) {
  policy::Limits limits;
  limits.time = std::chrono::milliseconds(1500);
  LimitMonitor monitor(limits, "");
  FakeClock clock;
  EXPECT_FALSE(monitor.check_time(clock.now())) << "not started";
  EXPECT_FALSE(monitor.deadline());
  monitor.start(clock.now());
  EXPECT_EQ(*monitor.deadline(), clock.now() + std::chrono::milliseconds(1500));
  clock.advance(std::chrono::milliseconds(1499));
  EXPECT_FALSE(monitor.check_time(clock.now()));
  clock.advance(std::chrono::milliseconds(1));
  const auto verdict = monitor.check_time(clock.now());
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->ended_by.to_string(), "limit:time");
  EXPECT_EQ(verdict->sentence, "the time limit of 1.5 s was reached");
  EXPECT_FALSE(monitor.check_time(clock.now()));
}

TEST(LimitMonitor, DoesNotWrapATimeOfAges) {
  policy::Limits limits;
  limits.time = std::chrono::milliseconds::max();
  LimitMonitor monitor(limits, "");
  FakeClock clock;
  monitor.start(clock.now());
  EXPECT_FALSE(monitor.check_time(clock.now() + std::chrono::hours(1)));
}

TEST(LimitMonitor, SpeaksJson) {
  policy::Limits limits;
  limits.names = 5;
  limits.time = std::chrono::seconds(300);
  LimitMonitor monitor(limits, "");
  monitor.add(Counter::names);
  const auto json = nlohmann::json::parse(monitor.to_json());
  EXPECT_EQ(json["names"]["used"], 1);
  EXPECT_EQ(json["names"]["limit"], 5);
  EXPECT_EQ(json["time"]["limit_ms"], 300000);
  EXPECT_FALSE(json["requests"].contains("limit"));
}

TEST(EndedBy, HasOneSpelling) {
  for (const char* text : {"agent", "signal", "limit:time", "rule:too many mails", "kill", "error:dialer"})
    EXPECT_EQ(EndedBy::parse(text)->to_string(), text);
  for (const char* text : {"", "Agent", "limit", "limit:", "kill:now", "agent:", "other"})
    EXPECT_FALSE(EndedBy::parse(text)) << text;
}

TEST(EndedBy, DecidesTheExitStatus) {
  const ExitStatus three{false, 3};
  const ExitStatus killed{true, 9};
  EXPECT_EQ(exit_status({EndCause::agent, ""}, three), 3);
  EXPECT_EQ(exit_status({EndCause::signal, ""}, killed), 137);
  EXPECT_EQ(exit_status({EndCause::signal, ""}, {true, 15}), 143);
  EXPECT_EQ(exit_status({EndCause::limit, "time"}, killed), 124);
  EXPECT_EQ(exit_status({EndCause::limit, "requests"}, killed), 137);
  EXPECT_EQ(exit_status({EndCause::kill, ""}, three), 137);
  EXPECT_EQ(exit_status({EndCause::error, "dialer"}, three), 137);
}

}  // namespace
}  // namespace stockade::monitor
