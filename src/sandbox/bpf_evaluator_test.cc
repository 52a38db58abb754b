#include "sandbox/bpf_evaluator.h"

#include <gtest/gtest.h>
#include <linux/audit.h>

#include <cstddef>
#include <vector>

namespace stockade::sandbox {
namespace {

constexpr SyscallEntry kEntry{AUDIT_ARCH_X86_64, 7, {1, 0x200000003, 3, 4, 5, 6}};

uint32_t run(const std::vector<sock_filter>& filter) { return evaluate_filter(filter, kEntry); }

TEST(BpfEvaluator, LoadsNumberArchitectureAndArgumentWords) {
  EXPECT_EQ(run({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
                 {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 7},
                 BPF_STMT(BPF_RET | BPF_K, 1),
                 BPF_STMT(BPF_RET | BPF_K, 2)}),
            1u);
  const uint32_t high = offsetof(seccomp_data, args) + 8 + 4;
  EXPECT_EQ(run({{BPF_LD | BPF_W | BPF_ABS, 0, 0, high},
                 {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 2},
                 BPF_STMT(BPF_RET | BPF_K, 1),
                 BPF_STMT(BPF_RET | BPF_K, 2)}),
            1u);
}

TEST(BpfEvaluator, KillsOnWhatTheKernelWouldRefuse) {
  EXPECT_EQ(run({}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(run({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 2}, BPF_STMT(BPF_RET | BPF_K, 1)}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(run({{BPF_LD | BPF_W | BPF_ABS, 0, 0, 64}, BPF_STMT(BPF_RET | BPF_K, 1)}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(run({{BPF_JMP | BPF_JA, 0, 0, 9}, BPF_STMT(BPF_RET | BPF_K, 1)}), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(run({{BPF_LD | BPF_W | BPF_IND, 0, 0, 0}, BPF_STMT(BPF_RET | BPF_K, 1)}), SECCOMP_RET_KILL_PROCESS);
}

}  // namespace
}  // namespace stockade::sandbox
