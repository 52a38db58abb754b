// run: the agent behind the five walls. stdout belongs to the agent; what Stockade says goes to stderr.
#include "supervisor/run.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/arguments.h"
#include "cli/output.h"
#include "policy/decision.h"
#include "supervisor/prepare.h"
#include "terminal/relay.h"

namespace stockade::cli {

namespace {

constexpr int kNotStarted = 125;

// 126 and 127 as the shell has them, for an error about the command itself.
int start_failure(const Error& error) {
  if (error.error_number() == ENOENT && error.kind() == ErrorKind::invalid_input) return 127;
  if (error.error_number() == EACCES && error.kind() == ErrorKind::invalid_input) return 126;
  return kNotStarted;
}

class Speaker {
 public:
  explicit Speaker(const RunOptions& options) : quiet_(options.quiet), json_(options.json) {}

  void note(std::string_view kind, const std::string& text) const { fmt::print(stderr, "{}", line(kind, text)); }
  // With its newline; empty where nothing is to be said.
  std::string line(std::string_view kind, const std::string& text) const {
    if (quiet_ && kind != "error") return {};
    if (!json_) return spoken(text);
    nlohmann::ordered_json line{{"stockade", kind}, {"text", text}};
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
  }
  void failed(const Error& error) const {
    // An error may hold several lines (every error of a policy file): each is a line of its own.
    std::string text = error.message();
    for (size_t start = 0; start <= text.size();) {
      const size_t end = std::min(text.find('\n', start), text.size());
      if (end > start) note("error", text.substr(start, end - start));
      start = end + 1;
    }
    if (!error.hint().empty()) note("error", error.hint());
  }
  void ended(const supervisor::RunOutcome& outcome) const {
    for (const std::string& text : outcome.notes) note("note", text);
    using monitor::EndCause;
    const auto cause = outcome.ended_by.cause;
    if (cause != EndCause::agent && cause != EndCause::signal)
      note("ended", fmt::format("run {} was ended by {}{}", outcome.id, outcome.ended_by.to_string(),
                                outcome.sentence.empty() ? "" : ": " + outcome.sentence));
    if (outcome.denials > 0)
      note("denials", fmt::format("{} refused; the last one: stockade why {}",
                                  outcome.denials == 1 ? "1 thing was" : fmt::format("{} things were", outcome.denials),
                                  outcome.id));
  }

 private:
  bool quiet_;
  bool json_;
};

int supervise(supervisor::RunSettings settings, const Speaker& speaker) {
  std::optional<UnwaitingStderr> err;
  if (policy::asks(settings.policy.network) && !settings.relay) err = UnwaitingStderr::open();
  settings.announce = [&](const std::string& text) {
    if (err) err->write(speaker.line("approval", text));
  };
  const SystemClock clock;
  auto outcome = supervisor::run_to_end(std::move(settings), clock);
  if (!outcome) {
    speaker.failed(outcome.error());
    return start_failure(outcome.error());
  }
  speaker.ended(*outcome);
  return outcome->exit_status;
}

}  // namespace

int run(const RunOptions& options) {
  const Speaker speaker(options);
  if (options.runtime != "native") {
    speaker.failed(Error(ErrorKind::invalid_input, fmt::format("the runtime '{}' is not built yet", options.runtime))
                       .hint("leave --runtime out: native is what there is"));
    return kNotStarted;
  }
  const auto stdio = terminal::plan_stdio();
  // On another core, meanwhile. Behind a relay the supervisor is a process of its own, which makes them itself.
  std::optional<sandbox::NamespaceMaker> namespaces;
  if (!stdio.relay) {
    auto started = sandbox::NamespaceMaker::start();
    if (!started) {
      speaker.failed(started.error());
      return kNotStarted;
    }
    namespaces = std::move(*started);
  }
  auto prepared = supervisor::prepare_run({options.policy, options.preset, options.command, stdio.relay});
  if (!prepared) {
    speaker.failed(prepared.error());
    return start_failure(prepared.error());
  }
  for (const auto& warning : prepared->layered.warnings) speaker.note("warning", warning.render());
  for (const auto& note : prepared->layered.notes) speaker.note("note", note.render());
  for (const std::string& note : prepared->compiled.notes) speaker.note("note", note);
  if (prepared->compiled.default_workspace)
    speaker.note("note", fmt::format("{} is writable, since no policy says which files the agent may have",
                                     prepared->surroundings.cwd));
  auto settings = supervisor::make_settings(std::move(*prepared), options.name);
  if (!settings) {
    speaker.failed(settings.error());
    return start_failure(settings.error());
  }
  settings->namespaces = std::move(namespaces);
  if (!stdio.relay) return supervise(std::move(*settings), speaker);
  settings->pty = stdio.pty;
  return terminal::run_behind_relay(stdio, [&](terminal::RelayLink link) {
    settings->relay.emplace(std::move(link));
    return supervise(std::move(*settings), speaker);
  });
}

}  // namespace stockade::cli
