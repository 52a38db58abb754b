#include "sandbox/seccomp_generate.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include <cerrno>

#include "sandbox/bpf_evaluator.h"

namespace stockade::sandbox {
namespace {

constexpr uint32_t kEperm = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kEnosys = SECCOMP_RET_ERRNO | ENOSYS;

int resolve(std::string_view name, Architecture architecture) {
  if (name == "read") return 0;
  if (name == "write") return 1;
  if (name == "ioctl") return 16;
  if (name == "fork") return architecture == Architecture::x86_64 ? 57 : kOtherArchitecture;
  return kNoSuchCall;
}

std::vector<sock_filter> compile(std::string_view text, Architecture architecture = Architecture::x86_64) {
  RuleList list;
  const auto parsed = parse_rules(text, "test", list);
  EXPECT_TRUE(parsed) << parsed.error();
  const auto calls = number_rules(list, architecture, resolve);
  EXPECT_TRUE(calls) << calls.error();
  const auto filter = compile_filter(*calls, list.default_action, architecture);
  EXPECT_TRUE(filter) << filter.error();
  return *filter;
}

std::string parse_error(std::string_view text) {
  RuleList list;
  const auto parsed = parse_rules(text, "list", list);
  return parsed ? "none" : parsed.error();
}

uint32_t ask(const std::vector<sock_filter>& filter, uint32_t number, std::array<uint64_t, 6> args = {}) {
  return evaluate_filter(filter, {AUDIT_ARCH_X86_64, number, args});
}

TEST(SeccompGenerate, AnswersTheDefaultToACallThatNoRuleNames) {
  const auto filter = compile("default ENOSYS # d\nallow read # r\n");
  EXPECT_EQ(ask(filter, 0), SECCOMP_RET_ALLOW);
  EXPECT_EQ(ask(filter, 1), kEnosys);
  EXPECT_EQ(ask(filter, 900), kEnosys);
}

TEST(SeccompGenerate, KillsForeignArchitecturesAndX32) {
  const auto filter = compile("default allow # d\n");
  EXPECT_EQ(evaluate_filter(filter, {AUDIT_ARCH_I386, 0, {}}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(ask(filter, 0x40000000), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(ask(filter, 0x40000001), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(ask(filter, 0xffffffff), kEnosys) << "a tracer's way to skip a call";
}

TEST(SeccompGenerate, ComparesIntegersByTheirLowWordOnly) {
  const auto filter = compile("default ENOSYS # d\nEPERM ioctl when arg1 == 0x5412 # t\nallow ioctl # i\n");
  EXPECT_EQ(ask(filter, 16, {0, 0x5412}), kEperm);
  EXPECT_EQ(ask(filter, 16, {0, 0xffffffff00005412}), kEperm);
  EXPECT_EQ(ask(filter, 16, {0, 0x5413}), SECCOMP_RET_ALLOW);
}

TEST(SeccompGenerate, ComparesPointersByBothWords) {
  const auto filter = compile("default ENOSYS # d\nEPERM write when wide arg4 != 0 # p\nallow write # w\n");
  EXPECT_EQ(ask(filter, 1, {0, 0, 0, 0, 0}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(ask(filter, 1, {0, 0, 0, 0, 1}), kEperm);
  EXPECT_EQ(ask(filter, 1, {0, 0, 0, 0, uint64_t{1} << 32}), kEperm) << "a pointer whose low word is zero";
}

TEST(SeccompGenerate, TakesTheFirstRuleWhoseConditionsAllHold) {
  const auto filter = compile(
      "default ENOSYS # d\nEPERM ioctl when arg0 in 1,2 and arg1 & 0xf0 != 0 # a\nallow ioctl when arg0 not-in 3,4 # "
      "b\n");
  EXPECT_EQ(ask(filter, 16, {1, 0x10}), kEperm);
  EXPECT_EQ(ask(filter, 16, {2, 0x0f}), SECCOMP_RET_ALLOW);
  EXPECT_EQ(ask(filter, 16, {3, 0x10}), kEnosys);
}

TEST(SeccompGenerate, LetsAnEarlierFileWin) {
  RuleList list;
  ASSERT_TRUE(parse_rules("EPERM read # front\n", "front", list));
  ASSERT_TRUE(parse_rules("default ENOSYS # d\nallow read # back\n", "back", list));
  const auto calls = number_rules(list, Architecture::x86_64, resolve);
  ASSERT_TRUE(calls);
  EXPECT_EQ(ask(*compile_filter(*calls, list.default_action, Architecture::x86_64), 0), kEperm);
}

TEST(SeccompGenerate, LeavesOutWhatTheArchitectureLacks) {
  RuleList list;
  ASSERT_TRUE(parse_rules("default ENOSYS # d\nallow fork read # f\n", "list", list));
  EXPECT_EQ(number_rules(list, Architecture::x86_64, resolve)->size(), 2u);
  EXPECT_EQ(number_rules(list, Architecture::aarch64, resolve)->size(), 1u);
}

TEST(SeccompGenerate, TakesANumberForACallNewerThanTheTable) {
  EXPECT_EQ(ask(compile("default ENOSYS # d\nallow mseal=462 # m\n"), 462), SECCOMP_RET_ALLOW);
}

TEST(SeccompGenerate, CompilesMoreThanOneJumpReaches) {
  std::string text = "default ENOSYS # d\n";
  for (int number = 100; number < 900; number += 2)
    text += "allow x" + std::to_string(number) + "=" + std::to_string(number) + " # n\n";
  const auto filter = compile(text);
  for (uint32_t number = 0; number < 1000; ++number)
    EXPECT_EQ(ask(filter, number), number >= 100 && number < 900 && number % 2 == 0 ? SECCOMP_RET_ALLOW : kEnosys)
        << number;
}

TEST(SeccompGenerate, RefusesWhatItCanNotRead) {
  EXPECT_EQ(parse_error("allow read\n"), "list:1: a rule needs its reason behind a '#'");
  EXPECT_EQ(parse_error("# x\npermit read # r\n"), "list:2: unknown action 'permit'");
  EXPECT_EQ(parse_error("allow # r\n"), "list:1: no system call named");
  EXPECT_EQ(parse_error("allow read # r\nEPERM read # r\n"), "list:2: 'read' was decided above for every case");
  for (const char* condition :
       {"arg6 == 1", "arg0 = 1", "arg0 == NOPE", "arg0 & 1 == 2", "arg0", "arg0 == 1 or arg1 == 1", "arg0 == 1,2",
        "wide arg0 in 1,2", "arg0 == 0x1ffffffff", "arg0 == 1 and"})
    EXPECT_TRUE(
        parse_error(std::string("allow read when ") + condition + " # r\n").contains("can't read the condition"))
        << condition;
}

TEST(SeccompGenerate, RefusesANameThatNoArchitectureHas) {
  RuleList list;
  ASSERT_TRUE(parse_rules("default ENOSYS # d\nallow raed # r\n", "list", list));
  const auto calls = number_rules(list, Architecture::x86_64, resolve);
  ASSERT_FALSE(calls);
  EXPECT_EQ(calls.error(), "list:2: no system call is called 'raed'");
}

}  // namespace
}  // namespace stockade::sandbox
