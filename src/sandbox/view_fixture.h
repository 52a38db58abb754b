// A directory that plays a host's root, for the tests of what the compiler makes of a host. Removed at the end.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "sandbox/compile.h"

namespace stockade::sandbox {

class FakeHost {
 public:
  FakeHost() {
    char name[] = "/tmp/stockade-view-XXXXXX";
    root_ = ::mkdtemp(name);
    ::chmod(root_.c_str(), 0755);
    for (const char* directory : {"/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share", "/usr/local/bin", "/etc", "/tmp",
                                  "/home/ada/work", "/root"}) {
      make_directory(directory);
    }
    for (const char* name : {"bin", "sbin", "lib"}) link("/" + std::string(name), "usr/" + std::string(name));
    program("/usr/bin/sh");
    program("/usr/bin/env");
    program("/usr/bin/true");
    file("/etc/passwd",
         "root:x:0:0:root:/root:/bin/bash\nada:x:1234:1234:Ada:/home/ada:/usr/bin/sh\neve:x:1235:1235::/home/eve:/bin/"
         "sh\n");
    file("/etc/group", "root:x:0:\nmen:x:1234:eve\n");
  }
  ~FakeHost() { std::filesystem::remove_all(root_); }
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;

  void make_directory(const std::string& path) const { std::filesystem::create_directories(root_ + path); }
  void file(const std::string& path, std::string_view bytes = "", mode_t mode = 0644) const {
    make_directory(parent_of(path));
    std::ofstream(root_ + path) << bytes;
    ::chmod((root_ + path).c_str(), mode);
  }
  void program(const std::string& path, std::string_view bytes =
                                            "\x7f"
                                            "ELF") const {
    file(path, bytes, 0755);
  }
  void link(const std::string& path, const std::string& target) const {
    make_directory(parent_of(path));
    std::filesystem::create_symlink(target, root_ + path);
  }
  void hard_link(const std::string& path, const std::string& to) const {
    std::filesystem::create_hard_link(root_ + to, root_ + path);
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(root_ + path); }
  const std::string& root() const { return root_; }

  HostTree tree() const { return std::move(*HostTree::open(root_)); }

  // Ada, in /home/ada/work. HOME is not hers on disk (the tests run as anybody), so the account's home counts.
  Surroundings surroundings(const std::string& path = "/usr/local/bin:/usr/bin:/bin",
                            const std::string& cwd = "/home/ada/work") const {
    Person person{.uid = 1234, .gid = 1234, .cwd = cwd, .environment = {}};
    person.environment["PATH"] = path;
    person.environment["SECRET_TOKEN"] = "s3cret";
    Surroundings found = std::move(*survey_host(tree(), std::move(person)));
    found.memory = 8ull << 30;
    found.cpus = 4;
    return found;
  }

 private:
  std::string root_;
};

inline const Mount* find_mount(const std::vector<Mount>& mounts, std::string_view target) {
  for (const Mount& mount : mounts) {
    if (mount.target == target) return &mount;
  }
  return nullptr;
}

}  // namespace stockade::sandbox
