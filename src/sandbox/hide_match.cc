#include "sandbox/hide_match.h"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "policy/glob.h"

namespace stockade::sandbox {
namespace {

using FileId = std::pair<dev_t, ino_t>;

struct Glob {
  std::string text;      // its fixed part is a real path
  std::string start;     // the fixed part: where a walk begins; "/" for "**/…"
  std::string literal;   // "**/NAME" without wildcards: comparing the base name is enough
  bool is_path = false;  // no wildcard at all
};

Glob prepare(const HostTree& tree, const std::string& text) {
  Glob glob{.text = text, .start = "/", .literal = {}};
  if (text.starts_with("**/")) {
    const std::string rest = text.substr(3);
    if (rest.find('/') == std::string::npos && !policy::has_wildcard(rest)) glob.literal = rest;
    return glob;
  }
  // The trees are real paths, so the fixed part must be one; the last component stays what it is (it may be a link).
  const size_t wildcard = text.find_first_of("*?[{");
  glob.is_path = wildcard == std::string::npos;
  const size_t slash = glob.is_path ? text.rfind('/') : text.rfind('/', wildcard);
  const std::string directory = slash == 0 ? "/" : text.substr(0, slash);
  const std::string rest = text.substr(slash + 1);
  const auto found = tree.locate(directory);
  const std::string real = found ? found->path : directory;
  glob.start = glob.is_path ? join(real, rest) : real;
  glob.text = join(real, rest);
  return glob;
}

class Search {
 public:
  Search(const HostTree& tree, const std::vector<std::string>& globs, std::vector<HideTree>& trees, size_t limit)
      : tree_(tree), trees_(trees), left_(limit), limit_(limit) {
    for (const std::string& text : globs) globs_.push_back(prepare(tree, text));
  }

  Result<void> run() {
    for (HideTree& mounted : trees_) STOCKADE_TRY(search(mounted));
    for (const std::string& path : link_targets_) hide_everywhere(path);
    STOCKADE_TRY(find_other_names());
    for (HideTree& mounted : trees_) tidy(mounted.hidden);
    return {};
  }

 private:
  bool matches(const std::string& path, std::string_view name) const {
    return std::ranges::any_of(globs_, [&](const Glob& glob) {
      return glob.literal.empty() ? policy::hide_matches(glob.text, path) : glob.literal == name;
    });
  }

  Result<void> search(HideTree& mounted) {
    for (std::string path = mounted.source; path != "/"; path = parent_of(path)) {
      if (matches(path, base_name(path))) {
        return fail(ErrorKind::invalid_input, "{} is mounted, and hidden as a whole by a `hide` glob", mounted.source);
      }
    }
    std::vector<std::string> starts;
    for (const Glob& glob : globs_) {
      if (is_at_or_below(mounted.source, glob.start)) {
        starts = {mounted.source};
        break;
      }
      if (!is_at_or_below(glob.start, mounted.source)) continue;
      if (!glob.is_path) {
        starts.push_back(glob.start);
      } else if (const auto status = tree_.link_status(glob.start)) {
        take(mounted, glob.start, S_ISLNK(status->st_mode));
      }
    }
    for (const std::string& start : starts) STOCKADE_TRY(walk(mounted, start));
    return {};
  }

  Result<void> walk(HideTree& mounted, const std::string& start) {
    return each_entry(start, [&](const std::string& path, const HostTree::Entry& entry) {
      if (!matches(path, entry.name)) return true;
      take(mounted, path, entry.type == DT_LNK);
      return false;
    });
  }

  // Visits everything below `start`; false from `visit` keeps it from descending.
  template <typename Visit>
  Result<void> each_entry(const std::string& start, Visit visit) {
    std::vector<std::string> directories{start};
    while (!directories.empty()) {
      const std::string directory = std::move(directories.back());
      directories.pop_back();
      auto listed = tree_.list(directory, [&](const HostTree::Entry& entry) {
        if (left_ == 0) return false;
        --left_;
        std::string path = join(directory, entry.name);
        if (visit(path, entry) && entry.type == DT_DIR) directories.push_back(std::move(path));
        return true;
      });
      if (left_ == 0) {
        return std::unexpected(
            Error(ErrorKind::invalid_input,
                  fmt::format("the mounted trees have more than {} entries: `hide` can't be searched", limit_))
                .hint("mount a smaller directory, or write the hidden paths without wildcards"));
      }
      // What we may not list, the agent, with no more rights than ours, may not either; as root it can't happen.
      if (!listed && listed.error().error_number() != EACCES && listed.error().error_number() != ENOENT &&
          listed.error().error_number() != ENOTDIR) {
        return std::unexpected(std::move(listed).error().context("search what `hide` names"));
      }
    }
    return {};
  }

  void take(HideTree& mounted, const std::string& path, bool is_link) {
    if (is_link) {
      if (const auto target = tree_.locate(path)) link_targets_.push_back(target->path);
      if (!mounted.masks_links) return;
    }
    mounted.hidden.push_back(*relative_to(path, mounted.source));
    if (!is_link) remember(path);
  }

  void hide_everywhere(const std::string& path) {
    for (HideTree& mounted : trees_) {
      const auto below = relative_to(path, mounted.source);
      if (below && !below->empty()) mounted.hidden.push_back(*below);
    }
    remember(path);
  }

  // Notes the file, or the files below the directory, that have further names.
  void remember(const std::string& path) {
    const auto status = tree_.link_status(path);
    if (!status) return;
    if (S_ISREG(status->st_mode) && status->st_nlink > 1) linked_.insert({status->st_dev, status->st_ino});
    if (!S_ISDIR(status->st_mode)) return;
    hidden_directories_.push_back(path);
  }

  Result<void> find_other_names() {
    for (const std::string& directory : hidden_directories_) {
      STOCKADE_TRY(each_entry(directory, [&](const std::string& path, const HostTree::Entry& entry) {
        if (entry.type != DT_REG) return true;
        const auto status = tree_.link_status(path);
        if (status && status->st_nlink > 1) linked_.insert({status->st_dev, status->st_ino});
        return true;
      }));
    }
    if (linked_.empty()) return {};
    std::set<ino_t> inodes;
    for (const FileId& id : linked_) inodes.insert(id.second);
    for (HideTree& mounted : trees_) {
      STOCKADE_TRY(each_entry(mounted.source, [&](const std::string& path, const HostTree::Entry& entry) {
        if (entry.type != DT_REG || !inodes.contains(entry.inode)) return true;
        const auto status = tree_.link_status(path);
        if (status && linked_.contains({status->st_dev, status->st_ino})) {
          mounted.hidden.push_back(*relative_to(path, mounted.source));
        }
        return true;
      }));
    }
    return {};
  }

  static void tidy(std::vector<std::string>& paths) {
    const std::set<std::string, std::less<>> all(paths.begin(), paths.end());
    paths.clear();
    for (const std::string& path : all) {
      bool below = false;
      for (size_t slash = path.find('/'); slash != std::string::npos && !below; slash = path.find('/', slash + 1)) {
        below = all.contains(std::string_view(path).substr(0, slash));
      }
      if (!below) paths.push_back(path);
    }
  }

  const HostTree& tree_;
  std::vector<HideTree>& trees_;
  std::vector<Glob> globs_;
  std::vector<std::string> link_targets_;
  std::vector<std::string> hidden_directories_;
  std::set<FileId> linked_;
  size_t left_;
  size_t limit_;
};

}  // namespace

Result<void> find_hidden(const HostTree& tree, const std::vector<std::string>& globs, std::vector<HideTree>& trees,
                         size_t entry_limit) {
  if (globs.empty() || trees.empty()) return {};
  return Search(tree, globs, trees, entry_limit).run();
}

}  // namespace stockade::sandbox
