#include "policy/source_file.h"

// The low-level calls: SHA256() sets up all of libcrypto first (0.8 ms of a start).
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "policy/yaml_tree.h"

namespace stockade::policy {

namespace {

Result<std::string> real_path(int fd) {
  char buffer[4096];
  const std::string link = fmt::format("/proc/self/fd/{}", fd);
  const ssize_t size = ::readlink(link.c_str(), buffer, sizeof(buffer));
  if (size < 0) return fail_errno("find out where a policy file lies");
  if (size == sizeof(buffer)) return fail(ErrorKind::invalid_input, "the path is too long");
  return std::string(buffer, static_cast<size_t>(size));
}

}  // namespace

Result<std::optional<SourceFile>> read_source(const std::string& path, bool follow) {
  // O_NONBLOCK: a FIFO in place of the file must not hold us.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW)));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return std::optional<SourceFile>();
    if (errno == ELOOP)
      return std::unexpected(
          Error(ErrorKind::invalid_input, "is a symbolic link").hint("a workspace's policy must be a file of its own"));
    return fail_errno("open");
  }
  struct stat status;
  if (::fstat(fd.get(), &status) < 0) return fail_errno("stat");
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid_input, "is not a regular file");
  if (status.st_size > static_cast<off_t>(kFileLimit))
    return std::unexpected(
        Error(ErrorKind::invalid_input, fmt::format("is larger than 1 MiB ({} bytes)", status.st_size))
            .hint("a policy is a short list that a person can read"));
  SourceFile file;
  STOCKADE_ASSIGN(file.bytes, read_file(fd.get(), kFileLimit));
  STOCKADE_ASSIGN(file.path, real_path(fd.get()));
  file.sha256 = sha256_hex(file.bytes);
  file.owner = status.st_uid;
  file.mode = status.st_mode;
  return std::optional(std::move(file));
}

std::string sha256_hex(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256_CTX context;
  ::SHA256_Init(&context);
  ::SHA256_Update(&context, bytes.data(), bytes.size());
  ::SHA256_Final(digest, &context);
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return hex;
}

}  // namespace stockade::policy
