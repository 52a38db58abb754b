#include "policy/layer.h"

#include <algorithm>
#include <set>

#include "policy/ceiling.h"
#include "policy/check.h"
#include "policy/glob.h"
#include "policy/keys.h"
#include "policy/merge.h"
#include "policy/preset.h"
#include "policy/run_tests.h"
#include "policy/source_file.h"
#include "policy/trust.h"

namespace stockade::policy {

namespace {

constexpr size_t kExtendsDepth = 8;
constexpr size_t kSourceLimit = 64;

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

// Files and presets with what they extend, each problem as a diagnostic.
class Resolver {
 public:
  // How a file may come in. `narrowing`: nobody trusted it, so it may name presets only.
  struct Terms {
    Role role = Role::policy;
    bool needs_trust = false;
    bool narrowing = false;
    bool looking = false;  // nothing starts: no trust needed
  };

  Resolver(const Surroundings& surroundings, Layered& out) : surroundings_(surroundings), out_(out) {}

  LoadOutcome preset(std::string_view name, const Location& where, Role role = Role::preset) {
    LoadOutcome outcome;
    const Preset* preset = find_preset(name);
    if (preset == nullptr) {
      out_.errors.push_back({where, fmt::format("there is no preset {}", quoted(name)), unknown_preset_hint(name)});
      return outcome;
    }
    const std::string label = fmt::format("preset:{}", name);
    if (!enter(label, where)) return outcome;
    outcome = expand(load_policy(preset->yaml, label, surroundings_), "", label, {role});
    out_.sources.push_back({Role::preset, label, {}});
    stack_.pop_back();
    return outcome;
  }

  LoadOutcome file(const SourceFile& source, const std::string& label, const Location& where, const Terms& terms) {
    LoadOutcome outcome;
    if (!enter(source.path, where) || !admit(source, label, terms)) return outcome;
    outcome = expand(load_policy(source.bytes, label, surroundings_), directory_of(source.path), label, terms);
    out_.sources.push_back({terms.role, source.path, source.sha256});
    stack_.pop_back();
    return outcome;
  }

  // A file that has to be there.
  LoadOutcome required(const std::string& path, const std::string& label, const Location& where, const Terms& terms) {
    auto source = read_source(path, true);
    if (!source) {
      out_.errors.push_back({{label, 0, 0}, source.error().message(), source.error().hint()});
    } else if (!*source) {
      out_.errors.push_back({where, fmt::format("there is no file {}", quoted(label, 200)), ""});
    } else {
      return file(**source, label, where, terms);
    }
    return {};
  }

 private:
  static std::string unknown_preset_hint(std::string_view name) {
    std::vector<std::string_view> names;
    for (const Preset& preset : presets()) names.push_back(preset.name);
    const std::string meant = nearest(name, names);
    return meant.empty() ? fmt::format("presets: {}; a file is written with a slash: ./{}", preset_names(), name)
                         : fmt::format("did you mean {}?", meant);
  }

  bool enter(const std::string& label, const Location& where) {
    if (std::find(stack_.begin(), stack_.end(), label) != stack_.end()) {
      out_.errors.push_back(
          {where, fmt::format("`extends` goes in a circle: {} extends itself", quoted(label, 200)), ""});
      return false;
    }
    if (stack_.size() >= kExtendsDepth || ++count_ > kSourceLimit) {
      out_.errors.push_back(
          {where,
           fmt::format("`extends` reaches deeper than {} files, or over more than {}", kExtendsDepth, kSourceLimit),
           ""});
      return false;
    }
    stack_.push_back(label);
    return true;
  }

  // Owner, mode and trust. On refusal the stack is left by the caller's early return, so it is popped here.
  bool admit(const SourceFile& source, const std::string& label, const Terms& terms) {
    const auto refuse = [&](std::string message, std::string hint) {
      out_.errors.push_back({{label, 0, 0}, std::move(message), std::move(hint)});
      stack_.pop_back();
      return false;
    };
    if ((source.mode & 0002) != 0)
      return refuse("anybody may write this file", fmt::format("chmod o-w {}", source.path));
    if (terms.role == Role::ceiling && source.owner != 0 && source.owner != surroundings_.uid)
      return refuse(fmt::format("a ceiling must belong to you or root, not to uid {}", source.owner), "");
    if (terms.narrowing || terms.looking) return true;
    for (const std::string& link : source.links)
      if (lies_in_written_place(surroundings_, link))
        return refuse(
            fmt::format("an earlier run could have written the symbolic link {} that leads to it", quoted(link, 200)),
            fmt::format("name the file itself: {}", source.path));
    if (!terms.needs_trust && !lies_in_written_place(surroundings_, source.path)) return true;
    const auto trusted = is_trusted(surroundings_, source.path, source.sha256);
    if (!trusted) return refuse(trusted.error().message(), trusted.error().hint());
    if (*trusted) return true;
    return refuse("an earlier run could have written this file, and nobody has trusted its content",
                  fmt::format("read it, then: stockade policy trust {}", label));
  }

  LoadOutcome expand(LoadOutcome own, const std::string& directory, const std::string& label, const Terms& terms) {
    own.policy.sources.push_back(label);
    if (own.extends.empty()) return own;
    LoadOutcome base;
    for (const Reference& reference : own.extends) {
      const bool is_file = reference.name.find('/') != std::string::npos || reference.name.ends_with(".yaml") ||
                           reference.name.ends_with(".yml");
      if (!is_file) {
        merge(base, preset(reference.name, reference.where));
      } else if (directory.empty()) {
        out_.errors.push_back({reference.where, "a preset can't extend a file", ""});
      } else if (terms.narrowing) {
        out_.errors.push_back({reference.where, "a workspace's policy may name files only when it is trusted",
                               fmt::format("read it and what it names, then: stockade policy trust {}", label)});
      } else {
        Surroundings here = surroundings_;
        here.cwd = directory;
        auto path = file_path(reference.name, here);
        if (!path)
          out_.errors.push_back({reference.where, path.error().sentence(), path.error().hint()});
        else
          merge(base, required(*path, *path, reference.where, terms));
      }
    }
    merge(base, std::move(own));
    return base;
  }

  // `..` is fine between a person's own files; only the result's place matters.
  static Result<std::string> file_path(const std::string& name, const Surroundings& here) {
    if (name.starts_with('/')) return name;
    if (name.starts_with("~/")) return here.home + name.substr(1);
    if (name.starts_with('~')) return fail(ErrorKind::invalid_input, "another user's home in {}", quoted(name));
    return here.cwd + "/" + name;
  }

  const Surroundings& surroundings_;
  Layered& out_;
  std::vector<std::string> stack_;
  size_t count_ = 0;
};

class Layering {
 public:
  Layering(const Request& request, const Surroundings& surroundings)
      : request_(request), surroundings_(surroundings), resolver_(surroundings, out_) {}

  Layered run() {
    auto workspace = read_source(surroundings_.cwd + "/.stockade.yaml", false);
    if (!workspace)
      out_.errors.push_back({{".stockade.yaml", 0, 0}, workspace.error().message(), workspace.error().hint()});
    const bool have_workspace = workspace && workspace->has_value();
    const bool stands_in = have_workspace && request_.policy_file.empty() && is_trusted_workspace(**workspace);

    if (stands_in)
      take(resolver_.file(**workspace, ".stockade.yaml", {}, {.role = Role::workspace, .needs_trust = true}));
    else
      take_policy();
    if (have_workspace && !stands_in) narrow_by_workspace(**workspace);
    return finish();
  }

  Layered inspect() {
    take(resolver_.required(request_.policy_file, request_.policy_file, {"", 0, 0}, {.looking = true}));
    return finish();
  }

 private:
  void take(LoadOutcome outcome) {
    out_.policy = std::move(outcome.policy);
    take_diagnostics(outcome);
  }
  void take_diagnostics(LoadOutcome& outcome) {
    out_.errors.insert(out_.errors.end(), outcome.errors.begin(), outcome.errors.end());
    out_.warnings.insert(out_.warnings.end(), outcome.warnings.begin(), outcome.warnings.end());
  }

  bool is_trusted_workspace(const SourceFile& file) {
    const auto trusted = is_trusted(surroundings_, file.path, file.sha256);
    if (!trusted) out_.errors.push_back({{".stockade.yaml", 0, 0}, trusted.error().message(), trusted.error().hint()});
    return trusted && *trusted;
  }

  void take_policy() {
    LoadOutcome base;
    if (request_.policy_file.empty()) merge(base, resolver_.preset("default", {}));
    for (const std::string& name : request_.presets) merge(base, resolver_.preset(name, {"--preset", 0, 0}));
    if (request_.policy_file.empty() && request_.presets.empty()) merge(base, preset_by_command());
    if (!request_.policy_file.empty())
      merge(base, resolver_.required(request_.policy_file, request_.policy_file, {"--policy", 0, 0}, {}));
    take(std::move(base));
  }

  LoadOutcome preset_by_command() {
    const Preset* preset = preset_for_command(request_.program);
    if (preset == nullptr) return {};
    // A program called `codex` in the workspace may be the agent's own work.
    if (could_be_written(request_.program)) {
      out_.notes.push_back({{},
                            fmt::format("the preset {} does not apply: {} lies where a run could have written it",
                                        preset->name, quoted(request_.program, 200)),
                            fmt::format("if you trust the program: --preset {}", preset->name)});
      return {};
    }
    return resolver_.preset(preset->name, {});
  }

  // The program, or a link on the way to it.
  bool could_be_written(const std::string& program) const {
    const auto writable = [&](const std::string& place) {
      return is_within(place, surroundings_.cwd) || lies_in_written_place(surroundings_, place);
    };
    if (program.find('/') == std::string::npos) return false;  // PATH has none
    const std::string path = program.starts_with('/') ? program : surroundings_.cwd + "/" + program;
    const auto walked = walk(path, true);
    if (!walked) return writable(path);
    return writable(walked->path) || std::any_of(walked->links.begin(), walked->links.end(), writable);
  }

  void narrow_by_workspace(const SourceFile& file) {
    LoadOutcome outcome = resolver_.file(file, ".stockade.yaml", {}, {.role = Role::workspace, .narrowing = true});
    take_diagnostics(outcome);
    if (!out_.errors.empty()) return;
    if (request_.policy_file.empty())
      out_.notes.push_back({{".stockade.yaml", 0, 0},
                            "it only narrows: nobody has trusted its content",
                            "read it, then: stockade policy trust .stockade.yaml"});
    else
      out_.notes.push_back({{".stockade.yaml", 0, 0}, "it only narrows: --policy is the policy", ""});
    for (Diagnostic& diagnostic : meaningless_in_ceiling(outcome)) {
      diagnostic.message = "not applied: " + diagnostic.message;
      diagnostic.hint.clear();
      out_.notes.push_back(std::move(diagnostic));
    }
    narrow(out_.policy, outcome, surroundings_, out_.notes);
  }

  void ceiling(const std::string& path, bool follow) {
    if (path.empty() || path[0] != '/') return;
    auto source = read_source(path, follow);
    if (!source) {
      out_.errors.push_back({{path, 0, 0}, source.error().message(), source.error().hint()});
      return;
    }
    if (!*source) return;
    LoadOutcome outcome = resolver_.file(**source, path, {}, {.role = Role::ceiling});
    take_diagnostics(outcome);
    for (Diagnostic& diagnostic : meaningless_in_ceiling(outcome)) out_.errors.push_back(std::move(diagnostic));
    narrow(out_.policy, outcome, surroundings_, out_.notes);
  }

  Layered finish() {
    ceiling(surroundings_.user_policy(), true);
    ceiling(surroundings_.system_policy, false);
    hide_our_directories(out_.policy, surroundings_);
    // Errors in the text make what follows from it meaningless.
    if (!out_.errors.empty()) return std::move(out_);
    Checks checks = check(out_.policy, surroundings_);
    out_.errors = std::move(checks.errors);
    out_.warnings.insert(out_.warnings.end(), checks.warnings.begin(), checks.warnings.end());
    if (out_.errors.empty()) out_.errors = failed_tests(out_.policy);
    return std::move(out_);
  }

  const Request& request_;
  const Surroundings& surroundings_;
  Layered out_;
  Resolver resolver_;
};

}  // namespace

Layered layer(const Request& request, const Surroundings& surroundings) {
  return Layering(request, surroundings).run();
}

Layered inspect(const std::string& path, const Surroundings& surroundings) {
  Request request;
  request.policy_file = path;
  return Layering(request, surroundings).inspect();
}

Result<void> record_start(const Layered& layered, const Surroundings& surroundings) {
  for (const Source& source : layered.sources) {
    if (source.sha256.empty() || source.role == Role::workspace || source.role == Role::ceiling) continue;
    const bool becomes_writable =
        std::any_of(layered.policy.files.begin(), layered.policy.files.end(), [&](const FileRule& rule) {
          return (rule.access == Access::write || rule.access == Access::write_only) &&
                 is_within(source.name, rule.host);
        });
    if (becomes_writable) STOCKADE_TRY(trust_content(surroundings, source.name, source.sha256));
  }
  return record_written_places(surroundings, layered.policy);
}

}  // namespace stockade::policy
