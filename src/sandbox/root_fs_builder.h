// The parts of root_fs that share the half-built root; see root_fs.h for what it is. Lives in init, once.
#pragma once

#include "sandbox/mounts.h"
#include "sandbox/root_fs.h"

namespace stockade::sandbox {

class RootBuilder {
 public:
  RootBuilder(const Launch& launch, int terminals) : launch_(launch), plan_(*launch.plan), terminals_(terminals) {}
  Result<RootFs> build();

 private:
  // A place inside: its directory, open until the next place is looked for, and its last component.
  struct Place {
    int directory = -1;
    std::string name;
    bool ours = false;  // on our tmpfs, where names may be made
    uid_t uid = 0;
    gid_t gid = 0;
  };

  // root_fs.cc
  const char* building_site() const;
  Result<void> make_skeleton();
  Result<void> add(size_t index);
  Result<Place> place_of(const std::string& target);
  Result<void> make_directories(const std::string& relative);
  Result<void> make_mount_point(const Place& place, bool directory);
  Result<void> inherit_owner(const Place& place);
  bool is_in_scratch(const std::string& target) const;
  bool is_disk_scratch(int directory) const;
  Result<Fd> clone_source(const Source& source, const Mount& mount, bool read_only);
  Result<void> add_bind(const Mount& mount, const Source& source, bool read_only);
  Result<void> add_scratch(const Mount& mount, const Source& source);
  Result<void> add_content(const Mount& mount);
  Result<void> add_trust(const Mount& mount);
  Result<void> add_symlink(const Mount& mount);
  Result<void> add_directory(const Mount& mount);
  Result<void> mask_below(int mount, const std::string& relative);
  Result<void> hold_hidden_directories(int mount, const std::vector<std::string>& paths);
  Result<void> protect_below(int mount, const std::string& relative);
  Result<void> enter();

  // root_fs_overlay.cc
  Result<void> add_overlay(const Mount& mount, const Source& source);
  Result<void> add_submount_overlays(const Mount& mount, const Source& source);
  Result<Fd> make_overlay(const Mount& mount, int upper, int lower);
  Result<Fd> make_layer(const std::vector<std::string>& hidden, const std::vector<std::string>& added, int lower);
  Result<void> copy_attributes(int from, int to);
  Result<void> make_whiteout(int layer, int lower, const std::string& relative);

  // devices.cc
  Result<void> add_devices();
  Result<void> make_device_nodes(int dev);
  Result<void> bind_device_nodes(int dev);
  // root_fs_proc.cc
  Result<void> add_proc();
  Result<void> mask_proc();

  // The directory that was opened last: the plan's mounts are sorted, so most lie where the one before did. Nothing is
  // mounted on it meanwhile, for that would have come first.
  struct Parent {
    Fd directory;
    std::string path;
    bool ours = false;
    uid_t uid = 0;
    gid_t gid = 0;
  };
  Result<void> open_parent(const std::string& path);

  const Launch& launch_;
  const SandboxPlan& plan_;
  const int terminals_;  // the devpts for /dev/pts, detached
  RootFs out_;
  Fd store_;  // the tmpfs: root/, layers/, empty
  Fd root_;   // its root/, as a mount of its own
  Fd empty_;  // an empty read-only directory, to be cloned as a mask
  Fd null_;   // /dev/null inside, to be cloned as a mask
  Parent parent_;
  dev_t device_ = 0;
  size_t layers_ = 0;
  std::vector<uint64_t> disk_scratch_;  // ids of the mounts
};

}  // namespace stockade::sandbox
