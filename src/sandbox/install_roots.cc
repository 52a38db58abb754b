#include "sandbox/install_roots.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "sandbox/credential_names.h"

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

constexpr size_t kLinksOfOneDirectory = 256;
constexpr size_t kPathEntries = 128;

constexpr std::array kSystemTrees = {"/usr"sv, "/bin"sv, "/sbin"sv, "/lib"sv, "/lib32"sv, "/lib64"sv, "/libx32"sv};
// Places that hold state, sockets or devices, never installations.
constexpr std::array kNeverShown = {"/proc"sv, "/sys"sv, "/dev"sv,  "/run"sv,
                                    "/var"sv,  "/etc"sv, "/boot"sv, "/lost+found"sv};

// Directories below the home that are installations as a whole.
constexpr std::array kHomeInstallations = {
    ".asdf"sv,
    ".bun"sv,
    ".deno"sv,
    ".dotnet"sv,
    ".foundry"sv,
    ".ghcup"sv,
    ".jenv"sv,
    ".juliaup"sv,
    ".linuxbrew"sv,
    ".nimble"sv,
    ".nodenv"sv,
    ".opencode"sv,
    ".phpenv"sv,
    ".proto"sv,
    ".pyenv"sv,
    ".rbenv"sv,
    ".rye"sv,
    ".volta"sv,
    "anaconda3"sv,
    "mambaforge"sv,
    "miniconda3"sv,
    "miniforge3"sv,
    ".tfenv"sv,
    ".goenv"sv,
    ".rvm"sv,
    ".nodebrew"sv,
    ".npm-packages"sv,
    ".local/share/mise"sv,
    ".local/share/pnpm"sv,
    ".local/share/rtx"sv,
    ".local/share/aquaproj-aqua"sv,
};
// Below these, each entry so many levels deeper is an installation of its own.
struct Versioned {
  std::string_view directory;
  int depth;
};
constexpr std::array kHomeVersions = {
    Versioned{".nvm/versions/node", 1},
    Versioned{".sdkman/candidates", 2},
    Versioned{".local/share/fnm/node-versions", 1},
    Versioned{".fnm/node-versions", 1},
    Versioned{".rustup/toolchains", 1},
    Versioned{".local/share/pipx/venvs", 1},
    Versioned{".local/pipx/venvs", 1},
    Versioned{".local/share/uv/python", 1},
    Versioned{".local/share/uv/tools", 1},
    Versioned{".local/share/claude", 1},
    Versioned{".local/share/cursor-agent", 1},
    Versioned{"sdk", 1},
    Versioned{".jdks", 1},
    Versioned{".local/opt", 1},
};
// A prefix's own marks, beside its `bin`.
// All that lies at the top of a Python environment; a project that is one as well has more.
constexpr std::array kEnvironmentEntries = {
    ".gitignore"sv, ".lock"sv, "CACHEDIR.TAG"sv, "bin"sv, "conda-meta"sv, "etc"sv,   "include"sv,
    "lib"sv,        "lib64"sv, "libexec"sv,      "man"sv, "pyvenv.cfg"sv, "share"sv,
};
constexpr std::array kPrefixMarks = {"pyvenv.cfg"sv, "conda-meta"sv, "lib"sv, "lib64"sv, "libexec"sv};

// The first `depth` components of `path` below `base`; empty where there are fewer.
std::string component_below(std::string_view path, std::string_view base, int depth) {
  const auto rest = relative_to(path, base);
  if (!rest || rest->empty()) return {};
  size_t end = 0;
  for (int i = 0; i < depth; ++i) {
    if (end >= rest->size()) return {};
    end = std::min(rest->find('/', end + (i > 0)), rest->size());
  }
  return join(base, rest->substr(0, end));
}

bool is_bin_directory(std::string_view path) {
  const std::string_view name = base_name(path);
  return name == "bin" || name == "sbin" || name == "shims";
}

bool exists(const HostTree& tree, const std::string& path) { return tree.link_status(path).has_value(); }

// The parts of ~/.local and ~/.cargo that programs need; credentials and state lie beside them.
void add_existing(const HostTree& tree, const std::string& base, std::initializer_list<std::string_view> names,
                  std::vector<std::string>& roots) {
  for (const std::string_view name : names) {
    const auto found = tree.locate(join(base, name));
    if (found) roots.push_back(found->path);
  }
}

std::optional<std::vector<std::string>> known_home_layout(const HostTree& tree, const std::string& home,
                                                          const std::string& path) {
  std::vector<std::string> roots;
  const auto below = relative_to(path, home);
  if (!below) return std::nullopt;
  if (is_at_or_below(*below, ".cargo/bin")) {
    // cargo and rustc are one launcher, which finds its toolchain by settings.toml.
    roots.push_back(join(home, ".cargo/bin"));
    add_existing(tree, home, {".rustup/toolchains", ".rustup/settings.toml"}, roots);
    return roots;
  }
  if (is_at_or_below(*below, ".local/bin")) {
    roots.push_back(join(home, ".local/bin"));
    add_existing(tree, home, {".local/lib"}, roots);
    return roots;
  }
  for (const std::string_view name : kHomeInstallations) {
    if (is_at_or_below(*below, name)) return std::vector{join(home, name)};
  }
  for (const Versioned& versions : kHomeVersions) {
    const std::string root = component_below(path, join(home, versions.directory), versions.depth);
    if (!root.empty()) return std::vector{root};
  }
  return std::nullopt;
}

std::optional<std::vector<std::string>> known_layout(const HostTree& tree, const Surroundings& surroundings,
                                                     const std::string& path) {
  if (is_at_or_below(path, "/nix/store")) return std::vector{std::string("/nix/store")};
  if (is_at_or_below(path, "/gnu/store")) return std::vector{std::string("/gnu/store")};
  if (is_at_or_below(path, "/home/linuxbrew/.linuxbrew")) return std::vector{std::string("/home/linuxbrew/.linuxbrew")};
  if (const std::string package = component_below(path, "/opt", 1); !package.empty()) return std::vector{package};
  return known_home_layout(tree, surroundings.real_home, path);
}

// node_modules is one installation: packages find each other, and the platform's binary, beside themselves.
std::string node_modules_of(const std::string& path) {
  const size_t at = path.find("/node_modules/");
  return at == std::string::npos ? std::string() : path.substr(0, at + sizeof("/node_modules") - 1);
}

// A virtual environment or prefix around `bin`, by its marks. A repository with a `lib` is somebody's project.
std::string prefix_around(const HostTree& tree, const std::string& bin) {
  if (!is_bin_directory(bin)) return {};
  const std::string prefix = parent_of(bin);
  if (prefix == "/" || parent_of(prefix) == "/") return {};
  const bool environment = exists(tree, join(prefix, kPrefixMarks[0])) || exists(tree, join(prefix, kPrefixMarks[1]));
  if (environment) return prefix;
  if (exists(tree, join(prefix, ".git"))) return {};
  for (size_t i = 2; i < kPrefixMarks.size(); ++i) {
    if (exists(tree, join(prefix, kPrefixMarks[i]))) return prefix;
  }
  return {};
}

// A Python environment that holds nothing else.
std::string environment_around(const HostTree& tree, const std::string& bin) {
  if (!is_bin_directory(bin)) return {};
  const std::string prefix = parent_of(bin);
  if (!exists(tree, join(prefix, kPrefixMarks[0])) && !exists(tree, join(prefix, kPrefixMarks[1]))) return {};
  bool pure = true;
  const auto listed = tree.list(prefix, [&](const HostTree::Entry& entry) {
    pure = std::ranges::find(kEnvironmentEntries, entry.name) != kEnvironmentEntries.end();
    return pure;
  });
  return listed && pure ? prefix : std::string();
}

// Would showing this directory show the home, the system's state, or our own?
std::string why_never_shown(const Surroundings& surroundings, const std::string& path) {
  for (const std::string_view place : kNeverShown) {
    if (is_at_or_below(path, place) && !is_at_or_below(path, "/var/tmp"))
      return fmt::format("nothing below {} is shown", place);
  }
  const std::string& home = surroundings.real_home;
  if (is_at_or_below(home, path)) return "it is the home, or holds it";
  if (!surroundings.account_home.empty() && is_at_or_below(surroundings.account_home, path)) {
    return "it is the home, or holds it";
  }
  for (const std::string* own : {&surroundings.state_dir, &surroundings.runtime_dir, &surroundings.config_dir}) {
    if (!own->empty() && (is_at_or_below(*own, path) || is_at_or_below(path, *own)))
      return "it holds Stockade's own state";
  }
  return {};
}

}  // namespace

bool is_system_path(std::string_view real_path) {
  return std::ranges::any_of(kSystemTrees, [&](std::string_view tree) { return is_at_or_below(real_path, tree); });
}

std::vector<std::string> roots_of_directory(const HostTree& tree, const Surroundings& surroundings,
                                            const std::string& directory) {
  if (is_system_path(directory) || !why_never_shown(surroundings, directory).empty()) return {};
  if (auto known = known_layout(tree, surroundings, directory)) return std::move(*known);
  if (std::string prefix = prefix_around(tree, directory);
      !prefix.empty() && why_never_shown(surroundings, prefix).empty()) {
    return {std::move(prefix)};
  }
  return {directory};
}

std::vector<std::string> roots_of_program(const HostTree& tree, const Surroundings& surroundings,
                                          const std::string& program, bool anywhere) {
  if (is_system_path(program) || !why_never_shown(surroundings, program).empty()) return {};
  if (auto known = known_layout(tree, surroundings, program)) return std::move(*known);
  const std::string directory = parent_of(program);
  if (std::string prefix = prefix_around(tree, directory);
      !prefix.empty() && why_never_shown(surroundings, prefix).empty()) {
    return {std::move(prefix)};
  }
  if (std::string modules = node_modules_of(program); !modules.empty()) return {std::move(modules)};
  if (anywhere) return {program};
  return {};
}

std::optional<Interpreter> interpreter_of(const HostTree& tree, const std::string& program) {
  const auto head = tree.read_head(program, 256);
  if (!head || !head->starts_with("#!")) return std::nullopt;
  std::string_view line = std::string_view(*head).substr(
      2, head->find('\n') == std::string::npos ? std::string::npos : head->find('\n') - 2);
  std::vector<std::string> words;
  while (!line.empty()) {
    const size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) break;
    const size_t end = std::min(line.find_first_of(" \t\r", start), line.size());
    words.emplace_back(line.substr(start, end - start));
    line.remove_prefix(end);
  }
  if (words.empty() || !words[0].starts_with('/')) return std::nullopt;
  Interpreter found{.path = words[0], .searched = {}};
  if (base_name(words[0]) == "env") {
    for (size_t i = 1; i < words.size() && found.searched.empty(); ++i) {
      // env -S splits, and NAME=value sets: the first plain word is the program.
      if (!words[i].starts_with('-') && words[i].find('=') == std::string::npos) found.searched = words[i];
    }
  }
  return found;
}

InstallRoots::InstallRoots(const HostTree& tree, const Surroundings& surroundings,
                           std::function<bool(const std::string&)> theirs)
    : tree_(tree), surroundings_(surroundings), theirs_(std::move(theirs)) {}

bool InstallRoots::is_chosen_by_a_run(const std::string& path) const {
  if (!theirs_ && surroundings_.written_places.empty()) return false;
  return std::ranges::any_of(tree_.way(path), [&](const std::string& place) {
    return (theirs_ && theirs_(place)) ||
           std::ranges::any_of(surroundings_.written_places,
                               [&](const std::string& written) { return is_at_or_below(place, written); });
  });
}

std::vector<std::string> InstallRoots::known_roots(const std::string& real_path) const {
  if (is_system_path(real_path) || !why_never_shown(surroundings_, real_path).empty()) return {};
  if (auto known = known_layout(tree_, surroundings_, real_path)) return std::move(*known);
  for (const std::string& directory : {real_path, parent_of(real_path)}) {
    std::string prefix = environment_around(tree_, directory);
    if (!prefix.empty() && why_never_shown(surroundings_, prefix).empty()) return {std::move(prefix)};
  }
  return {};
}

void InstallRoots::add_root(std::string real_path) {
  for (const std::string& root : roots_) {
    if (is_at_or_below(real_path, root)) return;
  }
  std::erase_if(roots_, [&](const std::string& root) { return is_at_or_below(root, real_path); });
  roots_.push_back(std::move(real_path));
}

// The links of a directory on PATH that lead into installations elsewhere (~/.local/bin: pipx, claude, uv).
void InstallRoots::add_links_of(const std::string& directory) {
  std::vector<std::string> links;
  (void)tree_.list(directory, [&](const HostTree::Entry& entry) {
    if (entry.type == DT_LNK) links.emplace_back(entry.name);
    return links.size() < kLinksOfOneDirectory;
  });
  if (links.size() == kLinksOfOneDirectory) {
    notes_.push_back(
        fmt::format("{} has more than {} links: where the others lead is not shown", directory, links.size()));
  }
  for (const std::string& name : links) {
    const auto target = tree_.locate(join(directory, name));
    if (target && target->is_file() && !covers(target->path)) add_program(join(directory, name), true);
  }
}

void InstallRoots::add_path_entries(PathRoots show, const std::function<bool(const std::string&)>& visible) {
  std::string_view rest = surroundings_.variable("PATH");
  if (rest.empty()) rest = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const auto push_once = [](std::vector<std::string>& list, std::string value) {
    if (std::ranges::find(list, value) == list.end()) list.push_back(std::move(value));
  };
  for (size_t count = 0; !rest.empty(); ++count) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const std::string entry(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (count == kPathEntries) {
      notes_.push_back(fmt::format("PATH has more than {} entries: the others are left out", kPathEntries));
      break;
    }
    // An empty or relative entry means the current directory: a program planted there would be found first.
    if (!entry.starts_with('/')) continue;
    const std::string spelled = normalized(entry);
    if (is_system_path(spelled)) {
      push_once(search_, spelled);
      continue;
    }
    const auto found = tree_.locate(entry);
    if (!found || !found->is_directory()) continue;
    if (is_system_path(found->path)) {
      push_once(search_, found->path);
      continue;
    }
    if (visible(found->path)) {
      push_once(search_, found->path);
      continue;
    }
    if (const std::string why = why_never_shown(surroundings_, found->path); !why.empty()) {
      notes_.push_back(fmt::format("PATH entry {} is not shown: {}", entry, why));
      continue;
    }
    if (is_chosen_by_a_run(entry)) {
      notes_.push_back(
          fmt::format("PATH entry {} is not shown: an earlier run could have written what it leads to", entry));
      continue;
    }
    if ((found->status.st_mode & S_IWOTH) != 0) {
      notes_.push_back(fmt::format("PATH entry {} is not shown: anyone may write to it", entry));
      continue;
    }
    push_once(search_, found->path);
    if (show == PathRoots::none) continue;
    add_directory(found->path);
    if (is_at_or_below(found->path, surroundings_.real_home)) add_links_of(found->path);
  }
  if (show == PathRoots::all) add_moved_toolchains();
}

void InstallRoots::add_program(const std::string& path, bool anywhere) {
  const auto found = tree_.locate(path);
  if (!found) return;
  auto roots = is_chosen_by_a_run(path) ? known_roots(found->path)
                                        : roots_of_program(tree_, surroundings_, found->path, anywhere);
  for (std::string& root : roots) add_root(std::move(root));
  if (covers(found->path) && !is_system_path(found->path)) add_interpreter(found->path);
}

void InstallRoots::add_directory(const std::string& real_path) {
  for (std::string& root : roots_of_directory(tree_, surroundings_, real_path)) add_root(std::move(root));
}

// A script's interpreter may be in yet another installation: a virtual environment's python, and the one it links to.
void InstallRoots::add_interpreter(const std::string& real_path) {
  const auto interpreter = interpreter_of(tree_, real_path);
  if (!interpreter) return;
  const bool theirs = is_chosen_by_a_run(real_path) || is_chosen_by_a_run(interpreter->path);
  const auto found = tree_.locate(interpreter->path);
  if (theirs) {
    for (const std::string& path : {parent_of(interpreter->path), found ? found->path : interpreter->path}) {
      const auto located = tree_.locate(path);
      if (!located || covers(located->path)) continue;
      for (std::string& root : known_roots(located->path)) add_root(std::move(root));
    }
    return;
  }
  if (!is_system_path(interpreter->path)) {
    const auto directory = tree_.locate(parent_of(interpreter->path));
    if (directory && !covers(directory->path)) add_directory(directory->path);
  }
  if (!found || !found->is_file() || covers(found->path)) return;
  for (std::string& root : roots_of_program(tree_, surroundings_, found->path, true)) add_root(std::move(root));
}

std::vector<std::string> InstallRoots::path_inside(const std::function<bool(const std::string&)>& visible) const {
  std::vector<std::string> path;
  for (const std::string& directory : search_) {
    const bool holds_a_root =
        std::ranges::any_of(roots_, [&](const std::string& root) { return is_at_or_below(root, directory); });
    if (covers(directory) || holds_a_root || visible(directory)) path.push_back(inside(directory));
  }
  return path;
}

// rustup elsewhere than in ~/.rustup.
void InstallRoots::add_moved_toolchains() {
  const std::string_view home = surroundings_.variable("RUSTUP_HOME");
  if (!home.starts_with('/')) return;
  const auto found = tree_.locate(std::string(home));
  if (!found || covers(found->path) || !why_never_shown(surroundings_, found->path).empty()) return;
  std::vector<std::string> roots;
  add_existing(tree_, found->path, {"toolchains", "settings.toml"}, roots);
  for (std::string& root : roots) add_root(std::move(root));
}

std::vector<std::pair<std::string, std::string>> InstallRoots::variables(
    const std::function<bool(const std::string&)>& visible) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (const char* name : {"CONDA_PREFIX", "GOROOT", "JAVA_HOME", "PYENV_ROOT", "RUSTUP_HOME", "VIRTUAL_ENV"}) {
    const std::string_view value = surroundings_.variable(name);
    if (!value.starts_with('/')) continue;
    const auto located = tree_.locate(std::string(value));
    if (!located || !located->is_directory()) continue;
    const bool holds_a_root =
        std::ranges::any_of(roots_, [&](const std::string& root) { return is_at_or_below(root, located->path); });
    if (covers(located->path) || visible(located->path) || (holds_a_root && std::string_view(name) == "RUSTUP_HOME")) {
      found.emplace_back(name, inside(located->path));
    }
  }
  return found;
}

bool InstallRoots::covers(std::string_view real_path) const {
  if (is_system_path(real_path)) return true;
  return std::ranges::any_of(roots_, [&](const std::string& root) { return is_at_or_below(real_path, root); });
}

std::string InstallRoots::inside(const std::string& real_path) const {
  const auto below = relative_to(real_path, surroundings_.real_home);
  return below ? join(surroundings_.home, *below) : real_path;
}

std::vector<Mount> InstallRoots::mounts() const {
  std::vector<Mount> mounts;
  for (const std::string& root : roots_) {
    const auto status = tree_.status(root);
    if (!status) continue;
    const bool store = root == "/nix/store" || root == "/gnu/store";  // the system's own: no sockets, no credentials
    Mount mount{.kind = S_ISDIR(status->st_mode) && !store ? MountKind::overlay_read : MountKind::bind,
                .source = root,
                .target = inside(root)};
    // As root the agent is somebody else: what only the owner may read needs the owner's mapping.
    const bool closed = (status->st_mode & 0005) != 0005 || is_at_or_below(root, surroundings_.real_home);
    mount.persons_tree = status->st_uid == surroundings_.uid && closed && !store;
    if (S_ISDIR(status->st_mode) && !store) mount.hidden = credentials_below(tree_, root);
    mounts.push_back(std::move(mount));
  }
  std::ranges::sort(mounts, {}, &Mount::target);
  return mounts;
}

}  // namespace stockade::sandbox
