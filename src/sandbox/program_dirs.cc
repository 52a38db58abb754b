#include "sandbox/program_dirs.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "sandbox/host_view.h"

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

// Directories of programs: replaced by the listed ones.
constexpr std::array kProgramDirectories = {
    "/usr/bin"sv,        "/usr/sbin"sv,        "/usr/games"sv, "/usr/local/bin"sv,
    "/usr/local/sbin"sv, "/usr/local/games"sv, "/bin"sv,       "/sbin"sv};
// Data of /usr and /usr/local: no library is mapped from it, so noexec costs nothing.
constexpr std::array kDataDirectories = {"doc"sv, "etc"sv, "include"sv, "man"sv, "share"sv, "src"sv};

// Whose helpers are named otherwise than themselves.
struct Helpers {
  std::string_view program;  // a base name, or the end of one ("-gcc-12")
  std::string_view directory;
};
constexpr std::array kHelpers = {
    Helpers{"git", "/usr/lib/git-core"},  Helpers{"git", "/usr/libexec/git-core"}, Helpers{"gcc", "/usr/lib/gcc"},
    Helpers{"gcc", "/usr/libexec/gcc"},   Helpers{"g++", "/usr/lib/gcc"},          Helpers{"g++", "/usr/libexec/gcc"},
    Helpers{"cc", "/usr/lib/gcc"},        Helpers{"cc", "/usr/libexec/gcc"},       Helpers{"c++", "/usr/lib/gcc"},
    Helpers{"cpp", "/usr/lib/gcc"},       Helpers{"clang", "/usr/lib/gcc"},        Helpers{"ssh", "/usr/lib/openssh"},
    Helpers{"scp", "/usr/lib/openssh"},   Helpers{"sftp", "/usr/lib/openssh"},     Helpers{"gpg", "/usr/lib/gnupg"},
    Helpers{"gpg", "/usr/libexec/gnupg"},
};

constexpr size_t kManifestLimit = 256 << 10;  // of a package.json

// Extensions of what is mapped, interpreted or read, never executed by itself.
constexpr std::array kNotPrograms = {
    ".a"sv,   ".bat"sv,  ".bc"sv,  ".c"sv,    ".class"sv, ".cjs"sv,   ".cmd"sv,  ".css"sv, ".cts"sv, ".elc"sv,
    ".gz"sv,  ".h"sv,    ".hpp"sv, ".html"sv, ".jar"sv,   ".js"sv,    ".json"sv, ".ko"sv,  ".la"sv,  ".map"sv,
    ".md"sv,  ".mjs"sv,  ".mo"sv,  ".mts"sv,  ".node"sv,  ".o"sv,     ".pl"sv,   ".pm"sv,  ".png"sv, ".ps1"sv,
    ".py"sv,  ".pyc"sv,  ".pyi"sv, ".rb"sv,   ".rlib"sv,  ".rmeta"sv, ".rs"sv,   ".sh"sv,  ".so"sv,  ".svg"sv,
    ".tcl"sv, ".toml"sv, ".ts"sv,  ".txt"sv,  ".xml"sv,   ".yaml"sv,  ".yml"sv,
};

bool is_program_directory(std::string_view path) {
  return std::ranges::find(kProgramDirectories, path) != kProgramDirectories.end();
}

bool may_be_program(std::string_view name) {
  if (name.find(".so.") != std::string_view::npos) return false;
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return true;
  return std::ranges::find(kNotPrograms, name.substr(dot)) == kNotPrograms.end();
}

bool is_bin(std::string_view name) { return name == "bin" || name == "sbin"; }

class Listing {
 public:
  Listing(const HostTree& tree, InstallRoots& roots, std::vector<Mount>& mounts, std::vector<std::string>& notes)
      : tree_(tree), roots_(roots), mounts_(mounts), notes_(notes) {}

  void allow(const std::string& program, bool required_by_person) {
    const std::string path = program.starts_with('/') ? program : search(program);
    const auto found = path.empty() ? std::nullopt : tree_.locate(path);
    if (!found || !found->is_file()) {
      if (required_by_person) notes_.push_back(fmt::format("programs.allow: {} is not on this machine", program));
      return;
    }
    if (base_name(parent_of(path)) == "shims") {
      notes_.push_back(
          fmt::format("programs.allow: {} only chooses among versions: name the program itself by its path", path));
    }
    add_chain(path, 0);
    if (!programs_.insert(found->path).second) return;
    const bool theirs = roots_.is_chosen_by_a_run(path);
    add_package(found->path, std::string(base_name(path)), theirs);
    if (const std::string place = parent_of(place_of(path)); !is_system_path(place) && !theirs)
      roots_.add_directory(place);
    roots_.add_program(path, false);
    if (!roots_.covers(found->path)) {
      notes_.push_back(fmt::format("programs.allow: {} is visible only if `files` mounts its directory", found->path));
    }
    // A `#!` line that a run could have written lists nothing.
    if (!theirs) add_interpreter(found->path, std::string(base_name(path)));
  }

  Result<void> build() {
    add_root_links(tree_, mounts_);
    for (const auto& [target, mount] : files_) mounts_.push_back(mount);
    STOCKADE_TRY(add_children("/usr"));
    for (const char* library : {"/lib", "/lib32", "/lib64", "/libx32"}) {
      const auto status = tree_.link_status(library);
      if (status && S_ISDIR(status->st_mode)) STOCKADE_TRY(add_library_tree(library));
    }
    return {};
  }

  // The executables of an installation that are not listed.
  Result<std::vector<std::string>> unlisted_below(const std::string& root) {
    std::vector<std::string> hidden;
    STOCKADE_TRY(walk(root, "", hidden));
    std::ranges::sort(hidden);
    return hidden;
  }

 private:
  std::string search(const std::string& name) const {
    for (const std::string& directory : search_order(roots_.search_path())) {
      std::string path = join(directory, name);
      const auto status = tree_.status(path);
      if (status && S_ISREG(status->st_mode) && (status->st_mode & 0111) != 0) return path;
    }
    return {};
  }

  // A directory's real path, but the name itself unresolved: where the link or file stands.
  std::string place_of(const std::string& path) const {
    const auto directory = tree_.locate(parent_of(path));
    return directory ? join(directory->path, base_name(path)) : path;
  }

  // /usr/bin/java → /etc/alternatives/java → /usr/lib/jvm/…/java: each link that stands in a program directory is made
  // anew, the file at its end is shown under its own name, since programs find their home by /proc/self/exe.
  void add_chain(const std::string& path, int depth) {
    if (depth > 16) return;
    const std::string place = place_of(path);
    const auto target = tree_.read_link(place);
    if (is_program_directory(parent_of(place))) {
      Mount mount = target ? Mount{.kind = MountKind::symlink, .target = place, .content = *target}
                           : Mount{.kind = MountKind::bind, .source = place, .target = place};
      files_.emplace(place, std::move(mount));
    }
    if (target) add_chain(normalized(target->starts_with('/') ? *target : join(parent_of(place), *target)), depth + 1);
  }

  void keep(std::string directory) { kept_.insert(std::move(directory)); }

  // npm installs a package's own binary for this platform as a package beside it, which its script starts.
  void keep_platform_packages(const std::string& modules, const std::string& package, const std::string& name) {
    const auto text = tree_.read_head(join(package, "package.json"), kManifestLimit);
    const auto manifest = nlohmann::json::parse(text.value_or(""), nullptr, false);
    if (!manifest.is_object()) return;
    const auto parts = manifest.find("optionalDependencies");
    if (parts == manifest.end() || !parts->is_object()) return;
    for (const auto& [part, version] : parts->items()) {
      if (part.starts_with('.') || part.find("/.") != std::string::npos) continue;
      const auto found = tree_.locate(join(modules, part));
      const std::string end = "/node_modules/" + part;
      if (!found || !found->is_directory() || !found->path.ends_with(end) || roots_.is_chosen_by_a_run(found->path))
        continue;
      keep(found->path);
      notes_.push_back(fmt::format("{} comes with {}", part, name));
    }
  }

  void add_package(const std::string& real, const std::string& name, bool theirs) {
    for (const Helpers& helpers : kHelpers) {
      const bool same =
          name == helpers.program || (name.size() > helpers.program.size() &&
                                      (name.starts_with(std::string(helpers.program) + "-") ||
                                       name.ends_with("-" + std::string(helpers.program)) ||
                                       name.find("-" + std::string(helpers.program) + "-") != std::string::npos));
      if (same) keep(std::string(helpers.directory));
    }
    keep(join("/usr/lib", name));
    keep(join("/usr/libexec", name));
    if (const size_t at = real.rfind("/node_modules/"); at != std::string::npos) {
      // A scoped package is two components.
      size_t end = real.find('/', at + 14);
      if (end != std::string::npos && real[at + 14] == '@') end = real.find('/', end + 1);
      if (end != std::string::npos) {
        keep(real.substr(0, end));
        if (!theirs) keep_platform_packages(real.substr(0, at + 14), real.substr(0, end), name);
      }
    }
    const std::string directory = parent_of(real);
    const std::string prefix = parent_of(directory);
    if (is_bin(base_name(directory)) && !is_program_directory(directory) && prefix != "/") {
      for (const char* below : {"lib", "libexec", "share", "pkg", "jre"}) keep(join(prefix, below));
    }
  }

  void add_interpreter(const std::string& real, const std::string& name) {
    const auto interpreter = interpreter_of(tree_, real);
    if (!interpreter) return;
    notes_.push_back(
        interpreter->searched.empty()
            ? fmt::format("{} comes with {}, which is a script", interpreter->path, name)
            : fmt::format("{} and {} come with {}, which is a script", interpreter->path, interpreter->searched, name));
    allow(interpreter->path, false);
    if (!interpreter->searched.empty()) allow(interpreter->searched, false);
  }

  Result<void> add_children(const std::string& directory) {
    std::vector<std::pair<std::string, unsigned char>> children;
    STOCKADE_TRY(tree_.list(directory, [&](const HostTree::Entry& entry) {
      children.emplace_back(entry.name, entry.type);
      return true;
    }));
    std::ranges::sort(children);
    for (const auto& [name, type] : children) {
      const std::string path = join(directory, name);
      if (is_program_directory(path)) continue;
      if (type == DT_LNK) {
        mounts_.push_back({.kind = MountKind::symlink, .target = path, .content = tree_.read_link(path).value_or("")});
      } else if (type != DT_DIR) {
        continue;
      } else if (path == "/usr/local") {
        STOCKADE_TRY(add_children(path));
      } else if (std::ranges::find(kDataDirectories, name) != kDataDirectories.end()) {
        mounts_.push_back({.kind = MountKind::bind, .source = path, .target = path, .exec = false});
      } else {
        STOCKADE_TRY(add_library_tree(path));
      }
    }
    return {};
  }

  Result<void> add_library_tree(const std::string& path) {
    STOCKADE_ASSIGN(auto hidden, unlisted_below(path));
    // Whiteouts in an overlay cost 3 µs each, masks on a bind a mount each.
    const MountKind kind = hidden.empty() ? MountKind::bind : MountKind::overlay_read;
    mounts_.push_back({.kind = kind, .source = path, .target = path, .hidden = std::move(hidden)});
    return {};
  }

  bool holds_listed(const std::string& directory) const {
    const auto next = programs_.lower_bound(directory + "/");
    return next != programs_.end() && is_at_or_below(*next, directory);
  }
  bool is_kept(const std::string& directory) const { return kept_.contains(directory); }
  bool holds_kept(const std::string& directory) const {
    const auto next = kept_.lower_bound(directory + "/");
    return next != kept_.end() && is_at_or_below(*next, directory);
  }

  Result<void> walk(const std::string& root, const std::string& relative, std::vector<std::string>& hidden) {
    const std::string directory = join(root, relative);
    if (is_kept(directory)) return {};
    std::vector<std::string> below;
    std::vector<std::string> candidates;
    auto listed = tree_.list(directory, [&](const HostTree::Entry& entry) {
      if (++seen_ > kProgramScanLimit) return false;
      if (entry.type == DT_DIR) below.emplace_back(entry.name);
      if (entry.type == DT_REG && may_be_program(entry.name)) candidates.emplace_back(entry.name);
      return true;
    });
    if (seen_ > kProgramScanLimit) {
      return std::unexpected(Error(ErrorKind::unavailable, fmt::format("the installations have more than {} files: the "
                                                                       "executables among them can't all be told",
                                                                       kProgramScanLimit))
                                 .hint("leave out programs.allow, or run from an image with fewer programs"));
    }
    if (!listed && listed.error().error_number() != EACCES) return listed;
    const auto named = [&](const std::string& name) { return relative.empty() ? name : relative + "/" + name; };
    for (const std::string& name : candidates) {
      const std::string path = join(directory, name);
      if (programs_.contains(path)) continue;
      const auto status = tree_.link_status(path);
      if (status && (status->st_mode & 0111) != 0) hidden.push_back(named(name));
    }
    for (const std::string& name : below) {
      const std::string path = join(directory, name);
      const bool programs = is_bin(name) || name == "libexec";
      if (programs && !is_kept(path) && !holds_listed(path) && !holds_kept(path)) {
        hidden.push_back(named(name));
      } else {
        STOCKADE_TRY(walk(root, named(name), hidden));
      }
    }
    return {};
  }

  const HostTree& tree_;
  InstallRoots& roots_;
  std::vector<Mount>& mounts_;
  std::vector<std::string>& notes_;
  std::map<std::string, Mount> files_;  // what stands in the program directories
  std::set<std::string> programs_;      // real paths of the listed programs
  std::set<std::string> kept_;          // directories whose executables stay
  size_t seen_ = 0;
};

}  // namespace

std::vector<std::string> search_order(const std::vector<std::string>& directories) {
  const auto is_shims = [](const std::string& directory) { return base_name(directory) == "shims"; };
  std::vector<std::string> order;
  std::ranges::remove_copy_if(directories, std::back_inserter(order), is_shims);
  std::ranges::copy_if(directories, std::back_inserter(order), is_shims);
  return order;
}

Result<void> add_listed_programs(const HostTree& tree, const ProgramList& list, InstallRoots& roots,
                                 std::vector<Mount>& mounts, std::vector<std::string>& notes) {
  Listing listing(tree, roots, mounts, notes);
  for (const std::string& program : list.allow) listing.allow(program, true);
  if (!list.command.empty()) listing.allow(list.command, false);
  STOCKADE_TRY(listing.build());
  for (Mount& mount : roots.mounts()) {
    if (mount.kind == MountKind::overlay_read) {
      STOCKADE_ASSIGN(auto hidden, listing.unlisted_below(mount.source));
      mount.hidden.insert(mount.hidden.end(), std::make_move_iterator(hidden.begin()),
                          std::make_move_iterator(hidden.end()));
      std::ranges::sort(mount.hidden);
      const auto repeated = std::ranges::unique(mount.hidden);
      mount.hidden.erase(repeated.begin(), repeated.end());
    }
    mounts.push_back(std::move(mount));
  }
  return {};
}

}  // namespace stockade::sandbox
