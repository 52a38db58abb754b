#include "event/read.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "event/temp_state.h"

namespace stockade::event {
namespace {

class ReadLog : public testing::Test {
 protected:
  void SetUp() override { log_.emplace(AuditLog::start(state_.options("r1", clock_)).value()); }
  std::vector<std::string> lines(const Filter& filter) {
    std::vector<std::string> lines;
    EXPECT_TRUE(for_each_event(state_.run("r1"), filter, [&](const Event& event, std::string_view) {
      lines.push_back(event_line(event, Colour::none));
      return true;
    }));
    return lines;
  }
  Result<std::optional<Refusal>> why(std::optional<uint64_t> seq = {}) { return find_refusal(state_.run("r1"), seq); }

  TempState state_;
  FakeClock clock_;
  std::optional<AuditLog> log_;
};

TEST_F(ReadLog, FiltersByWallDecisionKindAndSubject) {
  ASSERT_TRUE(log_->record(allowed("api.example:443")));
  ASSERT_TRUE(log_->record(refusal("evil.example:443")));
  ASSERT_TRUE(log_->record(refusal("evil.example:443")));
  ASSERT_TRUE(log_->flush_folds());
  EXPECT_EQ(lines({}).size(), 4u);
  EXPECT_EQ(lines({.own_records = false}).size(), 3u);
  EXPECT_EQ(lines({.wall = Wall::data}).size(), 0u);
  EXPECT_EQ(lines({.decision = Decision::allow}).size(), 1u);
  EXPECT_EQ(lines({.kind = "connect"}).size(), 3u) << "a folded record is of the kind that it counts";
  EXPECT_EQ(lines({.subject_part = "evil"}).size(), 2u);
  EXPECT_EQ(lines({.from_seq = 4}).size(), 1u);
  EXPECT_EQ(lines({.refusals_only = true}),
            (std::vector<std::string>{
                "22:13:20.000  network  deny    connect evil.example:443  no rule of network.allow names it (3)",
                "22:13:20.000  network  deny    connect evil.example:443 (4, 1 more like 3)"}));
}

TEST_F(ReadLog, ShowsNoByteThatATerminalWouldObey) {
  Event event = refusal("\x1b]0;owned\x07\u202egpj.exe");
  event.reason = "line\r\nforged line";
  event.evidence = {{"\x1b[2J",
                     "\x9b"
                     "31m"}};
  ASSERT_TRUE(log_->record(event));
  for (const auto& text : {lines({.refusals_only = true})[0], why().value()->to_text(Colour::none)})
    for (const char c : text) EXPECT_TRUE((c >= 0x20 && c < 0x7f) || c == '\n') << text;
  EXPECT_NE(event_line(event, Colour::ansi).find("\x1b[31mdeny"), std::string::npos) << "colour only when asked";
}

TEST_F(ReadLog, ExplainsTheLastRefusal) {
  EXPECT_FALSE(why().value());
  ASSERT_TRUE(log_->record(refusal("evil.example:443")));
  ASSERT_TRUE(log_->record(allowed("api.example:443")));
  const std::string text = why().value()->to_text(Colour::none);
  EXPECT_EQ(text,
            "deny connect evil.example:443\n"
            "  reason:         no rule of network.allow names it\n"
            "  wall:           network\n"
            "  rule:           network.allow\n"
            "  where:          policy.yaml:12:5\n"
            "  seen:           once, first at 2023-11-14T22:13:20.000000Z\n"
            "  event:          2\n"
            "  to allow it:    add { host: evil.example:443 } to network.allow\n");
}

TEST_F(ReadLog, CountsInWhyWhatIsOnlyInTheTableOfFolds) {
  ASSERT_TRUE(log_->record(refusal("a:1")));
  ASSERT_TRUE(log_->record(refusal("b:1")));
  clock_.advance(std::chrono::seconds(1));
  ASSERT_TRUE(log_->record(refusal("a:1")));
  EXPECT_EQ(why().value()->event.subject, "a:1") << "the one that was refused last, though folded";
  EXPECT_EQ(why().value()->times, 2u);
  ASSERT_TRUE(log_->record(refusal("a:1")));
  ASSERT_TRUE(log_->finish("agent"));
  EXPECT_EQ(why(2).value()->times, 3u);
  EXPECT_EQ(nlohmann::json::parse(why(2).value()->to_json())["event"]["subject"], "a:1");
}

TEST_F(ReadLog, SaysWhenTheNamedEventIsNoRefusal) {
  ASSERT_TRUE(log_->record(allowed("api.example:443")));
  EXPECT_EQ(why(2).error().message(), "event 2 is no refusal: connect api.example:443, allow");
  EXPECT_EQ(why(99).error().message(), "the log has no event 99");
}

TEST_F(ReadLog, NamesTheLineThatItCannotRead) {
  log_.reset();
  TempState::write(state_.log("r1"), TempState::read(state_.log("r1")) + "rubbish\n");
  EXPECT_NE(why().error().message().find("line 2 of the audit log"), std::string::npos);
}

}  // namespace
}  // namespace stockade::event
