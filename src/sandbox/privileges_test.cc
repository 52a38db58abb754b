#include "sandbox/privileges.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/pid.h"

namespace stockade::sandbox {
namespace {

constexpr uid_t kOrdinaryUser = 12345;

int in_child(const std::function<int()>& body) {
  auto child = fork_child(body);
  if (!child) return -1;
  const auto status = child->wait();
  return !status ? -1 : status->signalled ? 1000 + status->code : status->code;
}

// True when the five sets are empty and stay so.
bool nothing_is_left() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  for (const auto& word : data)
    if (word.effective != 0 || word.permitted != 0 || word.inheritable != 0) return false;
  for (int capability = 0; capability < 41; ++capability) {
    if (::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) return false;
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) == 1) return false;
  }
  return ::prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == -1;  // locked
}

bool may_have_namespaces() {
  return in_child([] { return ::unshare(CLONE_NEWUSER) == 0 ? 0 : 1; }) == 0;
}

TEST(Privileges, RootKeepsNoCapabilityInAnySet) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] { return drop_capabilities() && nothing_is_left() ? 0 : 1; }), 0);
}

TEST(Privileges, RootInAUserNamespaceKeepsNoneEither) {
  if (!may_have_namespaces()) GTEST_SKIP() << "needs user namespaces";
  EXPECT_EQ(in_child([] {
              if (::geteuid() == 0 && (::setresgid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0 ||
                                       ::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0))
                return 1;
              if (::unshare(CLONE_NEWUSER) != 0) return 2;
              return drop_capabilities() && nothing_is_left() ? 0 : 3;
            }),
            0);
}

TEST(Privileges, EmptiesTheBoundingSetAfterAChangeOfIds) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_child([] {
              if (!keep_capabilities_across_ids()) return 1;
              if (::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0) return 2;
              return drop_capabilities() && nothing_is_left() ? 0 : 3;
            }),
            0);
}

TEST(Privileges, FailsWhereTheBoundingSetCanNotBeEmptied) {
  EXPECT_EQ(in_child([] {
              if (::geteuid() == 0 && ::setresuid(kOrdinaryUser, kOrdinaryUser, kOrdinaryUser) != 0) return 1;
              return drop_capabilities() ? 2 : 0;
            }),
            0);
}

TEST(Privileges, NoNewPrivilegesHoldsForGood) {
  EXPECT_EQ(
      in_child([] {
        if (!set_no_new_privileges()) return 1;
        return ::prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == -1 && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : 2;
      }),
      0);
}

}  // namespace
}  // namespace stockade::sandbox
