// stockade: runs any AI agent, unmodified, behind five walls. Each verb is a file of this folder.
#include <malloc.h>

#include "cli/arguments.h"

namespace {

using namespace stockade;

struct Dispatch {
  char** argv;
  int operator()(const cli::RunOptions& o) const { return cli::run(o); }
  int operator()(const cli::PsOptions& o) const { return cli::ps(o); }
  int operator()(const cli::ShowOptions& o) const { return cli::show(o); }
  int operator()(const cli::LogsOptions& o) const { return cli::logs(o); }
  int operator()(const cli::AuditOptions& o) const { return cli::audit(o); }
  int operator()(const cli::AuditVerifyOptions& o) const { return cli::audit_verify(o); }
  int operator()(const cli::WhyOptions& o) const { return cli::why(o); }
  int operator()(const cli::PauseOptions& o) const { return cli::pause(o); }
  int operator()(const cli::ResumeOptions& o) const { return cli::resume(o); }
  int operator()(const cli::KillOptions& o) const { return cli::kill(o); }
  int operator()(const cli::ApprovalsOptions& o) const { return cli::approvals(o); }
  int operator()(const cli::ApproveOptions& o) const { return cli::approve(o); }
  int operator()(const cli::DenyOptions& o) const { return cli::deny(o); }
  int operator()(const cli::PolicyInitOptions& o) const { return cli::policy_init(o); }
  int operator()(const cli::PolicyCheckOptions& o) const { return cli::policy_check(o); }
  int operator()(const cli::PolicyExplainOptions& o) const { return cli::policy_explain(o); }
  int operator()(const cli::PolicyTestOptions& o) const { return cli::policy_test(o); }
  int operator()(const cli::PolicyDiffOptions& o) const { return cli::policy_diff(o); }
  int operator()(const cli::PolicyTrustOptions& o) const { return cli::policy_trust(o); }
  int operator()(const cli::ProxyOptions& o) const { return cli::proxy(o); }
  int operator()(const cli::AttachOptions& o) const { return cli::attach(o); }
  int operator()(const cli::ProbeOptions& o) const { return cli::probe(o); }
  int operator()(const cli::ScanOptions&) const { return cli::scan_by_worker(argv); }
  int operator()(const cli::DoctorOptions& o) const { return cli::doctor(o); }
  int operator()(const cli::VersionOptions& o) const { return cli::version(o); }
};

}  // namespace

int main(int argc, char** argv) {
  // The heap grows and shrinks in larger steps: each shrinking costs up to 0.2 ms while workers share the pages.
  ::mallopt(M_TOP_PAD, 256 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 1 << 20);
  auto parsed = cli::parse_arguments(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  return std::visit(Dispatch{argv}, std::get<cli::Verb>(parsed));
}
