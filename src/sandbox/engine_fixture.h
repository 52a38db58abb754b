// For the engine's tests: plans that run a shell in a small root, as root and as an ordinary user. Each run happens in
// a forked child that first takes the user's ids, because the engine asks who it is.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <string>

#include "sandbox/sandbox.h"

namespace stockade::sandbox::testing {

struct Outcome {
  bool launched = false;
  std::string error;   // of launch() or release()
  std::string output;  // stdout and stderr of the agent
  bool signalled = false;
  int code = -1;
};

// Runs the plan to its end in a child with `uid`. `during` runs in that child after release.
using During = std::function<void(NativeSandbox&)>;
Outcome run_plan(const SandboxPlan& plan, uid_t uid, const During& during = nullptr);

// /usr and its links, /tmp, /home/agent; `sh -c script`.
SandboxPlan shell_plan(const std::string& script);

// A directory of its own in /tmp that belongs to `uid`; removed with everything in it.
class TempTree {
 public:
  explicit TempTree(uid_t uid);
  ~TempTree();
  const std::string& path() const { return path_; }
  // Makes parents as needed; everything belongs to the uid.
  std::string write(const std::string& relative, const std::string& content);
  std::string directory(const std::string& relative);

 private:
  std::string path_;
  uid_t uid_;
};

// Runs `body` in a forked child as `uid`; true when it returned true.
bool as_user(uid_t uid, const std::function<bool()>& body);

// What a run must not leave: mounts of this namespace, cgroups of ours, children of ours.
struct Litter {
  size_t mounts = 0, cgroups = 0, children = 0;
  bool operator==(const Litter&) const = default;
};
Litter count_litter();

inline constexpr uid_t kOrdinaryUser = 12345;

// One run of each test as root, one as an ordinary user; nothing may stay behind.
class EngineTest : public ::testing::TestWithParam<uid_t> {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 && GetParam() != ::geteuid()) GTEST_SKIP() << "needs root to become another user";
    before_ = count_litter();
  }
  void TearDown() override {
    if (IsSkipped()) return;
    EXPECT_EQ(before_, count_litter()) << "a run left something behind";
  }

 private:
  Litter before_;
};

inline std::string user_name(const ::testing::TestParamInfo<uid_t>& info) { return info.param == 0 ? "root" : "user"; }

}  // namespace stockade::sandbox::testing
