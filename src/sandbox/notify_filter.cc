#include "sandbox/notify_filter.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>

#include "base/confine.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

namespace stockade::sandbox {

Result<Fd> install_seccomp_filter_with_listener(const FilterChoice& choice) {
  if (!choice.notify_sockets) return fail(ErrorKind::internal, "a filter that never asks has no use for a listener");
  const int loaded = load_seccomp_filter(agent_filter(choice), SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (loaded < 0)
    return std::unexpected(Error::from_errno("load the seccomp filter with its listener", -loaded)
                               .hint("EBUSY: a filter around this process has a listener already, and Linux has one"));
  Fd listener(loaded);  // born O_CLOEXEC
  // Only faster; EINVAL before 6.6.
  ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
  return listener;
}

}  // namespace stockade::sandbox
