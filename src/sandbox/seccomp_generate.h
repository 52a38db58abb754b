// From a readable list of system calls to a seccomp filter, at build time: parse_rules() reads a list
// (src/sandbox/filters/*.syscalls describes the language), compile_filter() turns it into a binary search tree over
// system call numbers for one architecture, expected_action() interprets the same list naively, so that the generator
// can compare the two before it writes anything. Pure; needs nothing of ours and no library (the tool brings
// libseccomp's name table as `resolve`).
//
// Every filter starts with the architecture: another one, and on x86-64 the x32 range, kills the process.
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace stockade::sandbox {

// A test of one argument: its low 32 bits after `mask` (what the kernel reads of an int; the upper half is the caller's
// to choose, CVE-2019-10063), or all 64 where `wide`.
struct ArgumentTest {
  uint32_t index = 0;
  bool wide = false;
  bool negated = false;
  uint32_t mask = 0xffffffff;
  std::vector<uint64_t> values;  // equal to one of these
  bool operator==(const ArgumentTest&) const = default;
};

struct SyscallRule {
  uint32_t action = 0;              // SECCOMP_RET_*
  std::vector<ArgumentTest> tests;  // all must hold; none: always
  bool operator==(const SyscallRule&) const = default;
};

struct NamedRule {
  std::string name;
  int number = -1;  // given in the list, for calls that the name table does not know
  SyscallRule rule;
  std::string where;  // "agent.syscalls:12"
};

struct RuleList {
  uint32_t default_action = 0;
  std::vector<NamedRule> rules;  // for one call the first that matches decides
};

// Appends the rules of `text` to `into`; earlier files win. Errors say file and line.
std::expected<void, std::string> parse_rules(std::string_view text, std::string_view file, RuleList& into);

enum class Architecture { x86_64, aarch64 };
uint32_t audit_arch(Architecture architecture);

inline constexpr int kNoSuchCall = -1;         // no architecture has it: a spelling mistake
inline constexpr int kOtherArchitecture = -2;  // exists, but not here
using Resolver = std::function<int(std::string_view name, Architecture architecture)>;

// The list with numbers for one architecture, in ascending order.
struct NumberedCall {
  uint32_t number = 0;
  std::vector<SyscallRule> rules;
};
std::expected<std::vector<NumberedCall>, std::string> number_rules(const RuleList& list, Architecture architecture,
                                                                   const Resolver& resolve);

std::expected<std::vector<sock_filter>, std::string> compile_filter(const std::vector<NumberedCall>& calls,
                                                                    uint32_t default_action, Architecture architecture);

uint32_t expected_action(const std::vector<NumberedCall>& calls, uint32_t default_action, Architecture architecture,
                         uint32_t arch, uint32_t number, const std::array<uint64_t, 6>& args);

}  // namespace stockade::sandbox
