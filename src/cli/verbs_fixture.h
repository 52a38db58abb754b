// For tests: a person with a home, a workspace and directories of their own, and what a verb printed. The process's
// environment and current directory are the person's while the object lives. A verb that waits runs in a child.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/pid.h"

namespace stockade::cli {

class TestPerson {
 public:
  TestPerson() : before_(std::filesystem::current_path()) {
    std::string pattern = (std::filesystem::temp_directory_path() / "stockade-verbs-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    for (const char* name : {"home", "state", "runtime", "config", "workspace"}) ::mkdir(in(name).c_str(), 0700);
    set("HOME", in("home"));
    set("XDG_STATE_HOME", in("state"));
    set("XDG_RUNTIME_DIR", in("runtime"));
    set("XDG_CONFIG_HOME", in("config"));
    std::filesystem::current_path(in("workspace"));
  }
  ~TestPerson() {
    for (const auto& [name, value] : variables_) {
      if (value)
        ::setenv(name.c_str(), value->c_str(), 1);
      else
        ::unsetenv(name.c_str());
    }
    std::error_code ignored;
    std::filesystem::current_path(before_, ignored);
    std::filesystem::remove_all(root_, ignored);
  }
  TestPerson(const TestPerson&) = delete;
  TestPerson& operator=(const TestPerson&) = delete;

  std::string in(const std::string& name) const { return root_ + "/" + name; }
  std::string write(const std::string& name, std::string_view text) const {
    auto file = open_at(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    EXPECT_TRUE(file && write_all(file->get(), text));
    return name;
  }

 private:
  void set(const char* name, const std::string& value) {
    const char* old = ::getenv(name);
    variables_[name] = old ? std::optional<std::string>(old) : std::nullopt;
    ::setenv(name, value.c_str(), 1);
  }

  std::filesystem::path before_;
  std::string root_;
  std::map<std::string, std::optional<std::string>> variables_;
};

struct Said {
  int status = -1;
  std::string out;
  std::string err;
};

inline Said said_by(const std::function<int()>& verb) {
  Said said;
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  said.status = verb();
  said.out = testing::internal::GetCapturedStdout();
  said.err = testing::internal::GetCapturedStderr();
  return said;
}

// The body as root and, where we are root, once more as an ordinary user; failures of either are failures here.
inline void as_both_users(const std::function<void()>& body) {
  for (const uid_t uid : {::getuid(), static_cast<uid_t>(12345)}) {
    if (::getuid() != 0 && uid != ::getuid()) continue;
    auto child = fork_child([&] {
      ::alarm(60);
      if (uid != ::getuid() && (::setgid(uid) < 0 || ::setuid(uid) < 0)) return 99;
      body();
      return testing::Test::HasFailure() ? 1 : 0;
    });
    ASSERT_TRUE(child);
    const auto ended = child->wait();
    ASSERT_TRUE(ended);
    EXPECT_FALSE(ended->signalled) << "signal " << ended->code;
    EXPECT_EQ(ended->code, 0) << "uid " << uid;
  }
}

}  // namespace stockade::cli
