#include "net/exfil_statistics.h"

#include <gtest/gtest.h>

#include <random>

namespace stockade::net {
namespace {

using namespace std::chrono_literals;

std::string random_text(
    std::mt19937& random, size_t size,
    std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
  std::string out;
  while (out.size() < size) out.push_back(alphabet[random() % alphabet.size()]);
  return out;
}

bool has(const ExfilScore& score, ExfilSign sign) {
  for (const auto& reason : score.reasons)
    if (reason.sign == sign) return true;
  return false;
}

class ExfilTest : public testing::Test {
 protected:
  ExfilScore get(std::string_view path, std::optional<std::string_view> query = {}, uint64_t bytes = 500) {
    return statistics_.add_request({"a.example", path, query, bytes}, clock_.now());
  }

  FakeClock clock_;
  ExfilStatistics statistics_{42};
  std::mt19937 random_{7};
};

TEST_F(ExfilTest, LeavesOrdinaryWorkAlone) {
  // A package manager: many paths of words, some hashes, answers that exist, uneven times.
  double worst = 0;
  const std::string_view words[] = {"left-pad", "react",   "typescript", "eslint-plugin-import",
                                    "lodash",   "express", "chalk"};
  for (int i = 0; i < 600; ++i) {
    const std::string name(words[random_() % std::size(words)]);
    const std::string version = std::to_string(random_() % 20) + "." + std::to_string(random_() % 9) + ".0";
    worst = std::max(worst, get("/" + name + "/-/" + name + "-" + version + ".tgz").score);
    statistics_.add_answer("a.example", i % 50 == 0 ? 404 : 200, clock_.now());
    clock_.advance(std::chrono::milliseconds(20 + random_() % 2000));
  }
  EXPECT_LT(worst, 0.2);
}

TEST_F(ExfilTest, LeavesAModelConversationAlone) {
  double worst = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    worst = std::max(worst, get("/v1/messages", "beta=true", 20'000 + i * 3'000).score);
    clock_.advance(std::chrono::milliseconds(3000 + random_() % 9000));
  }
  EXPECT_LT(worst, 0.4);
}

TEST_F(ExfilTest, SeesAFileThatLeavesInQueryValues) {
  ExfilScore score;
  for (int i = 0; i < 60; ++i) {
    score = get("/pixel.gif", "d=" + random_text(random_, 180) + "&n=" + std::to_string(i));
    clock_.advance(1s);
  }
  EXPECT_GT(score.score, 0.8);
  EXPECT_TRUE(has(score, ExfilSign::carried_values));
  EXPECT_TRUE(has(score, ExfilSign::chunks));
  EXPECT_TRUE(has(score, ExfilSign::rhythm));
}

TEST_F(ExfilTest, SeesPathsThatDoNotExist) {
  ExfilScore score;
  for (int i = 0; i < 60; ++i) {
    get("/" + random_text(random_, 10 + random_() % 20, "abcdefghijklmnop") + "/x");
    statistics_.add_answer("a.example", 404, clock_.now());
    clock_.advance(std::chrono::milliseconds(random_() % 1500));
  }
  score = statistics_.score("a.example", clock_.now());
  EXPECT_TRUE(has(score, ExfilSign::not_found));
  EXPECT_GT(score.score, 0.5);
}

TEST_F(ExfilTest, SeesOneVeryLongQuery) {
  EXPECT_TRUE(has(get("/x", "q=" + random_text(random_, 4000)), ExfilSign::long_query));
  std::string many;
  for (int i = 0; i < 200; ++i) many += "a" + std::to_string(i) + "=b&";
  EXPECT_TRUE(has(get("/x", many), ExfilSign::long_query));
}

TEST_F(ExfilTest, SeesVolumeAgainstWhatIsUsual) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(has(get("/v1", {}, 100'000), ExfilSign::volume));
    clock_.advance(30s);
  }
  EXPECT_TRUE(has(get("/v1", {}, 40'000'000), ExfilSign::volume));
}

TEST_F(ExfilTest, ForgetsAfterTwoWindows) {
  for (int i = 0; i < 60; ++i) get("/x", "d=" + random_text(random_, 180));
  EXPECT_GT(statistics_.score("a.example", clock_.now()).score, 0.8);
  clock_.advance(59s);
  EXPECT_GT(statistics_.score("a.example", clock_.now()).score, 0.8);
  clock_.advance(121s);
  EXPECT_LT(statistics_.score("a.example", clock_.now()).score, 0.01);
}

TEST_F(ExfilTest, CountsAValueThatComesAgainOnce) {
  const std::string value = random_text(random_, 180);
  ExfilScore score;
  for (int i = 0; i < 200; ++i) score = get("/x", "token=" + value);
  EXPECT_FALSE(has(score, ExfilSign::carried_values));
  EXPECT_FALSE(has(score, ExfilSign::novel_values));
}

TEST_F(ExfilTest, BoundsHostsAndWork) {
  for (size_t i = 0; i < 2 * kExfilHostLimit; ++i) {
    statistics_.add_request({std::to_string(i) + ".example", "/", {}, 1}, clock_.now());
    clock_.advance(1ms);
  }
  EXPECT_EQ(statistics_.hosts(), kExfilHostLimit);
  // The last ones are there still.
  EXPECT_TRUE(statistics_.score("0.example", clock_.now()).reasons.empty());
  std::string path, query;
  while (path.size() < 64 * 1024) path += "/aaaaaaaa", query += "&b=cccccccc";
  (void)get(path, query);
  for (int i = 0; i < 10'000; ++i) (void)get("/" + random_text(random_, 12));
}

TEST(InformationBits, TellsRandomFromWords) {
  std::mt19937 random(1);
  const auto per_byte = [](std::string_view text) { return information_bits(text) / static_cast<double>(text.size()); };
  EXPECT_GT(per_byte(random_text(random, 200)), 4.5);
  EXPECT_GT(per_byte(random_text(random, 2000)), 5.0);
  EXPECT_LT(per_byte(std::string(200, 'a')), 0.1);
  EXPECT_LT(per_byte("the-quick-brown-fox-and-the-quick-brown-dog-and-the-quick-brown-cat"), 2.5);
  EXPECT_LT(per_byte("abababababababababababababababab"), 0.3);
  EXPECT_EQ(information_bits(""), 0);
}

}  // namespace
}  // namespace stockade::net
