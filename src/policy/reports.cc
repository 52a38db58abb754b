#include "policy/reports.h"

#include <algorithm>

#include "policy/diff.h"
#include "policy/effective.h"
#include "policy/json_writer.h"
#include "policy/run_tests.h"
#include "policy/source_file.h"
#include "policy/trust.h"

namespace stockade::policy {

namespace {

void write(JsonWriter& json, const char* key, const Diagnostics& list) {
  json.key(key).open('[');
  for (const Diagnostic& diagnostic : list) {
    json.open('{').key("file").string(diagnostic.where.file);
    json.key("line").number(static_cast<uint64_t>(diagnostic.where.line));
    json.key("column").number(static_cast<uint64_t>(diagnostic.where.column));
    json.key("message").string(diagnostic.message).key("hint").string(diagnostic.hint);
    json.key("not_built_yet").boolean(diagnostic.unbuilt).close('}');
  }
  json.close(']');
}

std::string list_text(const char* label, const Diagnostics& list) {
  std::string text;
  for (const Diagnostic& diagnostic : list) text += fmt::format("{}: {}\n", label, diagnostic.render());
  return text;
}

std::string all_text(const Layered& layered) {
  return list_text("error", layered.errors) + list_text("warning", layered.warnings) + list_text("note", layered.notes);
}

Report broken(const Layered& layered) {
  JsonWriter json;
  json.open('{').key("ok").boolean(false);
  write(json, "errors", layered.errors);
  write(json, "warnings", layered.warnings);
  write(json, "notes", layered.notes);
  json.close('}');
  return {false, all_text(layered), json.take()};
}

// Only the tests fail: the policy itself reads well, so it can be explained, tested and compared.
bool only_tests_fail(const Layered& layered) {
  return std::all_of(layered.errors.begin(), layered.errors.end(),
                     [](const Diagnostic& error) { return error.message.starts_with("the policy's test fails: "); });
}

}  // namespace

Report check_report(const std::string& file, const Surroundings& surroundings) {
  const Layered layered = inspect(file, surroundings);
  Report report = broken(layered);
  if (!layered.usable()) return report;
  JsonWriter json;
  json.open('{').key("ok").boolean(true);
  write(json, "errors", {});
  write(json, "warnings", layered.warnings);
  write(json, "notes", layered.notes);
  json.key("sha256").string(policy_hash(layered.policy)).key("policy").raw(to_json(layered.policy)).close('}');
  return {true, report.text + fmt::format("{}: good, {} of its tests passed\n", file, layered.policy.tests.size()),
          json.take()};
}

Report explain_report(const Layered& layered, std::span<const LimitStrength> strengths,
                      const Surroundings& surroundings) {
  if (!only_tests_fail(layered)) return broken(layered);
  const auto chapters = explain(layered, strengths, surroundings);
  JsonWriter json;
  json.open('{').key("ok").boolean(layered.usable()).key("chapters").open('[');
  for (const Chapter& chapter : chapters)
    json.open('{').key("title").string(chapter.title).key("lines").strings(chapter.lines).close('}');
  json.close(']');
  write(json, "errors", layered.errors);
  json.close('}');
  return {layered.usable(), to_text(chapters) + list_text("error", layered.errors), json.take()};
}

Report explain_report(const std::string& file, std::span<const LimitStrength> strengths,
                      const Surroundings& surroundings) {
  return explain_report(inspect(file, surroundings), strengths, surroundings);
}

Report test_report(const std::string& file, const Surroundings& surroundings) {
  const Layered layered = inspect(file, surroundings);
  if (!only_tests_fail(layered)) return broken(layered);
  Report report;
  JsonWriter json;
  json.open('{').key("tests").open('[');
  size_t failed = 0;
  for (const TestResult& result : run_tests(layered.policy)) {
    failed += result.passed ? 0 : 1;
    const std::string_view expected = to_string(result.test->expect);
    report.text += fmt::format("{} {} → {}: {}\n", result.passed ? "ok    " : "FAILED", describe(*result.test),
                               expected, result.verdict.reason);
    json.open('{').key("test").string(describe(*result.test)).key("expect").string(expected);
    json.key("passed").boolean(result.passed).key("reason").string(result.verdict.reason);
    json.key("where").string(result.test->where.to_string()).close('}');
  }
  report.ok = failed == 0;
  report.text +=
      fmt::format("{} of {} tests passed\n", layered.policy.tests.size() - failed, layered.policy.tests.size());
  json.close(']').key("ok").boolean(report.ok).close('}');
  report.json = json.take();
  return report;
}

Report diff_report(const std::string& before, const std::string& after, const Surroundings& surroundings) {
  const Layered a = inspect(before, surroundings);
  if (!only_tests_fail(a)) return broken(a);
  const Layered b = inspect(after, surroundings);
  if (!only_tests_fail(b)) return broken(b);
  const auto changes = compare(a.policy, b.policy, surroundings);
  Report report;
  JsonWriter json;
  report.ok = !widens(changes);
  json.open('{').key("widens").boolean(!report.ok).key("changes").open('[');
  for (const Change& change : changes) {
    report.text += fmt::format("{} {}\n", change.widens ? "+" : "-", change.text);
    json.open('{').key("widens").boolean(change.widens).key("text").string(change.text).close('}');
  }
  report.text += changes.empty() ? "They allow the same.\n"
                 : report.ok     ? fmt::format("{} allows no more than {}.\n", after, before)
                                 : fmt::format("{} allows more than {} (lines with +).\n", after, before);
  report.json = json.close(']').close('}').take();
  return report;
}

Report trust_report(const std::string& file, const Surroundings& surroundings) {
  const Layered layered = inspect(file, surroundings);
  const auto source = read_source(file, false);
  const auto refused = [](const std::string& why) {
    JsonWriter json;
    json.open('{').key("ok").boolean(false).key("error").string(why).close('}');
    return Report{false, "error: " + why + "\n", json.take()};
  };
  if (!source) return refused(fmt::format("{}: {}", file, source.error().render()));
  if (!only_tests_fail(layered)) return broken(layered);
  if (!*source) return refused(fmt::format("there is no file {}", file));
  // What was explained and what is trusted must be the same bytes.
  const bool same = std::any_of(layered.sources.begin(), layered.sources.end(), [&](const Source& read) {
    return read.name == (*source)->path && read.sha256 == (*source)->sha256;
  });
  if (!same) return refused(fmt::format("{} changed while it was read", file));
  if (auto done = trust_content(surroundings, (*source)->path, (*source)->sha256); !done)
    return refused(done.error().render());
  Report report;
  report.text = to_text(explain(layered, {}, surroundings));
  report.text += fmt::format("\nTrusted: {}, as long as its content stays the same (SHA-256 {}).\n", (*source)->path,
                             (*source)->sha256.substr(0, 16));
  JsonWriter json;
  json.open('{').key("ok").boolean(true).key("path").string((*source)->path).key("sha256").string((*source)->sha256);
  json.key("also_needs_trust").open('[');
  for (const Source& other : layered.sources) {
    if (other.sha256.empty() || other.role == Role::ceiling || other.name == (*source)->path) continue;
    const auto trusted = is_trusted(surroundings, other.name, other.sha256);
    if (trusted && *trusted) continue;
    report.text +=
        fmt::format("It extends {}, which needs trust of its own: stockade policy trust {}\n", other.name, other.name);
    json.string(other.name);
  }
  report.json = json.close(']').close('}').take();
  return report;
}

// Every error, a line each: whoever mends the file wants all of them at once.
Error as_error(const Layered& layered) {
  const bool unbuilt =
      std::all_of(layered.errors.begin(), layered.errors.end(), [](const Diagnostic& error) { return error.unbuilt; });
  return Error(unbuilt ? ErrorKind::unavailable : ErrorKind::invalid_input, render(layered.errors));
}

}  // namespace stockade::policy
