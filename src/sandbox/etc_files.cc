#include "sandbox/etc_files.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

// A small file costs less as bytes in the root's tmpfs than as one more mount (10 µs against 35).
constexpr size_t kCopiedSize = 16 * 1024;
constexpr size_t kCopiedEntries = 4;

constexpr std::array kViews = {
    "alpine-release"sv, "alternatives"sv,   "arch-release"sv,   "chromium.d"sv, "crypto-policies"sv,
    "debian_version"sv, "dotnet"sv,         "fedora-release"sv, "fonts"sv,      "host.conf"sv,
    "inputrc"sv,        "ld.so.cache"sv,    "locale.alias"sv,   "localtime"sv,  "lsb-release"sv,
    "magic"sv,          "mime.types"sv,     "os-release"sv,     "protocols"sv,  "redhat-release"sv,
    "services"sv,       "system-release"sv, "terminfo"sv,       "timezone"sv,
};
static_assert(std::ranges::is_sorted(kViews));
constexpr std::array kViewPrefixes = {"java-"sv, "python3"sv};
// Directories of which only some entries are shown: keys and settings with passwords live beside them.
struct Partial {
  std::string_view directory;
  std::array<std::string_view, 6> entries;
};
constexpr std::array kPartial = {
    Partial{"ca-certificates", {"extracted"}}, Partial{"ssl", {"certs", "cert.pem", "openssl.cnf", "ct_log_list.cnf"}},
    Partial{"pki/ca-trust", {"extracted"}},    Partial{"pki/tls", {"certs", "cert.pem", "openssl.cnf", "openssl.d"}},
    Partial{"pki/java", {"cacerts"}},          Partial{"maven", {"m2.conf", "logging"}},
};
constexpr std::array kMade = {
    "/etc/passwd"sv,        "/etc/group"sv,     "/etc/hosts"sv, "/etc/hostname"sv, "/etc/resolv.conf"sv,
    "/etc/nsswitch.conf"sv, "/etc/gitconfig"sv, "/etc/mtab"sv,  "/etc/shells"sv,
};

bool is_view(std::string_view name) {
  if (std::ranges::binary_search(kViews, name)) return true;
  return std::ranges::any_of(kViewPrefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

Mount content_file(std::string target, std::string bytes) {
  return {.kind = MountKind::content, .target = std::move(target), .content = std::move(bytes), .mode = 0444};
}

// Names in a directory of certificates that are keys: somebody's own files, put there by hand.
std::vector<std::string> keys_among(const HostTree& tree, const std::string& directory) {
  std::vector<std::string> keys;
  (void)tree.list(directory, [&](const HostTree::Entry& entry) {
    if (entry.name.ends_with(".key") || entry.name == "private" || entry.name.ends_with(".p12")) {
      keys.emplace_back(entry.name);
    }
    return true;
  });
  std::ranges::sort(keys);
  return keys;
}

// A directory of a few small files (python3, terminfo) as bytes too. False: it is none, and nothing was added.
bool copy_small_directory(const HostTree& tree, const std::string& directory, const std::string& path,
                          std::vector<Mount>& mounts) {
  // Listing alternatives or certs costs more than their mounts: the size tells, on most file systems.
  const auto status = tree.link_status(directory);
  if (!status || status->st_size > 4096 || status->st_nlink > 2) return false;
  std::vector<std::string> names;
  bool plain = true;
  (void)tree.list(directory, [&](const HostTree::Entry& entry) {
    plain = entry.type == DT_REG && names.size() < kCopiedEntries;
    names.emplace_back(entry.name);
    return plain;
  });
  if (!plain || names.empty()) return false;
  std::ranges::sort(names);
  std::vector<Mount> files;
  for (const std::string& name : names) {
    auto bytes = tree.read(join(directory, name), kCopiedSize);
    if (!bytes) return false;
    files.push_back(content_file(join(path, name), std::move(*bytes)));
  }
  mounts.insert(mounts.end(), std::make_move_iterator(files.begin()), std::make_move_iterator(files.end()));
  return true;
}

void add_view(const HostTree& tree, const std::string& path, unsigned char type, std::vector<Mount>& mounts) {
  if (type == DT_LNK) {
    const auto target = tree.read_link(path);
    if (!target) return;
    const std::string leads_to = normalized(target->starts_with('/') ? *target : join(parent_of(path), *target));
    // The link itself where its target is visible inside; the zone's name is read from it.
    if (is_at_or_below(leads_to, "/usr") || is_at_or_below(leads_to, "/etc/pki/ca-trust/extracted") ||
        is_at_or_below(leads_to, "/etc/pki/tls/certs")) {
      mounts.push_back({.kind = MountKind::symlink, .target = path, .content = *target});
      return;
    }
  }
  std::string source = path;
  if (type == DT_LNK) {
    const auto found = tree.locate(path);
    if (!found || !(found->is_file() || found->is_directory())) return;
    source = found->path;
    type = found->is_file() ? DT_REG : DT_DIR;
  }
  if (type == DT_REG) {
    auto bytes = tree.read_head(source, kCopiedSize + 1);
    if (!bytes) return;
    if (bytes->size() <= kCopiedSize) {
      mounts.push_back(content_file(path, std::move(*bytes)));
      return;
    }
  } else if (type != DT_DIR || copy_small_directory(tree, source, path, mounts)) {
    return;
  }
  Mount mount{.kind = MountKind::bind, .source = source, .target = path, .exec = false, .optional = true};
  if (type == DT_DIR && base_name(path) == "certs") mount.hidden = keys_among(tree, source);
  mounts.push_back(std::move(mount));
}

void add_partial(const HostTree& tree, std::string_view name, std::vector<Mount>& mounts) {
  for (const Partial& partial : kPartial) {
    if (partial.directory.substr(0, partial.directory.find('/')) != name) continue;
    const std::string directory = join("/etc", partial.directory);
    for (const std::string_view entry : partial.entries) {
      if (entry.empty()) continue;
      const std::string path = join(directory, entry);
      const auto status = tree.link_status(path);
      if (status) add_view(tree, path, static_cast<unsigned char>((status->st_mode & S_IFMT) >> 12), mounts);
    }
  }
}

std::string git_quoted(std::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

}  // namespace

std::string make_passwd(const Inside& inside) {
  std::string out;
  if (inside.uid != 0) out += "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n";
  out +=
      fmt::format("{}:x:{}:{}:{}:{}:{}\n", inside.user, inside.uid, inside.gid, inside.user, inside.home, inside.shell);
  if (inside.uid != 65534) out += "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
  return out;
}

std::string make_group(const Inside& inside) {
  std::string out;
  if (inside.gid != 0) out += "root:x:0:\n";
  out += fmt::format("{}:x:{}:\n", inside.group, inside.gid);
  if (inside.gid != 5) out += "tty:x:5:\n";
  if (inside.gid != 65534) out += "nogroup:x:65534:\n";
  return out;
}

std::string make_hosts(const Inside& inside) {
  return fmt::format("127.0.0.1\tlocalhost {0}\n::1\tlocalhost ip6-localhost ip6-loopback\n", inside.hostname);
}

// Port 53 of every address is ours; a loopback address answers at once also where a run has no network.
std::string make_resolv_conf() { return "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"; }

std::string make_gitconfig(const Surroundings& surroundings, const Inside& inside) {
  const std::string name = surroundings.git_name.empty() ? inside.user : surroundings.git_name;
  const std::string email = surroundings.git_email.empty() ? fmt::format("{}@{}.invalid", inside.user, inside.hostname)
                                                           : surroundings.git_email;
  return fmt::format("[user]\n\tname = {}\n\temail = {}\n", git_quoted(name), git_quoted(email));
}

bool is_made_etc_file(std::string_view target) {
  return std::ranges::find(kMade, target) != kMade.end() || is_at_or_below(target, "/etc/ssl") ||
         is_at_or_below(target, "/etc/pki") || target.starts_with("/etc/ld.so");
}

Result<void> add_etc(const HostTree& tree, const Surroundings& surroundings, const Inside& inside,
                     std::vector<Mount>& mounts) {
  mounts.push_back(content_file("/etc/passwd", make_passwd(inside)));
  mounts.push_back(content_file("/etc/group", make_group(inside)));
  mounts.push_back(content_file("/etc/hosts", make_hosts(inside)));
  mounts.push_back(content_file("/etc/hostname", inside.hostname + "\n"));
  mounts.push_back(content_file("/etc/resolv.conf", make_resolv_conf()));
  mounts.push_back(content_file("/etc/nsswitch.conf",
                                "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n"
                                "protocols: files\nservices: files\nethers: files\nrpc: files\n"));
  mounts.push_back(content_file("/etc/gitconfig", make_gitconfig(surroundings, inside)));
  mounts.push_back({.kind = MountKind::symlink, .target = "/etc/mtab", .content = "/proc/self/mounts"});
  mounts.push_back(content_file("/etc/shells", "/bin/sh\n/bin/bash\n"));

  std::vector<std::pair<std::string, unsigned char>> entries;
  STOCKADE_TRY(tree.list("/etc", [&](const HostTree::Entry& entry) {
    const bool partial = std::ranges::any_of(kPartial, [&](const Partial& known) {
      return known.directory.substr(0, known.directory.find('/')) == entry.name;
    });
    if (partial || is_view(entry.name)) entries.emplace_back(entry.name, entry.type);
    return true;
  }));
  std::ranges::sort(entries);  // a plan is compared: the directory's own order is chance
  for (const auto& [name, type] : entries) {
    if (is_view(name)) {
      add_view(tree, join("/etc", name), type, mounts);
    } else {
      add_partial(tree, name, mounts);
    }
  }
  return {};
}

}  // namespace stockade::sandbox
