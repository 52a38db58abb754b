#include "inspect/compiled_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <stdexcept>

#include "inspect/builtin/embedded.h"
#include "inspect/engine.h"
#include "inspect/injection_fold.h"
#include "inspect/injection_terms.h"

namespace stockade::inspect {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kYaml = "rules:\n- id: mine\n  title: Ours\n  pattern: '(ours-[0-9]{12})'\n";

ImageBuffer copy_of(Image image, size_t shift = 0) {
  ImageBuffer copy(image.size() + shift);
  std::ranges::copy(image, copy.data() + shift);
  return copy;
}

// Where the image of the database begins: with the name of the library that compiled it.
std::byte* library_in(ImageBuffer& image) {
  for (size_t at = 0; at < image.view().size(); at += kImageAlignment)
    if (PatternDatabase::from_image(image.view().subspan(at))) return image.data() + at;
  throw std::runtime_error("there is no database in the image");
}

std::vector<std::string> titles_found(std::shared_ptr<const CompiledRules> rules, std::string_view text) {
  auto engine = Engine::create({.rules = std::move(rules), .known = {}, .key = {}});
  auto scanner = Scanner::create(*engine);
  std::vector<std::string> titles;
  for (const Finding& finding : scanner->scan_value(Direction::out, "body", text)) titles.push_back(finding.title);
  return titles;
}

TEST(CompiledRules, OfTheProgramAreThoseThatItsRulesCompileTo) {
  const auto rules = builtin_rules();
  ASSERT_TRUE(rules) << rules.error().render();
  const auto compiled = CompiledRules::compile(*rules);
  ASSERT_TRUE(compiled) << compiled.error().render();
  EXPECT_TRUE(std::ranges::equal((*compiled)->image(), builtin_rule_image()));
}

TEST(CompiledRules, OfTheProgramAreUsedWhereTheyLie) {
  const auto rules = CompiledRules::builtin();
  ASSERT_TRUE(rules) << rules.error().render();
  EXPECT_EQ((*rules)->image().data(), builtin_rule_image().data());
}

TEST(CompiledRules, WorkFromACopyAtAnotherPlace) {
  const auto compiled = CompiledRules::compile(*parse_rules(kYaml, "mine.yaml"));
  ASSERT_TRUE(compiled);
  const ImageBuffer copy = copy_of((*compiled)->image());
  const auto moved = CompiledRules::from_image(copy.view());
  ASSERT_TRUE(moved) << moved.error().render();
  EXPECT_THAT(titles_found(*moved, "x ours-123456789012 y"), ::testing::ElementsAre("Ours"));
}

TEST(CompiledRules, AreCompiledAnewWhereAnotherVersionOfTheLibraryMadeTheImage) {
  const auto compiled = CompiledRules::compile(*parse_rules(kYaml, "mine.yaml"));
  ASSERT_TRUE(compiled);
  ImageBuffer other = copy_of((*compiled)->image());
  *library_in(other) = std::byte{'9'};
  const auto refused = CompiledRules::from_image(other.view());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().render(), HasSubstr("Vectorscan 9"));
  const auto opened = CompiledRules::open(other.view(), kYaml, "mine.yaml");
  ASSERT_TRUE(opened) << opened.error().render();
  EXPECT_NE((*opened)->image().data(), other.view().data());
  EXPECT_THAT(titles_found(*opened, "x ours-123456789012 y"), ::testing::ElementsAre("Ours"));
}

TEST(CompiledRules, RefuseAnImageThatIsCutOrDamagedOrNotAligned) {
  const auto compiled = CompiledRules::compile(*parse_rules(kYaml, "mine.yaml"));
  ASSERT_TRUE(compiled);
  const Image image = (*compiled)->image();
  EXPECT_FALSE(CompiledRules::from_image(image.first(image.size() - 1)));
  EXPECT_FALSE(CompiledRules::from_image(image.first(8)));
  const ImageBuffer shifted = copy_of(image, 8);
  EXPECT_FALSE(CompiledRules::from_image(shifted.view().subspan(8)));
  ImageBuffer damaged = copy_of(image);
  library_in(damaged)[kImageAlignment] ^= std::byte{1};  // the first byte of the database
  EXPECT_FALSE(CompiledRules::from_image(damaged.view()));
}

TEST(TermFinder, UsesTheTermsThatTheBuildCompiledIfTheyAreTheSame) {
  auto rules = parse_injection_rules(bundled_injection_rules());
  ASSERT_TRUE(rules);
  const auto same = TermFinder::create(*rules, Folder(), builtin_term_image());
  ASSERT_TRUE(same);
  EXPECT_EQ(same->image().data(), builtin_term_image().data());
  rules->terms.pop_back();
  const auto other = TermFinder::create(*rules, Folder(), builtin_term_image());
  ASSERT_TRUE(other);
  EXPECT_NE(other->image().data(), builtin_term_image().data());
}

}  // namespace
}  // namespace stockade::inspect
