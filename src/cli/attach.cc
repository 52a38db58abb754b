// attach: the firewall and the monitor on something that runs already (supervisor/attach.h). Says on stderr what it did
// and what it can't cover; ends with a signal, the target, or `stockade kill`.
#include "supervisor/attach.h"

#include "cli/arguments.h"
#include "cli/output.h"
#include "supervisor/prepare.h"

namespace stockade::cli {

namespace {

std::optional<supervisor::Loss> parse_loss(const std::string& word) {
  if (word == "cut") return supervisor::Loss::cut;
  if (word == "kill") return supervisor::Loss::kill;
  if (word == "detach") return supervisor::Loss::detach;
  return std::nullopt;
}

int refuse(const Error& error) {
  print_error(error);
  return exit_status(error);
}

void say_end(const supervisor::RunOutcome& outcome) {
  using monitor::EndCause;
  const auto cause = outcome.ended_by.cause;
  if (cause == EndCause::signal || cause == EndCause::agent)
    say("detached: the network was given back as it was");
  else
    say(fmt::format("the attachment was ended by {}{}; the network was given back", outcome.ended_by.to_string(),
                    outcome.sentence.empty() ? "" : ": " + outcome.sentence));
  if (outcome.denials > 0)
    say(fmt::format("{} refused; the last one: stockade why {}",
                    outcome.denials == 1 ? "1 thing was" : fmt::format("{} things were", outcome.denials), outcome.id));
}

}  // namespace

int attach(const AttachOptions& options) {
  const auto loss = parse_loss(options.if_lost);
  if (!loss)
    return refuse(Error(ErrorKind::invalid_input, fmt::format("--if-lost {} is not known", options.if_lost))
                      .hint("write cut, kill or detach"));
  auto firewall = supervisor::layer_firewall_policy(options.policy);
  if (!firewall) return refuse(firewall.error());
  for (const auto& error : firewall->errors) say(error.render());
  if (!firewall->usable()) return 1;
  for (const auto& warning : firewall->warnings) say(warning.render());
  for (const auto& note : firewall->notes) say(note.render());
  auto target = supervisor::find_target({options.pid, options.netns, options.container});
  if (!target) return refuse(target.error());
  supervisor::AttachSettings settings;
  settings.layered = std::move(*firewall);
  settings.places = supervisor::find_places();
  settings.name = options.name;
  settings.target = std::move(*target);
  settings.loss = *loss;
  settings.say = [](const std::string& text) { say(text); };
  const SystemClock clock;
  auto outcome = supervisor::attach_to_end(std::move(settings), clock);
  if (!outcome) return refuse(outcome.error());
  say_end(*outcome);
  return outcome->exit_status;
}

}  // namespace stockade::cli
