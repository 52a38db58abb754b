#include "policy/glob.h"

#include <vector>

namespace stockade::policy {

namespace {

std::vector<std::string_view> segments(std::string_view path) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto slash = path.find('/');
    parts.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    path.remove_prefix(slash + 1);
  }
}

// The classic two-pointer match: one point of return is enough, because the latest star can absorb what any earlier
// one could.
bool segment_matches(std::string_view glob, std::string_view text) {
  size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

using Parts = std::vector<std::string_view>;

// The same two pointers again, over segments: "**" is the star.
bool parts_match(const Parts& glob, const Parts& path) {
  constexpr size_t kNone = static_cast<size_t>(-1);
  size_t g = 0, p = 0, star = kNone, resume = 0;
  while (p < path.size()) {
    if (g < glob.size() && glob[g] == "**") {
      star = g++;
      resume = p;
      continue;
    }
    if (g < glob.size() && segment_matches(glob[g], path[p])) {
      ++g;
      ++p;
    } else if (star != kNone) {
      g = star + 1;
      p = ++resume;
    } else {
      return false;
    }
  }
  // "/v1/**" asks for the slash: "/v1" has no segment left for it and does not match.
  return g == glob.size();
}

}  // namespace

bool has_wildcard(std::string_view text) { return text.find_first_of("*?") != std::string_view::npos; }

bool glob_matches(std::string_view glob, std::string_view path) {
  const Parts parts = segments(glob);
  // A "**" at the end matches one segment or more (which may be empty: "/v1/"), elsewhere none or more.
  return parts_match(parts, segments(path));
}

bool hide_matches(std::string_view glob, std::string_view path) {
  // The path itself, then each of its parents.
  while (!path.empty()) {
    if (glob_matches(glob, path)) return true;
    const auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return false;
    path = path.substr(0, slash);
  }
  return false;
}

bool glob_covers(std::string_view outer, std::string_view inner) {
  if (outer == inner) return true;
  if (!has_wildcard(inner)) return glob_matches(outer, inner);
  // PREFIX/** covers whatever begins with PREFIX/ literally.
  if (!outer.ends_with("/**")) return false;
  const std::string_view prefix = outer.substr(0, outer.size() - 2);
  return !has_wildcard(prefix) && inner.starts_with(prefix);
}

bool is_within(std::string_view path, std::string_view parent) {
  if (parent == "/") return path.starts_with('/');
  if (!path.starts_with(parent)) return false;
  return path.size() == parent.size() || path[parent.size()] == '/';
}

}  // namespace stockade::policy
