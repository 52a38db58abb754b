#include <algorithm>

#include "policy/floor.h"
#include "policy/sections.h"

namespace stockade::policy {

namespace {

constexpr uint64_t kLeastMemory = 8 << 20;
constexpr uint64_t kLeastDisk = 64 << 10;
constexpr std::string_view kRuntimes[] = {"native", "crun", "runc", "runsc",      "docker",
                                          "podman", "kata", "qemu", "firecracker"};
constexpr std::string_view kStrictness[] = {"polled", "hard"};
constexpr std::string_view kProc[] = {"normal", "minimal"};

bool is_variable_name(std::string_view name) {
  if (name.empty() || name.size() > 256 || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool check_name(Reader& reader, const Node& node, std::string_view what, std::string_view name) {
  if (is_variable_name(name)) return true;
  reader.error(node, fmt::format("`{}`: {} is not the name of a variable", what, quoted(name)),
               name.find('*') != std::string_view::npos ? "name each variable" : "letters, digits and _");
  return false;
}

void load_pass(Reader& reader, const Node& node, Environment& env) {
  const auto* items = reader.list(node, "sandbox.env.pass");
  if (items == nullptr) return;
  for (size_t i = 0; i < items->size(); ++i) {
    const Node& item = (*items)[i];
    const std::string what = fmt::format("sandbox.env.pass[{}]", i);
    PassedVariable variable;
    variable.where = reader.at(item);
    if (item.kind == Node::Kind::mapping) {
      const Fields fields(reader, item, what, "sandbox.env.pass[]");
      const Node* name = fields["name"];
      const Node* reason = fields["reason"];
      if (name == nullptr || reason == nullptr) {
        reader.error(item, fmt::format("`{}` needs name and reason", what),
                     "{ name: NAME, reason: \"why the agent may see it\" }");
        continue;
      }
      auto name_text = reader.text(*name, fields.path("name"));
      auto reason_text = reader.text(*reason, fields.path("reason"));
      if (!name_text || !reason_text) continue;
      variable.name = std::move(*name_text);
      variable.reason = std::move(*reason_text);
    } else {
      auto name = reader.text(item, what);
      if (!name) continue;
      variable.name = std::move(*name);
    }
    if (!check_name(reader, item, what, variable.name)) continue;
    if (variable.reason.empty() && looks_like_credential(variable.name)) {
      reader.error(item,
                   fmt::format("{} looks like a credential: the agent, and whoever hijacks it, could read and send it",
                               variable.name),
                   fmt::format("if it must be inside: {{ name: {}, reason: \"…\" }}", variable.name));
      continue;
    }
    const bool twice = std::any_of(env.pass.begin(), env.pass.end(),
                                   [&](const PassedVariable& other) { return other.name == variable.name; });
    if (twice)
      reader.error(item, fmt::format("{} is passed twice", variable.name));
    else
      env.pass.push_back(std::move(variable));
  }
}

void load_set(Reader& reader, const Node& node, Environment& env) {
  if (node.kind != Node::Kind::mapping) {
    reader.error(node, fmt::format("`sandbox.env.set` must be a mapping, not {}", node.describe()),
                 "set: { NAME: \"value\" }");
    return;
  }
  for (size_t i = 0; i + 1 < node.items.size(); i += 2) {
    const Node& key = node.items[i];
    const Node& value = node.items[i + 1];
    if (key.kind != Node::Kind::scalar || !check_name(reader, key, "sandbox.env.set", key.text)) continue;
    const std::string what = "sandbox.env.set." + key.text;
    // An empty value is a value here.
    if (value.kind == Node::Kind::scalar && !value.plain && value.text.empty()) {
      env.set.push_back({key.text, "", reader.at(key)});
      continue;
    }
    auto text = reader.text(value, what);
    if (!text) continue;
    if (looks_like_credential(key.text))
      reader.warning(key, fmt::format("{} looks like a credential, and its value stands in this file", key.text),
                     "whoever reads the file has it; so has the agent");
    env.set.push_back({key.text, std::move(*text), reader.at(key)});
  }
}

void load_environment(Reader& reader, const Node& node, LoadOutcome& out) {
  const Fields fields(reader, node, "sandbox.env", "sandbox.env");
  Environment& env = out.policy.sandbox.env;
  if (const Node* pass = fields["pass"]) {
    out.present.env_pass = true;
    load_pass(reader, *pass, env);
  }
  if (const Node* set = fields["set"]) {
    out.present.env_set = true;
    load_set(reader, *set, env);
  }
  if (const Node* proxy = fields["proxy"]) {
    out.present.env_proxy = true;
    if (const auto on = reader.boolean(*proxy, "sandbox.env.proxy")) env.proxy = *on;
  }
  for (const SetVariable& variable : env.set)
    for (const PassedVariable& passed : env.pass)
      if (passed.name == variable.name)
        reader.error(node, fmt::format("{} is both passed and set", variable.name), "keep one of them");
}

void load_user(Reader& reader, const Node& node, LoadOutcome& out) {
  const Fields fields(reader, node, "sandbox.user", "sandbox.user");
  constexpr uint64_t kMost = 0xfffffffd;  // -1 and -2 have meanings of their own
  out.present.runtime_user = true;
  const auto id = [&](const char* key, std::optional<uint32_t>& slot) {
    const Node* value = fields[key];
    if (value == nullptr) return;
    if (const auto number = reader.count(*value, fields.path(key), 0, kMost)) slot = static_cast<uint32_t>(*number);
  };
  id("uid", out.policy.sandbox.uid);
  id("gid", out.policy.sandbox.gid);
}

void load_runtime(Reader& reader, const Node& node) {
  const auto runtime = reader.choice(node, "sandbox.runtime", kRuntimes);
  if (runtime && *runtime != 0)
    reader.unbuilt(node, fmt::format("sandbox.runtime: {}", kRuntimes[*runtime]),
                   "the other runtimes come later; write `native`");
}

}  // namespace

void load_sandbox(Reader& reader, const Node& node, LoadOutcome& out) {
  const Fields fields(reader, node, "sandbox", "sandbox");
  Sandbox& sandbox = out.policy.sandbox;
  sandbox.where = reader.at(node);
  const auto size = [&](const char* key, std::optional<uint64_t>& slot, uint64_t least) {
    if (const Node* value = fields[key]) slot = reader.size(*value, fields.path(key), least);
  };
  const auto count = [&](const char* key, std::optional<uint64_t>& slot, uint64_t least, uint64_t most) {
    if (const Node* value = fields[key]) slot = reader.count(*value, fields.path(key), least, most);
  };
  if (const Node* runtime = fields["runtime"]) load_runtime(reader, *runtime);
  size("memory", sandbox.memory, kLeastMemory);
  if (const Node* cpus = fields["cpus"]) sandbox.cpus = reader.cpus(*cpus, "sandbox.cpus");
  count("pids", sandbox.pids, 2, 4'194'304);
  size("disk", sandbox.disk, kLeastDisk);
  count("inodes", sandbox.inodes, 16, uint64_t{1} << 40);
  count("open_files", sandbox.open_files, 16, 1 << 30);
  size("file_size", sandbox.file_size, 1);
  if (const Node* strictness = fields["strictness"])
    if (const auto chosen = reader.choice(*strictness, "sandbox.strictness", kStrictness))
      sandbox.strictness = static_cast<Strictness>(*chosen);
  if (const Node* proc = fields["proc"])
    if (const auto chosen = reader.choice(*proc, "sandbox.proc", kProc)) sandbox.proc = static_cast<ProcView>(*chosen);
  if (const Node* user = fields["user"]) load_user(reader, *user, out);
  if (const Node* env = fields["env"]) load_environment(reader, *env, out);
}

}  // namespace stockade::policy
