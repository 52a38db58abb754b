#include "sandbox/workspace_guard.h"

#include <dirent.h>

#include <algorithm>
#include <array>

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

// Others' code and outputs: too many directories, and nothing in them runs in the person's shell or editor by itself.
constexpr std::array kPassedOver = {
    ".cache"sv, ".git"sv,          ".gradle"sv,      ".hg"sv,    ".mypy_cache"sv, ".next"sv,
    ".nox"sv,   ".pytest_cache"sv, ".svn"sv,         ".tox"sv,   ".venv"sv,       "__pycache__"sv,
    "build"sv,  "dist"sv,          "node_modules"sv, "target"sv, "venv"sv,
};
static_assert(std::ranges::is_sorted(kPassedOver));

// A submodule's hooks lie in its parent's .git/modules/NAME/hooks, nested ones deeper.
void add_module_hooks(const HostTree& tree, const std::string& root, const std::string& modules, int depth,
                      std::vector<std::string>& read_only) {
  std::vector<std::string> names;
  bool has_hooks = false;
  (void)tree.list(join(root, modules), [&](const HostTree::Entry& entry) {
    if (entry.type == DT_DIR && entry.name == "hooks") has_hooks = true;
    if (entry.type == DT_DIR && entry.name != "objects" && entry.name != "refs" && entry.name != "logs") {
      names.emplace_back(entry.name);
    }
    return names.size() < kScanDirectories;
  });
  if (has_hooks && depth > 0) read_only.push_back(modules + "/hooks");
  if (depth == 4) return;
  for (const std::string& name : names) {
    if (name != "hooks" && name != "info") add_module_hooks(tree, root, modules + "/" + name, depth + 1, read_only);
  }
}

void add_repository(const HostTree& tree, const std::string& root, const std::string& git,
                    std::vector<std::string>& read_only) {
  const auto hooks = tree.link_status(join(root, git + "/hooks"));
  if (hooks && S_ISDIR(hooks->st_mode)) read_only.push_back(git + "/hooks");
  const auto modules = tree.link_status(join(root, git + "/modules"));
  if (modules && S_ISDIR(modules->st_mode)) add_module_hooks(tree, root, git + "/modules", 0, read_only);
}

}  // namespace

std::string why_broad(const Surroundings& surroundings, std::string_view real_path) {
  if (real_path == "/") return "it is the whole machine";
  for (const std::string* home : {&surroundings.home, &surroundings.real_home, &surroundings.account_home}) {
    if (home->empty()) continue;
    if (real_path == *home) return "it is your home";
    if (is_at_or_below(*home, real_path)) return "it holds your home";
  }
  if (is_at_or_below(real_path, "/etc")) return "it is the system's configuration";
  for (const std::string* own : {&surroundings.state_dir, &surroundings.runtime_dir, &surroundings.config_dir}) {
    if (own->empty()) continue;
    if (is_at_or_below(real_path, *own)) return "it is Stockade's own state";
  }
  for (const std::string_view place : {"/root"sv, "/home"sv, "/var"sv, "/run"sv, "/usr"sv, "/boot"sv}) {
    if (real_path == place) return "it is a directory of the whole system";
  }
  return {};
}

std::vector<std::string> own_state_below(const HostTree& tree, const Surroundings& surroundings,
                                         const std::string& real_path) {
  std::vector<std::string> found;
  for (const std::string* own : {&surroundings.state_dir, &surroundings.runtime_dir, &surroundings.config_dir}) {
    if (own->empty()) continue;
    // By text first: our directories are rarely below a workspace, and looking them up costs.
    const bool may_be_below = is_at_or_below(*own, real_path) || is_at_or_below(surroundings.real_home, real_path) ||
                              surroundings.real_home != surroundings.home;
    if (!may_be_below) continue;
    const auto located = tree.locate(*own);
    if (!located) continue;
    const auto below = relative_to(located->path, real_path);
    if (below && !below->empty()) found.push_back(*below);
  }
  std::ranges::sort(found);
  std::vector<std::string> outermost;
  for (std::string& path : found) {
    if (outermost.empty() || !is_at_or_below(path, outermost.back())) outermost.push_back(std::move(path));
  }
  return outermost;
}

bool scan_workspace(const HostTree& tree, const std::string& root,
                    const std::function<void(const std::string&, const HostTree::Entry&)>& visit) {
  struct Directory {
    std::string relative;
    int depth;
  };
  std::vector<Directory> queue{{"", 0}};
  bool complete = true;
  for (size_t next = 0; next < queue.size(); ++next) {
    const Directory current = queue[next];
    std::vector<std::string> below;
    (void)tree.list(join(root, current.relative), [&](const HostTree::Entry& entry) {
      visit(current.relative, entry);
      if (entry.type == DT_DIR && !std::ranges::binary_search(kPassedOver, entry.name)) {
        below.push_back(current.relative.empty() ? std::string(entry.name)
                                                 : current.relative + "/" + std::string(entry.name));
      }
      return true;
    });
    if (current.depth == kScanDepth) {
      complete = complete && below.empty();
      continue;
    }
    std::ranges::sort(below);  // the same directories whatever order the file system lists them in
    for (std::string& relative : below) {
      if (queue.size() == kScanDirectories) {
        complete = false;
        break;
      }
      queue.push_back({std::move(relative), current.depth + 1});
    }
  }
  return complete;
}

Protections protections_of(const HostTree& tree, const std::string& root) {
  Protections found;
  std::vector<std::string> repositories;
  std::vector<std::string> editors;
  found.complete = scan_workspace(tree, root, [&](const std::string& directory, const HostTree::Entry& entry) {
    const auto relative = [&] {
      return directory.empty() ? std::string(entry.name) : directory + "/" + std::string(entry.name);
    };
    if (entry.type == DT_DIR) {
      if (entry.name == ".git")
        repositories.push_back(relative());
      else if (entry.name == ".husky")
        found.read_only.push_back(relative());
      else if (entry.name == ".vscode")
        editors.push_back(relative());
    } else if (entry.type == DT_REG && (entry.name == ".envrc" || entry.name == ".mcp.json")) {
      found.read_only.push_back(relative());
    }
  });
  for (const std::string& git : repositories) add_repository(tree, root, git, found.read_only);
  for (const std::string& editor : editors) {
    const auto tasks = tree.link_status(join(root, editor + "/tasks.json"));
    if (tasks && S_ISREG(tasks->st_mode)) found.read_only.push_back(editor + "/tasks.json");
  }
  // A bare repository, or the inside of one, as the mount itself.
  const auto hooks = tree.link_status(join(root, "hooks"));
  if (hooks && S_ISDIR(hooks->st_mode) && tree.link_status(join(root, "HEAD")) &&
      tree.link_status(join(root, "objects"))) {
    found.read_only.emplace_back("hooks");
  }
  std::ranges::sort(found.read_only);
  return found;
}

}  // namespace stockade::sandbox
