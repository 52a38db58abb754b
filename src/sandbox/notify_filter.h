// The variant of the agent's filter that asks outside about every connect (hardening 45): the caller gets the listener,
// hands it to the observer over a unix socket (sendmsg is not asked about) and closes it before execve. Until somebody
// answers, a connect of the agent blocks; once the last copy of the listener is closed it fails with ENOSYS.
//
// What the observer must know: the address is in the agent's memory and may change after it was read, so never answer
// SECCOMP_USER_NOTIF_FLAG_CONTINUE; copy the address, decide, connect on a duplicate of the socket (pidfd_getfd) and
// answer with the result. The filter can't see the address's family: TCP connects arrive, too. sendto, sendmsg and
// sendmmsg aren't asked about: with this filter there are no unix datagram sockets, the only ones where they name a
// path.
#pragma once

#include "base/fd.h"
#include "sandbox/seccomp_filter.h"

namespace stockade::sandbox {

// The listener wakes its reader synchronously where the kernel can (6.6): 18 to 25 µs an answer instead of 93 to 121.
Result<Fd> install_seccomp_filter_with_listener(const FilterChoice& choice);

}  // namespace stockade::sandbox
