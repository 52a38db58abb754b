#include "sandbox/persistence_watch.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "sandbox/workspace_guard.h"

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

constexpr size_t kComparedSize = 8 * 1024;
constexpr size_t kComparedTotal = 512 * 1024;
constexpr size_t kSeenLimit = 20'000;  // files; an agent may make millions
constexpr size_t kNamedLimit = 20;     // findings in a sentence
constexpr size_t kNamedLength = 200;   // bytes of each

// Base names, anywhere in the workspace.
constexpr std::array kNames = {
    ".bash_profile"sv,
    ".bashrc"sv,
    ".cursorrules"sv,
    ".envrc"sv,
    ".git"sv,
    ".gitattributes"sv,
    ".gitlab-ci.yml"sv,
    ".gitmodules"sv,
    ".mcp.json"sv,
    ".npmrc"sv,
    ".pnpmfile.cjs"sv,
    ".pre-commit-config.yaml"sv,
    ".profile"sv,
    ".stockade.yaml"sv,
    ".tool-versions"sv,
    ".windsurfrules"sv,
    ".yarnrc"sv,
    ".yarnrc.yml"sv,
    ".zshrc"sv,
    "AGENTS.md"sv,
    "CLAUDE.local.md"sv,
    "CLAUDE.md"sv,
    "CMakeLists.txt"sv,
    "Cargo.toml"sv,
    "Dockerfile"sv,
    "GEMINI.md"sv,
    "GNUmakefile"sv,
    "Gemfile"sv,
    "Jenkinsfile"sv,
    "Justfile"sv,
    "Makefile"sv,
    "Procfile"sv,
    "Rakefile"sv,
    "Taskfile.yml"sv,
    "Vagrantfile"sv,
    "azure-pipelines.yml"sv,
    "bitbucket-pipelines.yml"sv,
    "bower.json"sv,
    "build.gradle"sv,
    "build.gradle.kts"sv,
    "build.rs"sv,
    "build.sbt"sv,
    "compose.yaml"sv,
    "compose.yml"sv,
    "composer.json"sv,
    "configure"sv,
    "conftest.py"sv,
    "deno.json"sv,
    "devcontainer.json"sv,
    "docker-compose.yaml"sv,
    "docker-compose.yml"sv,
    "eslint.config.js"sv,
    "flake.nix"sv,
    "gradlew"sv,
    "justfile"sv,
    "lefthook.yml"sv,
    "makefile"sv,
    "meson.build"sv,
    "mise.toml"sv,
    "mvnw"sv,
    "noxfile.py"sv,
    "opencode.json"sv,
    "package.json"sv,
    "pom.xml"sv,
    "pyproject.toml"sv,
    "setup.cfg"sv,
    "setup.py"sv,
    "shell.nix"sv,
    "sitecustomize.py"sv,
    "tasks.py"sv,
    "tox.ini"sv,
    "usercustomize.py"sv,
    "vite.config.js"sv,
    "vite.config.ts"sv,
};
static_assert(std::ranges::is_sorted(kNames));

// Directories whose every file counts.
constexpr std::array kDirectories = {
    ".cargo"sv,        ".circleci"sv, ".claude"sv, ".codex"sv, ".copilot"sv, ".cursor"sv,
    ".devcontainer"sv, ".gemini"sv,   ".husky"sv,  ".idea"sv,  ".vscode"sv,  "git-hooks"sv,
};
static_assert(std::ranges::is_sorted(kDirectories));

bool has_component(std::string_view path, std::string_view first, std::string_view second) {
  const std::string pair = std::string(first) + "/" + std::string(second) + "/";
  return path.starts_with(pair) || path.find("/" + pair) != std::string_view::npos;
}

}  // namespace

bool runs_later(std::string_view path) {
  if (std::ranges::binary_search(kNames, base_name(path)) || path.ends_with(".pth")) return true;
  if (path == ".git/config" || path.ends_with("/.git/config") || has_component(path, ".git", "hooks") ||
      has_component(path, ".github", "workflows") || has_component(path, ".github", "actions")) {
    return !path.ends_with(".sample");
  }
  for (size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    const std::string_view directory = base_name(path.substr(0, slash));
    if (std::ranges::binary_search(kDirectories, directory)) return true;
  }
  return false;
}

PersistenceWatch::Snapshot PersistenceWatch::take(const HostTree& tree, const std::string& root,
                                                  const Snapshot* earlier, bool& complete) {
  Snapshot snapshot;
  std::vector<std::string> repositories;
  std::set<std::string> with_head;
  bool bounded = false;
  const auto note = [&](const std::string& path, bool obeyed) {
    if (!obeyed || snapshot.contains(path)) return;
    if (snapshot.size() == kSeenLimit) {
      bounded = true;
      return;
    }
    const auto status = tree.link_status(join(root, path));
    if (!status || S_ISDIR(status->st_mode)) return;
    snapshot[path] = Seen{.inode = status->st_ino,
                          .size = status->st_size,
                          .changed_seconds = status->st_ctim.tv_sec,
                          .changed_nanoseconds = status->st_ctim.tv_nsec,
                          .mode = status->st_mode,
                          .content = {}};
  };
  complete = scan_workspace(tree, root, [&](const std::string& directory, const HostTree::Entry& entry) {
    const std::string path = directory.empty() ? std::string(entry.name) : directory + "/" + std::string(entry.name);
    if (entry.name == ".git" && entry.type == DT_DIR) repositories.push_back(path);
    if (entry.name == "HEAD") with_head.insert(directory);
    if (entry.type != DT_DIR) note(path, runs_later(path));
  });
  // Git takes any directory that looks like a repository for one, and obeys its configuration.
  for (const std::string& directory : with_head) {
    const std::string prefix = directory.empty() ? "" : directory + "/";
    if (tree.link_status(join(root, prefix + "objects")) && tree.link_status(join(root, prefix + "refs")))
      repositories.push_back(directory);
  }
  for (const std::string& git : repositories) {
    const std::string prefix = git.empty() ? "" : git + "/";
    for (const std::string_view name : {"config"sv, "config.worktree"sv, "commondir"sv, "info/attributes"sv})
      note(prefix + std::string(name), true);
    (void)tree.list(join(root, prefix + "hooks"), [&](const HostTree::Entry& entry) {
      note(prefix + "hooks/" + std::string(entry.name), !entry.name.ends_with(".sample"));
      return true;
    });
  }
  complete = complete && !bounded;
  size_t total = 0;
  for (auto& [path, seen] : snapshot) {
    // After the run only what looks changed is read.
    if (earlier != nullptr) {
      const auto before = earlier->find(path);
      if (before == earlier->end() || !before->second.has_content) continue;
    }
    if (S_ISLNK(seen.mode)) {
      seen.content = tree.read_link(join(root, path)).value_or("");
      seen.has_content = true;
    } else if (S_ISREG(seen.mode) && seen.size <= static_cast<int64_t>(kComparedSize) && total < kComparedTotal) {
      auto bytes = tree.read(join(root, path), kComparedSize);
      if (!bytes) continue;
      total += bytes->size();
      seen.content = std::move(*bytes);
      seen.has_content = true;
    }
  }
  return snapshot;
}

PersistenceWatch PersistenceWatch::before(const HostTree& tree, std::string root) {
  PersistenceWatch watch;
  watch.root_ = std::move(root);
  watch.snapshot_ = take(tree, watch.root_, nullptr, watch.complete_);
  return watch;
}

PersistenceWatch::Report PersistenceWatch::after(const HostTree& tree) const {
  Report report;
  std::vector<Finding>& findings = report.findings;
  const Snapshot now = take(tree, root_, &snapshot_, report.complete);
  report.complete = report.complete && complete_;
  for (const auto& [path, seen] : now) {
    const auto earlier = snapshot_.find(path);
    if (earlier == snapshot_.end()) {
      findings.push_back({path, Change::made});
      continue;
    }
    const Seen& before = earlier->second;
    const bool untouched = before.inode == seen.inode && before.size == seen.size && before.mode == seen.mode &&
                           before.changed_seconds == seen.changed_seconds &&
                           before.changed_nanoseconds == seen.changed_nanoseconds;
    const bool same =
        before.has_content && seen.has_content && before.content == seen.content && before.mode == seen.mode;
    if (!untouched && !same) findings.push_back({path, Change::changed});
  }
  for (const auto& [path, seen] : snapshot_) {
    // Beyond the bound a file may only have slipped out of sight.
    if (!now.contains(path) && !tree.link_status(join(root_, path))) findings.push_back({path, Change::removed});
  }
  std::ranges::sort(findings, {}, &Finding::path);
  return report;
}

std::string to_text(const std::vector<PersistenceWatch::Finding>& findings) {
  std::string out;
  for (size_t i = 0; i < std::min(findings.size(), kNamedLimit); ++i) {
    const auto& finding = findings[i];
    if (!out.empty()) out += ", ";
    out += finding.path.size() <= kNamedLength ? finding.path : finding.path.substr(0, kNamedLength) + "…";
    switch (finding.change) {
      case PersistenceWatch::Change::made:
        out += " made";
        break;
      case PersistenceWatch::Change::changed:
        out += " changed";
        break;
      case PersistenceWatch::Change::removed:
        out += " removed";
        break;
    }
  }
  if (findings.size() > kNamedLimit) out += fmt::format(", and {} more", findings.size() - kNamedLimit);
  return out;
}

}  // namespace stockade::sandbox
