#include "event/verify.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "event/temp_state.h"

namespace stockade::event {
namespace {

// A finished log of nine lines: start, 2 to 5 events, 6 a checkpoint, 7 and 8 events, 9 the end.
class VerifyLog : public testing::Test {
 protected:
  void SetUp() override {
    auto options = state_.options("r1", clock_);
    options.checkpoint_events = 5;
    auto log = AuditLog::start(std::move(options)).value();
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(log.record(allowed(fmt::format("host{}.example:443", i))));
    ASSERT_TRUE(log.finish("agent"));
    text_ = TempState::read(state_.log("r1"));
    std::istringstream stream(text_);
    for (std::string line; std::getline(stream, line);) lines_.push_back(line);
    ASSERT_EQ(lines_.size(), 9u);
  }
  Verification verify() { return verify_log(state_.user(), state_.run("r1")).value(); }
  Verification verify(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) text += line + "\n";
    TempState::write(state_.log("r1"), text);
    return verify();
  }
  static std::string reseal(std::string line, std::string_view from, std::string_view to) {
    line.replace(line.find(from), from.size(), to);
    Event event = decode_line(line).value();
    const std::string body = encode_body(event);
    event.hash = sha256(body);
    line = encode_line(body, event);
    line.pop_back();
    return line;
  }

  TempState state_;
  FakeClock clock_;
  std::string text_;
  std::vector<std::string> lines_;
};

TEST_F(VerifyLog, AcceptsWhatWasWritten) {
  const auto verdict = verify();
  EXPECT_EQ(verdict.integrity, Integrity::clean) << verdict.to_text();
  EXPECT_EQ(verdict.records, 9u);
  EXPECT_EQ(verdict.events, 6u);
}

TEST_F(VerifyLog, FindsAChangeOfAnySingleByte) {
  int changes = 0;
  for (size_t at = 0; at < text_.size(); at += 7) {
    std::string copy = text_;
    copy[at] = static_cast<char>(copy[at] ^ 1);
    TempState::write(state_.log("r1"), copy);
    const auto verdict = verify();
    EXPECT_FALSE(verdict.intact()) << "byte " << at << ": " << verdict.to_text();
    ++changes;
  }
  EXPECT_GT(changes, 300);
}

TEST_F(VerifyLog, NamesTheFirstLineThatWasChanged) {
  auto lines = lines_;
  lines[3].replace(lines[3].find("host2"), 5, "host9");
  const auto verdict = verify(lines);
  EXPECT_EQ(verdict.integrity, Integrity::broken);
  EXPECT_EQ(verdict.bad_line, 4u);
  EXPECT_NE(verdict.problem.find("changed"), std::string::npos);
}

TEST_F(VerifyLog, FindsRecordsRemovedAddedAndMoved) {
  for (size_t at = 0; at + 1 < lines_.size(); ++at) {
    auto removed = lines_;
    removed.erase(removed.begin() + static_cast<long>(at));
    EXPECT_EQ(verify(removed).bad_line, at + 1) << at;
    auto doubled = lines_;
    doubled.insert(doubled.begin() + static_cast<long>(at), lines_[at]);
    EXPECT_EQ(verify(doubled).bad_line, at + 2) << at;
    auto swapped = lines_;
    std::swap(swapped[at], swapped[at + 1]);
    EXPECT_EQ(verify(swapped).bad_line, at + 1) << at;
  }
}

TEST_F(VerifyLog, TellsATruncationEvenAtASignedCheckpoint) {
  auto lines = lines_;
  lines.resize(6);
  const auto verdict = verify(lines);
  EXPECT_EQ(verdict.signed_through, 6u);
  EXPECT_EQ(verdict.integrity, Integrity::truncated) << "the user's head knows the end";
  std::filesystem::remove(state_.user() + "/audit-head");
  EXPECT_EQ(verify(lines).integrity, Integrity::unclean);
}

TEST_F(VerifyLog, FindsAChainThatWasComputedAnewWithoutTheKey) {
  auto lines = lines_;
  Digest prev{};
  for (size_t i = 2; i < lines.size(); ++i) {
    Event event = decode_line(lines[i]).value();
    if (i == 2) event.subject = "innocent.example:443";
    if (i > 2) event.prev = prev;
    const std::string body = encode_body(event);
    prev = event.hash = sha256(body);
    lines[i] = encode_line(body, event);
    lines[i].pop_back();
  }
  const auto verdict = verify(lines);
  EXPECT_EQ(verdict.integrity, Integrity::broken);
  EXPECT_EQ(verdict.bad_line, 6u) << "the first signature after the change: " << verdict.to_text();
}

TEST_F(VerifyLog, RefusesASignatureOfAnotherRecordOrKey) {
  auto lines = lines_;
  // The end's text changed and its hash made right; only the signature gives it away.
  lines[8] = reseal(lines[8], "\"subject\":\"agent\"", "\"subject\":\"other\"");
  auto verdict = verify(lines);
  EXPECT_EQ(verdict.integrity, Integrity::broken);
  EXPECT_EQ(verdict.bad_line, 9u);
  EXPECT_NE(verdict.problem.find("signature"), std::string::npos);

  verdict = verify(lines_);
  ASSERT_EQ(verdict.integrity, Integrity::clean);
  std::filesystem::remove(state_.user() + "/audit-key.pem");
  std::filesystem::remove(state_.user() + "/audit-key.pub");
  auto next = AuditLog::start(state_.options("r2", clock_)).value();
  EXPECT_EQ(verify(lines_).integrity, Integrity::other_key);
}

TEST_F(VerifyLog, FindsEndsThatLaterRunsCarryAndThatAreGone) {
  auto next = AuditLog::start(state_.options("r2", clock_)).value();
  ASSERT_TRUE(next.finish("agent"));
  EXPECT_TRUE(verify_runs(state_.user())->problems.empty());
  auto lines = lines_;
  lines.resize(6);
  verify(lines);
  ASSERT_EQ(verify_runs(state_.user())->problems.size(), 1u);
  EXPECT_EQ(verify_runs(state_.user())->problems[0], "the log of r1 does not end as a later run says");
  std::filesystem::remove_all(state_.run("r1"));
  EXPECT_EQ(verify_runs(state_.user())->problems[0], "the log of r1 is gone; a later run names its end");
}

TEST_F(VerifyLog, CopesWithGarbageOfEachKind) {
  for (const std::string& garbage :
       {std::string(), std::string("\n\n"), std::string(1 << 20, 'x'), std::string("\0\0\0\n", 4),
        std::string(kLineLimit * 3, 'y') + "\n", text_ + "{", text_ + "\n", text_.substr(1)}) {
    TempState::write(state_.log("r1"), garbage);
    EXPECT_FALSE(verify().intact()) << garbage.substr(0, 40);
  }
}

TEST_F(VerifyLog, SpeaksJson) {
  const auto json = nlohmann::json::parse(verify().to_json());
  EXPECT_EQ(json["integrity"], "clean");
  EXPECT_EQ(json["intact"], true);
  EXPECT_EQ(json["ended_by"], "agent");
}

TEST_F(VerifyLog, SignaturesAreOnesThatAnyEd25519CanCheck) {
  const Event end = decode_line(lines_[8]).value();
  const Event start = decode_line(lines_[0]).value();
  PublicKey bytes;
  ASSERT_TRUE(from_hex(*start.find_evidence("key"), bytes.data(), bytes.size()));
  EXPECT_TRUE(verify_signature(bytes, signed_message(end.hash), *end.signature));
  EXPECT_FALSE(verify_signature(bytes, signed_message(end.prev), *end.signature));
}

}  // namespace
}  // namespace stockade::event
