// The build's filter generator: seccomp_generate NAME OUTPUT LIST… writes a header with one constant filter for each
// architecture. Names become numbers by libseccomp's table. Before it writes, it compares the compiled filter with a
// naive reading of the lists on every call number and on thousands of argument combinations around each condition's
// edges; a difference fails the build.
#include <linux/audit.h>
#include <seccomp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

#include "sandbox/bpf_evaluator.h"
#include "sandbox/seccomp_generate.h"

using namespace stockade::sandbox;

namespace {

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "seccomp_generate: %s\n", why.c_str());
  std::exit(1);
}

int resolve(std::string_view name, Architecture architecture) {
  const std::string text(name);
  const uint32_t here = architecture == Architecture::x86_64 ? SCMP_ARCH_X86_64 : SCMP_ARCH_AARCH64;
  const int number = seccomp_syscall_resolve_name_arch(here, text.c_str());
  if (number == __NR_SCMP_ERROR) return kNoSuchCall;
  return number < 0 ? kOtherArchitecture : number;
}

// Values on both sides of every edge, also with the upper half set.
std::vector<uint64_t> interesting_values(const std::vector<SyscallRule>& rules) {
  std::vector<uint64_t> values{0, 1, ~uint64_t{0}, uint64_t{1} << 32, 0xffffffff};
  for (const SyscallRule& rule : rules) {
    for (const ArgumentTest& test : rule.tests) {
      for (const uint64_t value : test.values) {
        for (const uint64_t near : {value, value + 1, value - 1, value | (~uint64_t{test.mask} & 0xffffffff), ~value}) {
          values.push_back(near);
          values.push_back(near | 0xdeadbeef00000000);
        }
      }
    }
  }
  return values;
}

void verify(const std::vector<NumberedCall>& calls, uint32_t default_action, Architecture architecture,
            const std::vector<sock_filter>& filter) {
  std::mt19937_64 random(20240601);
  auto check = [&](uint32_t arch, uint32_t number, const std::array<uint64_t, 6>& args) {
    const uint32_t expected = expected_action(calls, default_action, architecture, arch, number, args);
    const uint32_t compiled = evaluate_filter(filter, {arch, number, args});
    if (expected != compiled)
      give_up("the compiled filter differs from its list at call " + std::to_string(number) + ": expected " +
              std::to_string(expected) + ", compiled " + std::to_string(compiled));
  };
  const uint32_t arch = audit_arch(architecture);
  for (const uint32_t number : {0xffffffffu, 0x40000000u, 0x40000001u, 0x80000000u, 0xfffffffeu, 0x3fffffffu})
    check(arch, number, {});
  for (uint32_t number = 0; number < 1100; ++number) {
    check(arch, number, {});
    check(AUDIT_ARCH_I386, number, {});
  }
  for (const NumberedCall& call : calls) {
    if (call.rules.size() == 1 && call.rules[0].tests.empty()) continue;
    const auto values = interesting_values(call.rules);
    for (int round = 0; round < 20000; ++round) {
      std::array<uint64_t, 6> args;
      for (uint64_t& argument : args) argument = round % 4 == 0 ? random() : values[random() % values.size()];
      check(arch, call.number, args);
    }
  }
}

void write_array(std::ofstream& out, const std::string& name, const std::vector<sock_filter>& filter) {
  out << "inline constexpr std::array<sock_filter, " << filter.size() << "> " << name << "{{\n";
  for (const sock_filter& insn : filter)
    out << "    {" << insn.code << ", " << int{insn.jt} << ", " << int{insn.jf} << ", " << insn.k << "u},\n";
  out << "}};\n\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) give_up("usage: seccomp_generate NAME OUTPUT LIST…");
  const std::string name = argv[1];
  RuleList list;
  for (int i = 3; i < argc; ++i) {
    std::ifstream file(argv[i]);
    if (!file) give_up(std::string("can't read ") + argv[i]);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const std::string path = argv[i];
    if (auto parsed = parse_rules(text, path.substr(path.rfind('/') + 1), list); !parsed) give_up(parsed.error());
  }
  std::ofstream out(argv[2]);
  out << "// Generated from src/sandbox/filters; do not edit.\n#pragma once\n\n#include <linux/filter.h>\n\n"
         "#include <array>\n\nnamespace stockade::filters {\n\n";
  for (const Architecture architecture : {Architecture::x86_64, Architecture::aarch64}) {
    const auto calls = number_rules(list, architecture, resolve);
    if (!calls) give_up(calls.error());
    const auto filter = compile_filter(*calls, list.default_action, architecture);
    if (!filter) give_up(name + ": " + filter.error());
    verify(*calls, list.default_action, architecture, *filter);
    write_array(out, "k" + name + (architecture == Architecture::x86_64 ? "X86_64" : "Aarch64"), *filter);
  }
  out << "#if defined(__x86_64__)\ninline constexpr const auto& k" << name << " = k" << name
      << "X86_64;\n#elif defined(__aarch64__)\ninline constexpr const auto& k" << name << " = k" << name
      << "Aarch64;\n#else\n#error \"no filters for this architecture\"\n#endif\n\n}  // namespace stockade::filters\n";
  out.close();
  if (!out) give_up(std::string("can't write ") + argv[2]);
}
