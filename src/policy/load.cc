#include "policy/load.h"

#include <algorithm>
#include <tuple>

#include "policy/glob.h"
#include "policy/sections.h"

namespace stockade::policy {

namespace {

void load_run(Reader& reader, const Node& node, LoadOutcome& out) {
  const Fields run(reader, node, "run", "run");
  out.present.run = true;
  if (const Node* command = run["command"]) {
    if (auto words = reader.texts(*command, "run.command")) {
      if (words->empty()) reader.error(*command, "`run.command` is an empty list", "name a program");
      out.policy.run.command = std::move(*words);
    }
  }
  if (const Node* workdir = run["workdir"]) {
    if (auto path = reader.text(*workdir, "run.workdir")) {
      Surroundings inside;
      if (!path->starts_with('/'))
        reader.error(*workdir, fmt::format("`run.workdir` is a path inside the sandbox and must be absolute, not {}",
                                           quoted(*path)));
      else if (auto absolute = absolute_path(*path, inside))
        out.policy.run.workdir = std::move(*absolute);
      else
        reader.error(*workdir, fmt::format("`run.workdir`: {}", absolute.error().sentence()), absolute.error().hint());
    }
  }
}

void load_tools(Reader& reader, const Node& node, LoadOutcome& out) {
  const Fields tools(reader, node, "tools", "tools");
  const Node* programs = tools["programs"];
  if (programs == nullptr) return;
  const Fields fields(reader, *programs, "tools.programs", "tools.programs");
  const Node* allow = fields["allow"];
  if (allow == nullptr) return;
  out.present.programs = true;
  out.policy.programs.where = reader.at(*allow);
  out.policy.programs.allow.emplace();
  const auto* items = reader.list(*allow, "tools.programs.allow");
  if (items == nullptr) return;
  for (const Node& item : *items) {
    std::string name;
    if (check_program(reader, item, "tools.programs.allow", name))
      out.policy.programs.allow->push_back(std::move(name));
  }
}

void load_limits(Reader& reader, const Node& node, LoadOutcome& out) {
  const Fields fields(reader, node, "limits", "limits");
  Limits& limits = out.policy.limits;
  limits.where = reader.at(node);
  if (const Node* time = fields["time"]) limits.time = reader.duration(*time, "limits.time");
  if (const Node* approval = fields["approval"]) limits.approval = reader.duration(*approval, "limits.approval");
  if (const Node* bytes = fields["bytes_out"]) limits.bytes_out = reader.size(*bytes, "limits.bytes_out", 1);
  const auto counter = [&](const char* key, std::optional<uint64_t>& slot) {
    if (const Node* value = fields[key]) slot = reader.count(*value, fields.path(key), 1, uint64_t{1} << 53);
  };
  counter("requests", limits.requests);
  counter("connections", limits.connections);
  counter("names", limits.names);
  counter("denials", limits.denials);
}

// What is off is fine to say; what is on comes later.
void load_audit(Reader& reader, const Node& node) {
  const Fields fields(reader, node, "audit", "audit");
  if (const Node* record = fields["record_terminal"]) {
    if (const auto on = reader.boolean(*record, "audit.record_terminal"); on && *on)
      reader.unbuilt(*record, "audit.record_terminal: true", "terminal recording comes with the console");
  }
  if (const Node* exports = fields["export"]) {
    const auto* items = reader.list(*exports, "audit.export");
    if (items != nullptr && !items->empty())
      reader.unbuilt(*exports, "audit.export", "exports come with the monitor; `stockade audit` reads the log");
  }
}

void load_root(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out) {
  const Fields root(reader, node, "", "");
  if (!root.ok()) return;
  if (const Node* version = root["version"]) {
    if (!version->plain || version->text != "1")
      reader.error(*version, fmt::format("`version` must be 1, not {}", version->kind == Node::Kind::scalar
                                                                            ? quoted(version->text)
                                                                            : std::string(version->describe())));
  } else {
    reader.error(node, "`version` is missing", "begin the file with `version: 1`");
  }
  if (const Node* name = root["name"])
    if (auto text = reader.text(*name, "name")) out.policy.name = std::move(*text);
  if (const Node* extends = root["extends"]) {
    if (const auto* items = reader.list(*extends, "extends"))
      for (const Node& item : *items)
        if (auto reference = reader.text(item, "extends"))
          out.extends.push_back({std::move(*reference), reader.at(item)});
  }
  if (const Node* run = root["run"]) load_run(reader, *run, out);
  if (const Node* tools = root["tools"]) load_tools(reader, *tools, out);
  if (const Node* sandbox = root["sandbox"]) load_sandbox(reader, *sandbox, out);
  if (const Node* network = root["network"]) load_network(reader, *network, surroundings, out);
  if (const Node* files = root["files"]) load_files(reader, *files, surroundings, out);
  if (const Node* limits = root["limits"]) load_limits(reader, *limits, out);
  if (const Node* audit = root["audit"]) load_audit(reader, *audit);
  if (const Node* tests = root["tests"]) load_tests(reader, *tests, surroundings, out);
}

}  // namespace

bool check_program(Reader& reader, const Node& node, std::string_view what, std::string& name) {
  auto text = reader.text(node, what);
  if (!text) return false;
  Surroundings none;
  if (text->find('/') == std::string::npos) {
    if (*text == "." || *text == ".." || has_wildcard(*text)) {
      reader.error(node, fmt::format("`{}`: {} is not the name of a program", what, quoted(*text)),
                   "name each program");
      return false;
    }
    name = std::move(*text);
    return true;
  }
  if (!text->starts_with('/') || has_wildcard(*text)) {
    reader.error(node, fmt::format("`{}`: {} is neither a name nor an absolute path", what, quoted(*text)),
                 "write a name such as git, or a path such as /usr/bin/git");
    return false;
  }
  auto path = absolute_path(*text, none);
  if (!path) {
    reader.error(node, fmt::format("`{}`: {}", what, path.error().sentence()), path.error().hint());
    return false;
  }
  name = std::move(*path);
  return true;
}

LoadOutcome load_policy(std::string_view bytes, const std::string& file, const Surroundings& surroundings) {
  LoadOutcome out;
  Tree tree = parse_tree(bytes, file);
  out.errors = std::move(tree.errors);
  // After a syntax error the rest of the tree is missing: reading on would report what is not wrong.
  const bool whole = out.errors.empty() || tree.root.kind == Node::Kind::mapping;
  if (!whole) return out;
  if (tree.root.is_null()) {
    out.errors.push_back({{file, 1, 1}, "the file is empty", "begin it with `version: 1`"});
    return out;
  }
  Reader reader(file, out.errors, out.warnings);
  load_root(reader, tree.root, surroundings, out);
  // In the order of the file; the note that there are more stays last.
  std::sort(out.errors.begin(), out.errors.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tuple(a.where.line == 0, a.where.line, a.where.column, std::string_view(a.message)) <
           std::tuple(b.where.line == 0, b.where.line, b.where.column, std::string_view(b.message));
  });
  return out;
}

}  // namespace stockade::policy
