#include "policy/source_file.h"

#include <sodium.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/fd.h"
#include "policy/yaml_tree.h"

namespace stockade::policy {

namespace {

constexpr size_t kLinkLimit = 40;  // as the kernel

Result<std::string> real_path(int fd) {
  char buffer[4096];
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  const ssize_t size = ::readlink(link.c_str(), buffer, sizeof(buffer));
  if (size < 0) return fail_errno("find out where a policy file lies");
  if (size == sizeof(buffer)) return fail(ErrorKind::invalid_input, "the path is too long");
  return std::string(buffer, static_cast<size_t>(size));
}

Result<std::string> link_target(int fd) {
  char buffer[4096];
  const ssize_t size = ::readlinkat(fd, "", buffer, sizeof(buffer));
  if (size < 0) return fail_errno("read a link");
  if (size == sizeof(buffer)) return fail(ErrorKind::invalid_input, "the path is too long");
  return std::string(buffer, static_cast<size_t>(size));
}

}  // namespace

Result<Walked> walk(const std::string& path, bool follow_last) {
  Walked walked;
  std::string rest = path;
  STOCKADE_ASSIGN(walked.place, open_at(AT_FDCWD, path.starts_with('/') ? "/" : ".", O_PATH | O_DIRECTORY));
  while (true) {
    const size_t begin = rest.find_first_not_of('/');
    if (begin == std::string::npos) break;
    const size_t end = std::min(rest.find('/', begin), rest.size());
    const std::string name = rest.substr(begin, end - begin);
    rest.erase(0, end);
    STOCKADE_ASSIGN(Fd next, open_at(walked.place.get(), name, O_PATH | O_NOFOLLOW));
    struct stat status;
    if (::fstat(next.get(), &status) < 0) return fail_errno("stat");
    if (!S_ISLNK(status.st_mode)) {
      walked.place = std::move(next);
      continue;
    }
    STOCKADE_ASSIGN(const std::string directory, real_path(walked.place.get()));
    walked.links.push_back((directory == "/" ? "" : directory) + "/" + name);
    if (walked.links.size() > kLinkLimit || (!follow_last && rest.find_first_not_of('/') == std::string::npos)) {
      errno = ELOOP;
      return fail_errno("open");
    }
    STOCKADE_ASSIGN(const std::string target, link_target(next.get()));
    if (target.starts_with('/')) {
      STOCKADE_ASSIGN(walked.place, open_at(AT_FDCWD, "/", O_PATH | O_DIRECTORY));
    }
    rest = target + rest;
  }
  STOCKADE_ASSIGN(walked.path, real_path(walked.place.get()));
  return walked;
}

Result<std::optional<SourceFile>> read_source(const std::string& path, bool follow) {
  auto walked = walk(path, follow);
  if (!walked) {
    const int number = walked.error().error_number();
    if (number == ENOENT || number == ENOTDIR) return std::optional<SourceFile>();
    if (number == ELOOP && !follow)
      return std::unexpected(
          Error(ErrorKind::invalid_input, "is a symbolic link").hint("a workspace's policy must be a file of its own"));
    return std::unexpected(std::move(walked).error());
  }
  // O_NONBLOCK: a FIFO in place of the file must not hold us.
  const Fd fd(::open(fmt::format("/proc/self/fd/{}", walked->place.get()).c_str(),
                     O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return fail_errno("open");
  struct stat status;
  if (::fstat(fd.get(), &status) < 0) return fail_errno("stat");
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid_input, "is not a regular file");
  if (status.st_size > static_cast<off_t>(kFileLimit))
    return std::unexpected(
        Error(ErrorKind::invalid_input, fmt::format("is larger than 1 MiB ({} bytes)", status.st_size))
            .hint("a policy is a short list that a person can read"));
  SourceFile file;
  STOCKADE_ASSIGN(file.bytes, read_file(fd.get(), kFileLimit));
  file.path = std::move(walked->path);
  file.links = std::move(walked->links);
  file.sha256 = sha256_hex(file.bytes);
  file.owner = status.st_uid;
  file.mode = status.st_mode;
  return std::optional(std::move(file));
}

std::string sha256_hex(std::string_view bytes) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  ::crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  std::array<char, 2 * digest.size() + 1> hex;
  return ::sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
}

}  // namespace stockade::policy
