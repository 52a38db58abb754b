#include "sandbox/seccomp_generate.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <span>

namespace stockade::sandbox {

namespace {

struct Constant {
  std::string_view name;
  uint64_t value;
};

// Names that the lists may use in conditions. The same on x86-64 and arm64, or they would not be here.
constexpr Constant kConstants[] = {
    {"AF_UNIX", AF_UNIX},
    {"AF_INET", AF_INET},
    {"AF_INET6", AF_INET6},
    {"AF_NETLINK", AF_NETLINK},
    {"SOCK_STREAM", SOCK_STREAM},
    {"SOCK_DGRAM", SOCK_DGRAM},
    {"SOCK_RAW", SOCK_RAW},
    {"SOCK_SEQPACKET", SOCK_SEQPACKET},
    {"SOCK_TYPE_MASK", 0xf},
    {"IPPROTO_IP", 0},
    {"IPPROTO_TCP", 6},
    {"IPPROTO_UDP", 17},
    {"IPPROTO_MPTCP", 262},
    {"NETLINK_ROUTE", 0},
    {"SOL_SOCKET", SOL_SOCKET},
    {"SO_ATTACH_FILTER", 26},
    {"SO_ATTACH_BPF", 50},
    {"SO_ATTACH_REUSEPORT_CBPF", 51},
    {"SO_ATTACH_REUSEPORT_EBPF", 52},
    {"TCP_REPAIR", 19},
    {"TCP_FASTOPEN_CONNECT", 30},
    {"TCP_ULP", 31},
    {"MSG_FASTOPEN", 0x20000000},
    {"O_CREAT", O_CREAT},
    {"O_TMPFILE_BIT", 020000000},
    {"O_PATH_BIT", 010000000},
    {"O_ACCMODE", O_ACCMODE},
    {"S_ISUID", S_ISUID},
    {"S_ISGID", S_ISGID},
    {"S_IFMT", S_IFMT},
    {"S_IFCHR", S_IFCHR},
    {"S_IFBLK", S_IFBLK},
    {"PROT_EXEC", PROT_EXEC},
    {"F_SETLEASE", 1024},
    {"PRIO_USER", 2},
    {"IOPRIO_WHO_USER", 3},
    // CLONE_NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET
    {"CLONE_NAMESPACES", 0x7e020000},
    {"SECCOMP_SET_MODE_FILTER", 1},
    {"SECCOMP_FILTER_FLAG_NEW_LISTENER", 8},
};

struct ErrnoName {
  std::string_view name;
  uint16_t number;
};
constexpr ErrnoName kErrnos[] = {
    {"EPERM", EPERM},
    {"ENOSYS", ENOSYS},
    {"EINVAL", EINVAL},
    {"EACCES", EACCES},
    {"ENOPROTOOPT", ENOPROTOOPT},
    {"EAFNOSUPPORT", EAFNOSUPPORT},
    {"EPROTONOSUPPORT", EPROTONOSUPPORT},
};

std::optional<uint32_t> parse_action(std::string_view word) {
  if (word == "allow") return SECCOMP_RET_ALLOW;
  if (word == "kill") return SECCOMP_RET_KILL_PROCESS;
  if (word == "notify") return SECCOMP_RET_USER_NOTIF;
  for (const ErrnoName& known : kErrnos)
    if (known.name == word) return SECCOMP_RET_ERRNO | known.number;
  return std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  size_t at = 0;
  while ((at = text.find_first_not_of(separators, at)) != text.npos) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end;
  }
  return parts;
}

std::optional<uint64_t> parse_number(std::string_view word) {
  int base = 10;
  if (word.starts_with("0x")) {
    base = 16;
    word.remove_prefix(2);
  } else if (word.size() > 1 && word[0] == '0') {
    base = 8;
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

// A number, a constant, or several of them joined by '|'.
std::optional<uint64_t> parse_value(std::string_view word) {
  uint64_t value = 0;
  const auto parts = split(word, "|");
  if (parts.empty()) return std::nullopt;
  for (std::string_view part : parts) {
    const auto* constant = std::find_if(std::begin(kConstants), std::end(kConstants),
                                        [&](const Constant& known) { return known.name == part; });
    if (constant != std::end(kConstants)) {
      value |= constant->value;
    } else if (auto number = parse_number(part)) {
      value |= *number;
    } else {
      return std::nullopt;
    }
  }
  return value;
}

// [wide] argN [& MASK] (== | != | in | not-in) VALUE[,VALUE…], starting at words[at]; leaves `at` behind it.
std::optional<ArgumentTest> parse_test(const std::vector<std::string_view>& words, size_t& at) {
  ArgumentTest test;
  auto word = [&]() -> std::string_view { return at < words.size() ? words[at++] : std::string_view(); };
  std::string_view name = word();
  if (name == "wide") {
    test.wide = true;
    name = word();
  }
  if (name.size() != 4 || !name.starts_with("arg") || name[3] < '0' || name[3] > '5') return std::nullopt;
  test.index = static_cast<uint32_t>(name[3] - '0');
  std::string_view comparison = word();
  if (comparison == "&") {
    const auto mask = parse_value(word());
    if (!mask || *mask > 0xffffffff || test.wide) return std::nullopt;
    test.mask = static_cast<uint32_t>(*mask);
    comparison = word();
  }
  const bool many = comparison == "in" || comparison == "not-in";
  if (!many && comparison != "==" && comparison != "!=") return std::nullopt;
  test.negated = comparison == "!=" || comparison == "not-in";
  for (std::string_view part : split(word(), ",")) {
    const auto value = parse_value(part);
    if (!value || (!test.wide && (*value & ~uint64_t{test.mask}) != 0)) return std::nullopt;
    test.values.push_back(*value);
  }
  if (test.values.empty() || (!many && test.values.size() != 1) || (test.wide && test.values.size() != 1))
    return std::nullopt;
  return test;
}

std::optional<std::vector<ArgumentTest>> parse_tests(const std::vector<std::string_view>& words, size_t at) {
  std::vector<ArgumentTest> tests;
  while (true) {
    auto test = parse_test(words, at);
    if (!test) return std::nullopt;
    tests.push_back(std::move(*test));
    if (at == words.size()) return tests;
    if (words[at++] != "and") return std::nullopt;
  }
}

}  // namespace

std::expected<void, std::string> parse_rules(std::string_view text, std::string_view file, RuleList& into) {
  std::set<std::string, std::less<>> closed;  // calls that already have an unconditional rule in this file
  size_t line_number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    const std::string where = std::string(file) + ":" + std::to_string(line_number);
    auto refuse = [&](const std::string& why) { return std::unexpected(where + ": " + why); };

    const size_t hash = line.find('#');
    const bool has_reason = hash != line.npos && line.find_first_not_of("# \t", hash) != line.npos;
    const auto words = split(line.substr(0, hash), " \t");
    if (words.empty()) continue;
    if (!has_reason) return refuse("a rule needs its reason behind a '#'");
    if (words[0] == "default") {
      const auto action = words.size() == 2 ? parse_action(words[1]) : std::nullopt;
      if (!action || into.default_action != 0) return refuse("expected one 'default ACTION'");
      into.default_action = *action;
      continue;
    }
    const auto action = parse_action(words[0]);
    if (!action) return refuse("unknown action '" + std::string(words[0]) + "'");
    const auto when = std::find(words.begin(), words.end(), "when");
    SyscallRule rule{*action, {}};
    if (when != words.end()) {
      auto tests = parse_tests(words, static_cast<size_t>(when - words.begin()) + 1);
      if (!tests) return refuse("can't read the condition (argN [& MASK] ==|!=|in|not-in VALUE[,VALUE] [and …])");
      rule.tests = std::move(*tests);
    }
    if (when == words.begin() + 1) return refuse("no system call named");
    for (auto name = words.begin() + 1; name != when; ++name) {
      NamedRule named{std::string(*name), -1, rule, where};
      if (const size_t equals = name->find('='); equals != name->npos) {
        const auto number = parse_number(name->substr(equals + 1));
        if (!number || *number > 1023) return refuse("bad number in '" + std::string(*name) + "'");
        named.name = std::string(name->substr(0, equals));
        named.number = static_cast<int>(*number);
      }
      if (closed.contains(named.name)) return refuse("'" + named.name + "' was decided above for every case");
      if (rule.tests.empty()) closed.insert(named.name);
      into.rules.push_back(std::move(named));
    }
  }
  return {};
}

uint32_t audit_arch(Architecture architecture) {
  return architecture == Architecture::x86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
}

std::expected<std::vector<NumberedCall>, std::string> number_rules(const RuleList& list, Architecture architecture,
                                                                   const Resolver& resolve) {
  std::map<uint32_t, std::vector<SyscallRule>> by_number;
  for (const NamedRule& named : list.rules) {
    const int number = named.number >= 0 ? named.number : resolve(named.name, architecture);
    if (number == kNoSuchCall) return std::unexpected(named.where + ": no system call is called '" + named.name + "'");
    if (number < 0) continue;
    auto& rules = by_number[static_cast<uint32_t>(number)];
    if (!rules.empty() && rules.back().tests.empty()) continue;  // an earlier file decided every case
    rules.push_back(named.rule);
  }
  std::vector<NumberedCall> calls;
  for (auto& [number, rules] : by_number) calls.push_back({number, std::move(rules)});
  return calls;
}

namespace {

constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kErrnoNoSyscall = SECCOMP_RET_ERRNO | ENOSYS;

// Instructions with forward jumps to labels, resolved at the end. A conditional jump reaches 255 instructions.
class Assembler {
 public:
  using Label = size_t;
  static constexpr Label kNext = static_cast<Label>(-1);

  Label new_label() {
    labels_.push_back(0);
    return labels_.size() - 1;
  }
  void bind(Label label) { labels_[label] = code_.size(); }
  void load(uint32_t offset) { emit(BPF_LD | BPF_W | BPF_ABS, offset); }
  void mask(uint32_t bits) { emit(BPF_ALU | BPF_AND | BPF_K, bits); }
  void answer(uint32_t action) { emit(BPF_RET | BPF_K, action); }
  void jump_if(uint16_t comparison, uint32_t value, Label yes, Label no) {
    emit(static_cast<uint16_t>(BPF_JMP | comparison | BPF_K), value, yes, no);
  }
  void append(const Assembler& other) {
    const size_t base = code_.size();
    const size_t first_label = labels_.size();
    for (const size_t target : other.labels_) labels_.push_back(base + target);
    auto moved = [&](Label label) { return label == kNext ? kNext : label + first_label; };
    for (const Pending& insn : other.code_) code_.push_back({insn.code, insn.k, moved(insn.yes), moved(insn.no)});
  }
  void jump_always(Label to) { emit(BPF_JMP | BPF_JA, 0, to, kNext); }
  size_t size() const { return code_.size(); }

  std::expected<std::vector<sock_filter>, std::string> resolve() const {
    std::vector<sock_filter> out;
    for (size_t at = 0; at < code_.size(); ++at) {
      const Pending& insn = code_[at];
      auto distance = [&](Label label) { return label == kNext ? 0 : labels_[label] - at - 1; };
      if (insn.code == (BPF_JMP | BPF_JA)) {
        out.push_back({insn.code, 0, 0, static_cast<uint32_t>(distance(insn.yes))});
        continue;
      }
      const size_t yes = distance(insn.yes);
      const size_t no = distance(insn.no);
      if (yes > 255 || no > 255) return std::unexpected("a condition is too long for one jump");
      out.push_back({insn.code, static_cast<uint8_t>(yes), static_cast<uint8_t>(no), insn.k});
    }
    if (out.size() > BPF_MAXINSNS) return std::unexpected("the filter is longer than the kernel takes");
    return out;
  }

 private:
  struct Pending {
    uint16_t code;
    uint32_t k;
    Label yes;
    Label no;
  };
  void emit(uint16_t code, uint32_t k, Label yes = kNext, Label no = kNext) { code_.push_back({code, k, yes, no}); }

  std::vector<Pending> code_;
  std::vector<size_t> labels_;
};

uint32_t low_word(uint32_t index) { return static_cast<uint32_t>(offsetof(seccomp_data, args)) + index * 8; }

// Falls through when the test holds, else jumps to `otherwise`.
void assemble_test(Assembler& out, const ArgumentTest& test, Assembler::Label otherwise) {
  const Assembler::Label holds = out.new_label();
  if (test.wide) {
    const uint32_t low = static_cast<uint32_t>(test.values[0]);
    const uint32_t high = static_cast<uint32_t>(test.values[0] >> 32);
    out.load(low_word(test.index));
    out.jump_if(BPF_JEQ, low, Assembler::kNext, test.negated ? holds : otherwise);
    out.load(low_word(test.index) + 4);
    out.jump_if(BPF_JEQ, high, test.negated ? otherwise : holds, test.negated ? holds : otherwise);
    out.bind(holds);
    return;
  }
  out.load(low_word(test.index));
  if (test.mask != 0xffffffff) out.mask(test.mask);
  for (size_t i = 0; i < test.values.size(); ++i) {
    const bool last = i + 1 == test.values.size();
    const Assembler::Label equal = test.negated ? otherwise : holds;
    const Assembler::Label unequal = !last ? Assembler::kNext : test.negated ? holds : otherwise;
    out.jump_if(BPF_JEQ, static_cast<uint32_t>(test.values[i]), equal, unequal);
  }
  out.bind(holds);
}

void assemble_rules(Assembler& out, const std::vector<SyscallRule>& rules, uint32_t default_action) {
  for (const SyscallRule& rule : rules) {
    const Assembler::Label next = out.new_label();
    for (const ArgumentTest& test : rule.tests) assemble_test(out, test, next);
    out.answer(rule.action);
    if (rule.tests.empty()) return;
    out.bind(next);
  }
  out.answer(default_action);
}

// A run of numbers that share their rules.
struct Range {
  uint32_t first;
  std::vector<SyscallRule> rules;
};

std::vector<Range> make_ranges(const std::vector<NumberedCall>& calls, uint32_t default_action) {
  const std::vector<SyscallRule> fallback{{default_action, {}}};
  std::vector<Range> ranges{{0, fallback}};
  uint32_t next = 0;
  auto add = [&](uint32_t number, const std::vector<SyscallRule>& rules) {
    if (ranges.back().rules == rules) return;
    if (ranges.back().first == number) {
      ranges.back().rules = rules;
      if (ranges.size() > 1 && ranges[ranges.size() - 2].rules == rules) ranges.pop_back();
    } else {
      ranges.push_back({number, rules});
    }
  };
  for (const NumberedCall& call : calls) {
    if (call.number > next) add(next, fallback);
    add(call.number, call.rules);
    next = call.number + 1;
  }
  add(next, fallback);
  return ranges;
}

void assemble_tree(Assembler& out, std::span<const Range> ranges, uint32_t default_action) {
  if (ranges.size() == 1) {
    assemble_rules(out, ranges[0].rules, default_action);
    return;
  }
  const size_t middle = ranges.size() / 2;
  Assembler below;
  assemble_tree(below, ranges.first(middle), default_action);
  const Assembler::Label above = out.new_label();
  if (below.size() <= 255) {
    out.jump_if(BPF_JGE, ranges[middle].first, above, Assembler::kNext);
  } else {
    const Assembler::Label stay = out.new_label();
    out.jump_if(BPF_JGE, ranges[middle].first, Assembler::kNext, stay);
    out.jump_always(above);
    out.bind(stay);
  }
  out.append(below);
  out.bind(above);
  assemble_tree(out, ranges.subspan(middle), default_action);
}

bool holds(const ArgumentTest& test, const std::array<uint64_t, 6>& args) {
  const uint64_t argument = test.wide ? args[test.index] : (args[test.index] & test.mask);
  const bool found = std::find(test.values.begin(), test.values.end(), argument) != test.values.end();
  return found != test.negated;
}

}  // namespace

std::expected<std::vector<sock_filter>, std::string> compile_filter(const std::vector<NumberedCall>& calls,
                                                                    uint32_t default_action,
                                                                    Architecture architecture) {
  if (default_action == 0) return std::unexpected("the list names no default");
  Assembler out;
  const Assembler::Label native = out.new_label();
  out.load(offsetof(seccomp_data, arch));
  out.jump_if(BPF_JEQ, audit_arch(architecture), native, Assembler::kNext);
  out.answer(SECCOMP_RET_KILL_PROCESS);
  out.bind(native);
  out.load(offsetof(seccomp_data, nr));
  if (architecture == Architecture::x86_64) {
    // -1 is what a tracer writes to skip a call: not x32, and never a call of the kernel's.
    const Assembler::Label plain = out.new_label();
    const Assembler::Label x32 = out.new_label();
    out.jump_if(BPF_JGE, kX32Bit, Assembler::kNext, plain);
    out.jump_if(BPF_JEQ, 0xffffffff, Assembler::kNext, x32);
    out.answer(kErrnoNoSyscall);
    out.bind(x32);
    out.answer(SECCOMP_RET_KILL_PROCESS);
    out.bind(plain);
  }
  const auto ranges = make_ranges(calls, default_action);
  assemble_tree(out, ranges, default_action);
  return out.resolve();
}

uint32_t expected_action(const std::vector<NumberedCall>& calls, uint32_t default_action, Architecture architecture,
                         uint32_t arch, uint32_t number, const std::array<uint64_t, 6>& args) {
  if (arch != audit_arch(architecture)) return SECCOMP_RET_KILL_PROCESS;
  if (architecture == Architecture::x86_64 && number == 0xffffffff) return kErrnoNoSyscall;
  if (architecture == Architecture::x86_64 && number >= kX32Bit) return SECCOMP_RET_KILL_PROCESS;
  for (const NumberedCall& call : calls) {
    if (call.number != number) continue;
    for (const SyscallRule& rule : call.rules)
      if (std::all_of(rule.tests.begin(), rule.tests.end(), [&](const ArgumentTest& t) { return holds(t, args); }))
        return rule.action;
  }
  return default_action;
}

}  // namespace stockade::sandbox
