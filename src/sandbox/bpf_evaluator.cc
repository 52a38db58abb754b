#include "sandbox/bpf_evaluator.h"

#include <cstddef>
#include <cstring>

namespace stockade::sandbox {

namespace {

struct Verdict {
  uint32_t action = SECCOMP_RET_KILL_PROCESS;
  uint32_t steps = 0;
};

bool load_word(const seccomp_data& data, uint32_t offset, uint32_t& accumulator) {
  if (offset % 4 != 0 || offset + 4 > sizeof(data)) return false;
  std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + offset, 4);
  return true;
}

Verdict run(std::span<const sock_filter> filter, const SyscallEntry& entry) {
  seccomp_data data{};
  data.nr = static_cast<int>(entry.number);
  data.arch = entry.arch;
  for (size_t i = 0; i < entry.args.size(); ++i) data.args[i] = entry.args[i];

  Verdict verdict;
  uint32_t accumulator = 0;
  size_t at = 0;
  while (at < filter.size()) {
    const sock_filter& insn = filter[at++];
    ++verdict.steps;
    bool taken = false;
    switch (insn.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        if (!load_word(data, insn.k, accumulator)) return verdict;
        continue;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= insn.k;
        continue;
      case BPF_JMP | BPF_JA:
        at += insn.k;
        continue;
      case BPF_JMP | BPF_JEQ | BPF_K:
        taken = accumulator == insn.k;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        taken = accumulator >= insn.k;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        taken = accumulator > insn.k;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        taken = (accumulator & insn.k) != 0;
        break;
      case BPF_RET | BPF_K:
        verdict.action = insn.k;
        return verdict;
      default:
        return verdict;
    }
    at += taken ? insn.jt : insn.jf;
  }
  return verdict;
}

}  // namespace

uint32_t evaluate_filter(std::span<const sock_filter> filter, const SyscallEntry& entry) {
  return run(filter, entry).action;
}

uint32_t count_steps(std::span<const sock_filter> filter, const SyscallEntry& entry) {
  return run(filter, entry).steps;
}

}  // namespace stockade::sandbox
