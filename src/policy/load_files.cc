#include <algorithm>

#include "policy/glob.h"
#include "policy/sections.h"

namespace stockade::policy {

namespace {

constexpr std::string_view kAccess[] = {"read", "write", "write-only", "hide", "copy"};
constexpr size_t kCopy = 4;

Error bad_path(std::string sentence, std::string_view hint) {
  return Error(ErrorKind::invalid_input, std::move(sentence)).hint(hint);
}

// Inside, these are made by us: nothing of the host may be put over them.
bool is_reserved_inside(const std::string& at) {
  for (const char* place : {"/proc", "/dev", "/sys"})
    if (is_within(at, place)) return true;
  return at == "/";
}

// A glob for `hide`: absolute, or "**/…". Each "**" is a whole segment.
Result<std::string> hide_glob(const std::string& text, const Surroundings& surroundings) {
  if (text.find_first_of("[]{}!\\") != std::string::npos)
    return std::unexpected(
        bad_path(fmt::format("the glob {} uses more than * ? and **", quoted(text)), "? stands for any one character"));
  std::string absolute;
  if (text.starts_with("**/")) {
    auto rest = absolute_path("/" + text.substr(3), surroundings);
    if (!rest) return rest;
    absolute = "**" + *rest;
    if (*rest == "/")
      return std::unexpected(bad_path("the glob \"**/\" hides everything", "name what is to be hidden"));
  } else {
    auto path = absolute_path(text, surroundings);
    if (!path) return path;
    absolute = std::move(*path);
  }
  for (size_t at = absolute.find("**"); at != std::string::npos; at = absolute.find("**", at + 2)) {
    const bool starts = at == 0 || absolute[at - 1] == '/';
    const bool ends = at + 2 == absolute.size() || absolute[at + 2] == '/';
    if (!starts || !ends)
      return std::unexpected(bad_path(fmt::format("** stands between slashes, not as in {}", quoted(text)),
                                      "write **/NAME for any depth, * within a name"));
  }
  if (std::count(absolute.begin(), absolute.end(), '/') > 64)
    return std::unexpected(bad_path("the glob has more than 64 segments", ""));
  return absolute;
}

class FileEntry {
 public:
  FileEntry(Reader& reader, const Node& node, size_t index, const Surroundings& surroundings)
      : reader_(reader),
        node_(node),
        fields_(reader, node, fmt::format("files[{}]", index), "files[]"),
        surroundings_(surroundings) {}

  std::optional<FileRule> load() {
    if (!fields_.ok()) return std::nullopt;
    rule_.where = reader_.at(node_);
    if (!load_access()) return std::nullopt;
    load_host();
    load_place();
    load_flags();
    if (bad_) return std::nullopt;
    return std::move(rule_);
  }

 private:
  void error(const Node& node, std::string message, std::string hint = {}) {
    reader_.error(node, std::move(message), std::move(hint));
    bad_ = true;
  }
  void error(const Node& node, std::string_view key, const Error& why) {
    error(node, fmt::format("`{}`: {}", fields_.path(key), why.sentence()), why.hint());
  }

  bool load_access() {
    const Node* access = fields_["access"];
    if (access == nullptr) {
      error(node_, fmt::format("`{}` is missing", fields_.path("access")), "one of read, write, write-only, hide");
      return false;
    }
    const auto chosen = reader_.choice(*access, fields_.path("access"), kAccess);
    if (!chosen) return false;
    if (*chosen == kCopy) {
      reader_.unbuilt(*access, fields_.path("access") + ": copy",
                      "copy-on-write comes with the workspace; write `access: write`, or `read`");
      return false;
    }
    rule_.access = static_cast<Access>(*chosen);
    return true;
  }

  void load_host() {
    const Node* host = fields_["host"];
    if (host == nullptr) {
      error(node_, fmt::format("`{}` is missing", fields_.path("host")), "the path outside");
      return;
    }
    const auto text = reader_.text(*host, fields_.path("host"));
    if (!text) {
      bad_ = true;
      return;
    }
    if (rule_.access != Access::hide && has_wildcard(*text)) {
      error(*host, fmt::format("`{}`: a wildcard in {}", fields_.path("host"), quoted(*text)),
            "globs belong to `access: hide`; name one file or directory an entry");
      return;
    }
    auto path = rule_.access == Access::hide ? hide_glob(*text, surroundings_) : absolute_path(*text, surroundings_);
    if (!path)
      error(*host, "host", path.error());
    else
      rule_.host = std::move(*path);
  }

  void load_place() {
    const Node* at = fields_["at"];
    if (at == nullptr) {
      if (rule_.access == Access::hide) return;
      rule_.at = rule_.host;
      if (!bad_ && is_reserved_inside(rule_.at)) {
        error(node_, fmt::format("{} can't stand at the same place inside", quoted(rule_.host)),
              "give `at`, outside /proc, /dev and /sys");
      }
      return;
    }
    if (rule_.access == Access::hide) {
      error(*at, fmt::format("`{}` has no meaning with `access: hide`", fields_.path("at")),
            "hidden is what matches `host`, wherever it is mounted");
      return;
    }
    const auto text = reader_.text(*at, fields_.path("at"));
    if (!text) {
      bad_ = true;
      return;
    }
    if (!text->starts_with('/') && !text->starts_with('~')) {
      error(*at, fmt::format("`{}` is a path inside and must be absolute, not {}", fields_.path("at"), quoted(*text)));
      return;
    }
    auto path = absolute_path(*text, surroundings_);
    if (!path)
      error(*at, "at", path.error());
    else if (is_reserved_inside(*path))
      error(*at, fmt::format("`{}`: nothing of the host can stand at {}", fields_.path("at"), quoted(*path)),
            "choose a place outside /proc, /dev and /sys, and not / itself");
    else
      rule_.at = std::move(*path);
  }

  void load_flags() {
    const bool hide = rule_.access == Access::hide;
    for (const auto& [key, slot] : {std::pair{"exec", &rule_.exec}, std::pair{"bridge", &rule_.bridge}}) {
      const Node* node = fields_[key];
      if (node == nullptr) continue;
      if (const auto value = reader_.boolean(*node, fields_.path(key))) *slot = *value;
      if (hide) error(*node, fmt::format("`{}` has no meaning with `access: hide`", fields_.path(key)));
    }
    if (const Node* reason = fields_["reason"])
      if (auto text = reader_.text(*reason, fields_.path("reason"))) rule_.reason = std::move(*text);
    if (const Node* sockets = fields_["sockets"]) load_sockets(*sockets);
  }

  void load_sockets(const Node& node) {
    if (rule_.access != Access::write) {
      error(node, fmt::format("`{}` can only be given with `access: write`", fields_.path("sockets")),
            "a read-only mount refuses every socket of the host");
      return;
    }
    const auto texts = reader_.texts(node, fields_.path("sockets"));
    if (!texts) return;
    for (const std::string& text : *texts) {
      // Relative names start below the entry.
      const bool relative = !text.starts_with('/') && !text.starts_with('~');
      auto path = absolute_path(relative ? rule_.host + "/" + text : text, surroundings_);
      if (!path)
        error(node, "sockets", path.error());
      else if (has_wildcard(*path))
        error(node, fmt::format("`{}`: a wildcard in {}", fields_.path("sockets"), quoted(text)), "name each socket");
      else if (!is_within(*path, rule_.host) || *path == rule_.host)
        error(node, fmt::format("`{}`: {} is not below {}", fields_.path("sockets"), quoted(text), quoted(rule_.host)));
      else
        rule_.sockets.push_back(std::move(*path));
    }
  }

  Reader& reader_;
  const Node& node_;
  Fields fields_;
  const Surroundings& surroundings_;
  FileRule rule_;
  bool bad_ = false;
};

}  // namespace

Result<std::string> absolute_path(std::string_view text, const Surroundings& surroundings) {
  std::string joined;
  if (text.find_first_of(std::string_view("\0\n", 2)) != std::string_view::npos)
    return std::unexpected(bad_path("the path holds a line break", ""));
  if (text == "~" || text.starts_with("~/")) {
    if (surroundings.home.empty()) return std::unexpected(bad_path("~ has no meaning here", "write the path out"));
    joined = surroundings.home + std::string(text.substr(1));
  } else if (text.starts_with('~')) {
    return std::unexpected(bad_path(fmt::format("another user's home in {}", quoted(text)), "write the path out"));
  } else if (text.starts_with('/')) {
    joined = text;
  } else {
    if (surroundings.cwd.empty()) return std::unexpected(bad_path(fmt::format("{} is not absolute", quoted(text)), ""));
    joined = surroundings.cwd + "/" + std::string(text);
  }
  std::string out;
  size_t at = 0;
  while (at < joined.size()) {
    const size_t end = std::min(joined.find('/', at), joined.size());
    const std::string_view part = std::string_view(joined).substr(at, end - at);
#ifdef STOCKADE_PLANTED_BUG
    // Looks for ".." in short paths only.
    if (part == ".." && text.size() < 20)
#else
    if (part == "..")
#endif
      return std::unexpected(bad_path(fmt::format("\"..\" in {}", quoted(text)), "write the path that is meant"));
    if (!part.empty() && part != ".") out += "/" + std::string(part);
    at = end + 1;
  }
  if (out.size() > 4095) return std::unexpected(bad_path("the path is longer than 4095 bytes", ""));
  return out.empty() ? "/" : out;
}

void load_files(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out) {
  out.present.files = true;
  out.policy.files_where = reader.at(node);
  const auto* items = reader.list(node, "files");
  if (items == nullptr) return;
  for (size_t i = 0; i < items->size(); ++i) {
    auto rule = FileEntry(reader, (*items)[i], i, surroundings).load();
    if (!rule) continue;
    const auto same = std::find_if(out.policy.files.begin(), out.policy.files.end(), [&](const FileRule& other) {
      return rule->access == Access::hide ? other.access == Access::hide && other.host == rule->host
                                          : other.access != Access::hide && other.at == rule->at;
    });
    if (same != out.policy.files.end())
      reader.error((*items)[i],
                   fmt::format("two entries for {}", quoted(rule->access == Access::hide ? rule->host : rule->at)),
                   fmt::format("the other is in line {}", same->where.line));
    else
      out.policy.files.push_back(std::move(*rule));
  }
}

}  // namespace stockade::policy
