#include "policy/trust.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "policy/glob.h"

namespace stockade::policy {

namespace {

constexpr size_t kListLimit = 1 << 20;
constexpr size_t kPlacesLimit = 4096;

// mkdir -p with 0700; existing directories stay as they are.
Result<void> make_directories(const std::string& path) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    const std::string part = path.substr(0, at);
    if (::mkdir(part.c_str(), 0700) < 0 && errno != EEXIST) return fail_errno("create {}", part);
  }
  return {};
}

// The lines of a file of ours; nothing when it does not exist.
Result<std::optional<std::vector<std::string>>> read_lines(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ENOENT) return std::optional<std::vector<std::string>>();
  if (!fd) return fail_errno("open {}", path);
  struct stat status;
  if (::fstat(fd.get(), &status) < 0) return fail_errno("stat {}", path);
  if (!S_ISREG(status.st_mode) || status.st_uid != ::geteuid() || (status.st_mode & 0077) != 0)
    return std::unexpected(Error(ErrorKind::denied, fmt::format("{} is not a private file of yours", path))
                               .hint("look who wrote it, then remove it"));
  auto text = read_file(fd.get(), kListLimit);
  if (!text) return std::unexpected(std::move(text).error().context(path));
  std::vector<std::string> lines;
  size_t at = 0;
  while (at < text->size()) {
    const size_t end = std::min(text->find('\n', at), text->size());
    if (end > at) lines.push_back(text->substr(at, end - at));
    at = end + 1;
  }
  return std::optional(std::move(lines));
}

// Replaces a file of ours as a whole: a crash leaves the old or the new one.
Result<void> write_lines(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  std::string temporary = fmt::format("{}.{}", path, ::getpid());
  const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create {}", temporary);
  auto written = write_all(fd.get(), text);
  if (written && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  auto error = written ? Error::from_errno("replace " + path) : std::move(written).error();
  ::unlink(temporary.c_str());
  return std::unexpected(std::move(error));
}

// Holds off other runs that change the same list.
Result<Fd> lock_state(const Surroundings& surroundings) {
  STOCKADE_TRY(make_directories(surroundings.trust_dir()));
  STOCKADE_ASSIGN(Fd lock, open_at(AT_FDCWD, surroundings.trust_dir(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (::flock(lock.get(), LOCK_EX) < 0) return fail_errno("lock {}", surroundings.trust_dir());
  return lock;
}

std::string places_file(const std::string& state_dir) { return state_dir + "/written"; }

}  // namespace

Result<void> trust_content(const Surroundings& surroundings, const std::string& path, const std::string& sha256) {
  if (path.find('\n') != std::string::npos || !path.starts_with('/'))
    return fail(ErrorKind::invalid_input, "trust: the path must be absolute and without line breaks");
  STOCKADE_ASSIGN(const Fd lock, lock_state(surroundings));
  const std::string file = surroundings.trust_dir() + "/" + sha256;
  STOCKADE_ASSIGN(auto lines, read_lines(file));
  if (!lines) lines.emplace();
  if (std::find(lines->begin(), lines->end(), path) != lines->end()) return {};
  lines->push_back(path);
  return write_lines(file, *lines);
}

Result<bool> is_trusted(const Surroundings& surroundings, const std::string& path, const std::string& sha256) {
  STOCKADE_ASSIGN(const auto lines, read_lines(surroundings.trust_dir() + "/" + sha256));
  return lines && std::find(lines->begin(), lines->end(), path) != lines->end();
}

Result<std::vector<std::string>> written_places(const std::string& state_dir) {
  STOCKADE_ASSIGN(auto lines, read_lines(places_file(state_dir)));
  if (!lines) return std::vector<std::string>();
  if (lines->size() > kPlacesLimit) return std::vector<std::string>{"/"};
  for (const std::string& line : *lines)
    if (!line.starts_with('/'))
      return std::unexpected(Error(ErrorKind::invalid_input, fmt::format("{} is damaged", places_file(state_dir)))
                                 .hint("remove it, and trust the policies of your workspaces anew"));
  return std::move(*lines);
}

Result<void> record_written_places(const Surroundings& surroundings, const Policy& policy) {
  std::vector<std::string> fresh;
  for (const FileRule& rule : policy.files) {
    const bool written = rule.access == Access::write || rule.access == Access::write_only;
    if (written && rule.host.find('\n') == std::string::npos && !lies_in_written_place(surroundings, rule.host))
      fresh.push_back(rule.host);
  }
  if (fresh.empty()) return {};
  STOCKADE_ASSIGN(const Fd lock, lock_state(surroundings));
  STOCKADE_ASSIGN(auto places, written_places(surroundings.state_dir));
  for (std::string& place : fresh) {
    std::erase_if(places, [&](const std::string& known) { return is_within(known, place); });
    places.push_back(std::move(place));
  }
  // Places that are gone can't hold a policy.
  if (places.size() > kPlacesLimit / 2)
    std::erase_if(places,
                  [](const std::string& place) { return ::access(place.c_str(), F_OK) < 0 && errno == ENOENT; });
  return write_lines(places_file(surroundings.state_dir), places);
}

bool lies_in_written_place(const Surroundings& surroundings, std::string_view path) {
  return std::any_of(surroundings.written_places.begin(), surroundings.written_places.end(),
                     [&](const std::string& place) { return is_within(path, place); });
}

}  // namespace stockade::policy
