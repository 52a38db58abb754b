#include "egress/exfil_watch.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace stockade::egress {
namespace {

using policy::InspectionLevel;
using ::testing::HasSubstr;

class Watch : public ::testing::Test {
 protected:
  Watch() {
    policy::NetworkRule one, wildcard;
    one.host = "a.example";
    wildcard.host = "*.b.example";
    network_.allow = {one, wildcard};
  }

  std::string random_text(size_t size) {
    static constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    std::string text;
    while (text.size() < size) text += kAlphabet[random_() % kAlphabet.size()];
    return text;
  }
  std::optional<ContentFinding> get(ExfilWatch& watch, const Destination& to, const std::string& target) {
    net::RequestHead head;
    head.method = "GET";
    head.target = target;
    head.path = target.substr(0, target.find('?'));
    if (target.find('?') != std::string::npos) head.query = target.substr(target.find('?') + 1);
    now_ += std::chrono::milliseconds(10);
    return watch.on_request(to, head, now_);
  }

  policy::Network network_;
  std::mt19937 random_{17};
  TimePoint now_{std::chrono::hours(1)};
  const Destination a_{0, "a.example", {}, 443};
};

TEST_F(Watch, TellsOfDataInQueriesOnceAWindow) {
  ExfilWatch watch(network_, 1);
  std::vector<ContentFinding> found;
  for (int i = 0; i < 400; ++i)
    if (auto finding = get(watch, a_, "/x?d=" + random_text(48))) found.push_back(std::move(*finding));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].reason, HasSubstr("a.example:443 looks like exfiltration"));
  EXPECT_FALSE(found[0].stops);
  EXPECT_THAT(found[0].evidence[1].second, HasSubstr("carried_values"));
  now_ += net::kExfilWindow;
  EXPECT_TRUE(get(watch, a_, "/x?d=" + random_text(48)));
}

TEST_F(Watch, SaysNothingOfOrdinaryRequests) {
  ExfilWatch watch(network_, 1);
  for (int i = 0; i < 400; ++i) {
    EXPECT_FALSE(get(watch, a_, fmt::format("/repos/one/issues/{}?page={}", i % 20, i % 7)));
    EXPECT_FALSE(watch.on_body(a_, 4000, now_));
    watch.on_answer(a_, 200, now_);
  }
}

TEST_F(Watch, RefusesWhileTheNumbersStandWherePolicySaysDeny) {
  network_.inspect.exfiltration = InspectionLevel::deny;
  ExfilWatch watch(network_, 1);
  for (int i = 0; i < 400; ++i) get(watch, a_, "/x?d=" + random_text(48));
  auto finding = get(watch, a_, "/");
  ASSERT_TRUE(finding);
  EXPECT_TRUE(finding->stops);
  now_ += 3 * net::kExfilWindow;
  EXPECT_FALSE(get(watch, a_, "/"));
}

TEST_F(Watch, CountsNewNamesUnderAWildcardTogether) {
  ExfilWatch watch(network_, 1);
  std::optional<ContentFinding> last;
  for (int i = 0; i < 400 && !last; ++i) {
    std::string label = random_text(30);
    std::ranges::replace(label, '_', 'x');
    last = get(watch, Destination{1, label + ".b.example", {}, 443}, "/");
  }
  ASSERT_TRUE(last);
  EXPECT_THAT(last->reason, HasSubstr("*.b.example"));
}

TEST_F(Watch, IsOffWherePolicySaysSo) {
  network_.inspect.exfiltration = InspectionLevel::off;
  ExfilWatch watch(network_, 1);
  for (int i = 0; i < 400; ++i) EXPECT_FALSE(get(watch, a_, "/x?d=" + random_text(48)));
}

}  // namespace
}  // namespace stockade::egress
