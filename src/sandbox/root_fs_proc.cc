// /proc: a new instance, so it shows only the sandbox's processes, with what tells about the machine or lets it be
// changed masked or read-only (hardening.md, 2.2). What this kernel doesn't have is left out.
#include "sandbox/root_fs_builder.h"

namespace stockade::sandbox {

namespace {

constexpr const char* kMasked[] = {"acpi",          "asound",      "kcore",       "keys",       "key-users",
                                   "latency_stats", "sched_debug", "scsi",        "timer_list", "timer_stats",
                                   "interrupts",    "kallsyms",    "kmsg",        "config.gz",  "modules",
                                   "pagetypeinfo",  "slabinfo",    "vmallocinfo", "pressure",   "sysrq-trigger"};
constexpr const char* kReadOnly[] = {"bus", "fs", "irq", "sys"};
constexpr const char* kBootId = "sys/kernel/random/boot_id";

}  // namespace

Result<void> RootBuilder::add_proc() {
  std::vector<FilesystemOption> options = {{"source", "proc"}};
  if (plan_.minimal_proc) options.push_back({"subset", "pid"});
  auto proc = make_filesystem("proc", options, {.read_only = false, .exec = false});
  if (!proc)
    return std::unexpected(std::move(proc)
                               .error()
                               .kind(ErrorKind::unavailable)
                               .hint("this /proc has mounts over it (a container?), and then a user namespace can't "
                                     "have its own: run as root, or with the "
                                     "flags that 'stockade doctor' names"));
  if (::mkdirat(root_.get(), "proc", 0555) < 0) return fail_errno("make /proc");
  STOCKADE_TRY(attach_mount(proc->get(), root_.get(), "proc"));
  STOCKADE_ASSIGN(out_.proc, open_at(proc->get(), ".", O_RDONLY | O_DIRECTORY));
  if (plan_.minimal_proc || launch_.weakening.mounts) return {};
  return mask_proc();
}

Result<void> RootBuilder::mask_proc() {
  for (const char* name : kReadOnly) {
    auto copy = clone_tree(out_.proc.get(), name, false);
    if (!copy && copy.error().error_number() == ENOENT) continue;
    if (!copy) return std::unexpected(std::move(copy).error());
    STOCKADE_TRY(set_mount_attributes(copy->get(), {.read_only = true, .exec = false, .recursive = false}));
    STOCKADE_TRY(attach_mount(copy->get(), out_.proc.get(), name));
  }
  for (const char* name : kMasked) {
    struct stat info{};
    if (::fstatat(out_.proc.get(), name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
      if (errno == ENOENT) continue;
      return fail_errno("look at /proc/{}", name);
    }
    STOCKADE_ASSIGN(const Fd mask, clone_tree(S_ISDIR(info.st_mode) ? empty_.get() : null_.get(), "", false));
    STOCKADE_TRY(attach_mount(mask.get(), out_.proc.get(), name));
  }
  STOCKADE_ASSIGN(const Fd mask, clone_tree(null_.get(), "", false));
  if (auto done = attach_mount(mask.get(), out_.proc.get(), kBootId); !done && done.error().error_number() != ENOENT)
    return std::unexpected(std::move(done).error().context("mask /proc/sys/kernel/random/boot_id"));
  return {};
}

}  // namespace stockade::sandbox
