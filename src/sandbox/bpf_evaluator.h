// Runs a seccomp filter in user space, so that tests and the filter generator can ask what it answers without a kernel:
// (architecture, system call, arguments) in, SECCOMP_RET_* out. Covers exactly the instructions that seccomp accepts
// and our compiler emits (LD|W|ABS, ALU AND, JA, JEQ, JGE, JGT, JSET, RET K); whatever else it meets is a kill, as is a
// jump or load out of bounds. Facts: Linux Documentation/networking/filter.rst, kernel/seccomp.c
// seccomp_check_filter().
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <array>
#include <cstdint>
#include <span>

namespace stockade::sandbox {

struct SyscallEntry {
  uint32_t arch = 0;  // AUDIT_ARCH_*
  uint32_t number = 0;
  std::array<uint64_t, 6> args{};
};

// The filter's verdict; the low 16 bits are the errno of SECCOMP_RET_ERRNO.
uint32_t evaluate_filter(std::span<const sock_filter> filter, const SyscallEntry& entry);

// How many instructions that took (a measure for benchmarks).
uint32_t count_steps(std::span<const sock_filter> filter, const SyscallEntry& entry);

}  // namespace stockade::sandbox
