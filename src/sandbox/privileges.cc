#include "sandbox/privileges.h"

#include <linux/securebits.h>
#include <sys/prctl.h>

#include "base/confine.h"

namespace stockade::sandbox {

Result<void> keep_capabilities_across_ids() {
  if (::prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) != 0)
    return fail_errno("keep capabilities across the change of ids");
  return {};
}

Result<void> drop_capabilities() { return stockade::drop_capabilities(0, BoundingSet::must_be_empty); }

Result<void> set_no_new_privileges() { return forbid_new_privileges(); }

}  // namespace stockade::sandbox
