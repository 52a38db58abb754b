#include "sandbox/disk_meter.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

namespace stockade::sandbox {

namespace {

constexpr int kSlice = 500;          // names a call: about a millisecond
constexpr size_t kDepthLimit = 256;  // deeper than any honest tree; each level holds a descriptor
constexpr uint64_t kBlock = 512;     // of st_blocks

bool is_dots(std::string_view name) { return name == "." || name == ".."; }

}  // namespace

DiskMeter::DiskMeter(std::string path, Limits limits)
    : path_(std::move(path)), limits_(limits), free_at_start_(free()) {
  begin();
}

DiskMeter::Limits DiskMeter::free() const {
  struct statvfs info{};
  if (::statvfs(path_.c_str(), &info) != 0) return {0, 0};
  return {static_cast<uint64_t>(info.f_bfree) * info.f_frsize, info.f_ffree};
}

void DiskMeter::begin() {
  open_.clear();
  bytes_ = entries_ = 0;
  blind_ = false;
  auto top = open_at(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  struct stat info{};
  if (!top || ::fstat(top->get(), &info) != 0) return;
  device_ = info.st_dev;
  if (DIR* stream = ::fdopendir(top->get())) {
    top->release();
    open_.emplace_back(stream);
  }
}

bool DiskMeter::enter(int directory, const char* name) {
  auto child = open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!child) return child.error().error_number() == ENOENT;
  DIR* stream = ::fdopendir(child->get());
  if (!stream) return false;
  child->release();
  open_.emplace_back(stream);
  return true;
}

void DiskMeter::visit(int directory, const char* name) {
  struct stat info{};
  if (::fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) != 0) {
    blind_ |= errno != ENOENT;
    return;
  }
  if (info.st_dev != device_) return;
  ++entries_;
  const uint64_t links = S_ISDIR(info.st_mode) ? 1 : std::max<uint64_t>(info.st_nlink, 1);
  bytes_ += static_cast<uint64_t>(info.st_blocks) * kBlock / links;
  if (S_ISDIR(info.st_mode) && (open_.size() >= kDepthLimit || !enter(directory, name))) blind_ = true;
}

const char* DiskMeter::exceeded(int proc) {
  for (int i = 0; i < kSlice && !open_.empty(); ++i) {
    DIR* current = open_.back().get();
    const dirent* entry = ::readdir(current);
    if (!entry) {
      open_.pop_back();
      continue;
    }
    if (!is_dots(entry->d_name)) visit(::dirfd(current), entry->d_name);
    if (bytes_ > limits_.bytes) return "disk";
    if (entries_ > limits_.entries) return "inodes";
  }
  if (!open_.empty()) return nullptr;
  const bool blind = blind_;
  begin();
  const auto fell_beyond = [](uint64_t before, uint64_t now, uint64_t limit) {
    return before > now && before - now > limit;
  };
  const Limits now = free();
  const char* limit = fell_beyond(free_at_start_.bytes, now.bytes, limits_.bytes)         ? "disk"
                      : fell_beyond(free_at_start_.entries, now.entries, limits_.entries) ? "inodes"
                                                                                          : nullptr;
  return limit && (blind || has_unlinked_open_files(proc)) ? limit : nullptr;
}

// Also true when a process's descriptors can't be looked at: it made itself undumpable.
bool DiskMeter::has_unlinked_open_files(int proc) const {
  auto top = open_at(proc, ".", O_RDONLY | O_DIRECTORY);
  if (!top) return false;
  const Directory processes(::fdopendir(top->get()));
  if (!processes) return false;
  top->release();
  while (const dirent* process = ::readdir(processes.get())) {
    const std::string pid = process->d_name;
    if (!std::isdigit(static_cast<unsigned char>(pid[0])) || pid == "1") continue;
    auto fds = open_at(::dirfd(processes.get()), pid + "/fd", O_RDONLY | O_DIRECTORY);
    if (!fds) {
      if (fds.error().error_number() == EACCES) return true;
      continue;
    }
    const Directory list(::fdopendir(fds->get()));
    if (!list) continue;
    fds->release();
    while (const dirent* fd = ::readdir(list.get())) {
      struct stat info{};
      if (!is_dots(fd->d_name) && ::fstatat(::dirfd(list.get()), fd->d_name, &info, 0) == 0 && S_ISREG(info.st_mode) &&
          info.st_nlink == 0 && info.st_dev == device_)
        return true;
    }
  }
  return false;
}

}  // namespace stockade::sandbox
