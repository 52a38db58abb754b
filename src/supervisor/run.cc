#include "supervisor/run.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include "sandbox/host_tree.h"
#include "supervisor/run_parts.h"

namespace stockade::supervisor {

namespace {

// The signals that a person or a service manager sends to `stockade run`: the agent gets them, as without Stockade.
constexpr std::array kForwarded = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

Result<Fd> catch_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kForwarded) ::sigaddset(&set, number);
  if (::sigprocmask(SIG_BLOCK, &set, nullptr) < 0) return fail_errno("block signals");
  Fd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail_errno("make a signal descriptor");
  return fd;
}

Result<void> write_new_file(const std::string& path, std::string_view content) {
  STOCKADE_ASSIGN(auto fd, open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  return write_all(fd.get(), content);
}

}  // namespace

Run::Run(RunSettings settings, const Clock& clock)
    : settings_(std::move(settings)),
      clock_(clock),
      limits_(settings_.policy.limits, settings_.policy.limits.where.to_string()) {}

Run::~Run() = default;

Result<void> Run::open_directory() {
  STOCKADE_ASSIGN(directory_, RunDirectory::create(settings_.places, settings_.name));
  settings_.plan.staging_root = staging_path(directory_->state_path());
  STOCKADE_TRY(directory_->make_staging());
  record_.id = directory_->id();
  record_.name = settings_.name;
  record_.command = settings_.plan.command;
  record_.workdir = settings_.plan.workdir;
  record_.policy_sources = settings_.policy_sources;
  record_.supervisor_pid = ::getpid();
  record_.started = format_time(clock_.wall());
  return directory_->write_record(record_, true);
}

Result<void> Run::open_log() {
  event::AuditLog::Options options;
  options.user_directory = settings_.places.state;
  options.run_directory = directory_->state_path();
  options.run = directory_->id();
  options.clock = &clock_;
  options.start_evidence = {{"name", settings_.name},
                            {"policy", settings_.policy_digest},
                            {"runtime", "native"},
                            {"program", settings_.plan.command.front()}};
  STOCKADE_ASSIGN(log_, event::AuditLog::start(std::move(options)));
  return {};
}

Result<void> Run::begin_sandbox() {
  sandbox::NativeSandbox::Options options;
  options.run_id = directory_->id();
  options.weakening = settings_.weakening;
  options.keep_scratch = true;
  options.cgroups = settings_.cgroups;
  for (size_t i = 0; i < 3; ++i) options.stdio[i] = settings_.stdio[i];
  for (size_t i = 0; i < 3; ++i) options.pty[i] = settings_.pty[i];
  STOCKADE_ASSIGN(auto sandbox,
                  sandbox::NativeSandbox::begin(settings_.plan, options, std::move(settings_.namespaces)));
  sandbox_.emplace(std::move(sandbox));
  return {};
}

// All that must stand before the agent's first instruction.
Result<void> Run::connect_parts() {
  sandbox::Handles& handles = sandbox_->handles();
  if (settings_.relay) {
    STOCKADE_TRY(settings_.relay->hand_over(handles.pty_master.get()));
    handles.pty_master.reset();
  }
  if (!needs_mask_keeper()) return {};
  STOCKADE_TRY(sandbox_->await_agent());
  return start_mask_keeper();
}

std::string Run::path_of_agent() const {
  for (const std::string& variable : settings_.plan.environment)
    if (variable.starts_with("PATH=")) return variable.substr(5);
  return {};
}

bool Run::has_polled_limit() const {
  const sandbox::Limits& limits = settings_.plan.limits;
  for (const auto* limit : {&limits.memory, &limits.cpus, &limits.pids, &limits.disk, &limits.inodes})
    if (*limit && (*limit)->strength == sandbox::Strength::polled) return true;
  return false;
}

Result<void> Run::start() {
  // A worker's death must not be a signal's to us; nothing of ours may be looked into by the agent's user.
  ::signal(SIGPIPE, SIG_IGN);
  ::prctl(PR_SET_DUMPABLE, 0);
  STOCKADE_ASSIGN(auto signals, catch_signals());
  STOCKADE_TRY(open_directory());
  // Init builds the walls on another core, while everything around them is made here.
  STOCKADE_TRY(begin_sandbox());
  STOCKADE_TRY(write_new_file(directory_->state_path() + "/policy.json", settings_.effective_policy));
  STOCKADE_ASSIGN(loop_, loop::Loop::create(clock_));
  STOCKADE_TRY(open_log());
  open_approvals();
  STOCKADE_TRY(start_early_workers());
  // Before the agent: whoever sees it can kill it.
  STOCKADE_ASSIGN(control_, ControlServer::create(*loop_, directory_->socket_path(), *this));
  snapshot_trees();
  STOCKADE_TRY(sandbox_->await_root());
  STOCKADE_TRY(connect_parts());
  limits_.start(clock_.now());
  STOCKADE_TRY(sandbox_->start_exec());
  STOCKADE_TRY(sandbox_->await_agent());
  programs_.emplace(sandbox_->handles().socket_diag.get(), sandbox_->handles().agent, path_of_agent());
  STOCKADE_TRY(prepare_helpers());
  STOCKADE_ASSIGN(signals_, loop::AsyncFd::adopt(*loop_, std::move(signals)));
  loop_->spawn(forward_signals());
  loop_->spawn(watch_sandbox());
  loop_->spawn(keep_log());
  if (has_polled_limit()) loop_->spawn(poll_limits());
  if (settings_.relay) loop_->spawn(watch_relay());
  if (limits_.deadline()) loop_->spawn(keep_time(*limits_.deadline()));
  STOCKADE_TRY(log_->prepare_signing());
  directory_->make_spare();
  return sandbox_->await_exec();
}

void Run::open_approvals() {
  const Duration patience = settings_.policy.limits.approval.value_or(policy::kDefaultApprovalTime);
  ApprovalDesk::Host host;
  host.record = [this](Event event) { return record_plainly(std::move(event)); };
  // Nothing that asks appears on the agent's screen.
  host.announce = [this](const Event& asked) {
    if (settings_.announce && !settings_.relay)
      settings_.announce(waiting_line(directory_->id(), asked));
  };
  approvals_.emplace(*loop_, patience, std::move(host));
}

void Run::snapshot_trees() {
  if (settings_.writable_trees.empty()) return;
  auto tree = sandbox::HostTree::open();
  if (!tree) return;
  for (const std::string& root : settings_.writable_trees)
    watches_.push_back(sandbox::PersistenceWatch::before(*tree, root));
}

Result<RunOutcome> Run::to_end() {
  if (auto started = start(); !started) {
    abandon(started.error());
    return std::unexpected(std::move(started).error());
  }
  if (!ended_by_)
    if (auto ran = loop_->run(); !ran) end(EndedBy{EndCause::error, "loop"}, ran.error().message());
  return finish();
}

Result<RunOutcome> run_to_end(RunSettings settings, const Clock& clock) {
  return Run(std::move(settings), clock).to_end();
}

}  // namespace stockade::supervisor
