#include "policy/judge_files.h"

#include <fmt/format.h>

#include "policy/glob.h"

namespace stockade::policy {

namespace {

// What of the host's system is visible inside, read-only (design, section 5: what the agent sees as /).
constexpr std::string_view kSystemView[] = {"/usr",
                                            "/bin",
                                            "/sbin",
                                            "/lib",
                                            "/lib32",
                                            "/lib64",
                                            "/libx32",
                                            "/etc/alternatives",
                                            "/etc/ld.so.cache",
                                            "/etc/nsswitch.conf",
                                            "/etc/localtime",
                                            "/etc/os-release",
                                            "/etc/services",
                                            "/etc/protocols",
                                            "/etc/mime.types",
                                            "/etc/fonts"};

bool in_system_view(std::string_view path) {
  for (const std::string_view place : kSystemView)
    if (is_within(path, place)) return true;
  return path.starts_with("/etc/java-") || path.starts_with("/etc/python3");
}

std::string_view access_name(Access access) {
  switch (access) {
    case Access::read:
      return "read";
    case Access::write:
      return "write";
    case Access::write_only:
      return "write-only";
    case Access::hide:
      return "hide";
  }
  return "";
}

// The path outside that stands behind a path inside.
std::string host_path(const FileRule& mount, std::string_view path) {
  const std::string_view below = path.substr(mount.at == "/" ? 0 : mount.at.size());
  return mount.host == "/" && !below.empty() ? std::string(below) : mount.host + std::string(below);
}

// What both judgements share: hidden, or not mounted at all. Nothing when a mount decides.
struct Place {
  const FileRule* mount = nullptr;
  Verdict verdict;
};

Place place_of(const Policy& policy, std::string_view path) {
  const FileRule* mount = mount_of(policy, path);
  if (mount == nullptr)
    return {nullptr,
            {Action::deny, -1, false, fmt::format("nothing of the host is mounted at {}", path), policy.files_where}};
  if (const FileRule* hide = hidden_by(policy, host_path(*mount, path)))
    return {nullptr, {Action::deny, -1, true, fmt::format("{} hides {}", hide->host, path), hide->where}};
  return {mount,
          {Action::allow, -1, false,
           fmt::format("{} is mounted with access {}", mount->host, access_name(mount->access)), mount->where}};
}

}  // namespace

const FileRule* mount_of(const Policy& policy, std::string_view path) {
  const FileRule* best = nullptr;
  for (const FileRule& rule : policy.files)
    if (rule.access != Access::hide && is_within(path, rule.at) &&
        (best == nullptr || rule.at.size() > best->at.size()))
      best = &rule;
  return best;
}

const FileRule* hidden_by(const Policy& policy, std::string_view host_path) {
  for (const FileRule& rule : policy.files)
    if (rule.access == Access::hide && hide_matches(rule.host, host_path)) return &rule;
  return nullptr;
}

Verdict judge_read(const Policy& policy, std::string_view path) {
  const Place place = place_of(policy, path);
  if (place.mount == nullptr) {
    if (!place.verdict.by_deny_rule && in_system_view(path))
      return {Action::allow, -1, false, fmt::format("{} is part of the system's read-only view", path), {}};
    return place.verdict;
  }
  if (place.mount->access == Access::write_only)
    return {Action::deny, -1, false,
            fmt::format("{} is write-only: the agent sees an empty directory there", place.mount->host),
            place.mount->where};
  return place.verdict;
}

Verdict judge_write(const Policy& policy, std::string_view path) {
  const Place place = place_of(policy, path);
  if (place.mount == nullptr) return place.verdict;
  if (place.mount->access == Access::read)
    return {Action::deny, -1, false, fmt::format("{} is mounted read-only", place.mount->host), place.mount->where};
  return place.verdict;
}

Verdict judge_exec(const Policy& policy, std::string_view program) {
  if (!policy.programs.allow)
    return {Action::allow, -1, false, "there is no list of programs: whatever is visible may run", {}};
  const std::string_view name = program.substr(program.rfind('/') + 1);
  for (const std::string& entry : *policy.programs.allow) {
    // A bare name stands for the program of that name along PATH, which is not any file of that name.
    const bool path_entry = entry.find('/') != std::string::npos;
    const bool path_asked = program.find('/') != std::string_view::npos;
    const bool matches = entry == program ||
                         (path_entry && !path_asked && entry.ends_with("/" + std::string(program))) ||
                         (!path_entry && path_asked && entry == name && in_system_view(program));
    if (matches)
      return {Action::allow, -1, false, fmt::format("tools.programs.allow names {}", entry), policy.programs.where};
  }
  return {Action::deny, -1, false, fmt::format("tools.programs.allow does not name {}", program),
          policy.programs.where};
}

}  // namespace stockade::policy
