// What a person typed, as values. CLI11 is used in arguments.cc alone; each verb's file takes its options struct and
// returns the exit status. Exit statuses are those of the design: `run` answers 125 when Stockade could not start it;
// every other verb 0, 1 (the answer is no: not found, not valid, did not hold) or 2 (used wrongly).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace stockade::cli {

struct RunOptions {
  std::string policy;  // file; empty: found
  std::string preset;
  std::string runtime = "native";
  std::string name;
  bool quiet = false;
  bool json = false;
  std::vector<std::string> command;
};
struct PsOptions {
  bool all = false;
  bool json = false;
};
struct ShowOptions {
  std::string run;
  bool json = false;
};
struct LogsOptions {
  std::string run;
  bool json = false;
  bool follow = false;
};
struct AuditOptions {
  std::string run;
  bool json = false;
};
struct AuditVerifyOptions {
  std::string run;
  bool json = false;
};
struct WhyOptions {
  std::string run;
  std::optional<uint64_t> event;
  bool json = false;
};
struct PauseOptions {
  std::string run;
};
struct ResumeOptions {
  std::string run;
};
struct KillOptions {
  std::string run;
  bool all = false;
  std::string reason;
};
struct ApprovalsOptions {
  std::string run;  // empty: every run
  bool json = false;
};
struct ApproveOptions {
  std::string run;
  uint64_t event = 0;
  std::string reason;
};
struct DenyOptions {
  std::string run;
  uint64_t event = 0;
  std::string reason;
};
struct PolicyInitOptions {
  std::string preset;
  std::string output;  // empty: stdout
};
struct PolicyCheckOptions {
  std::string file;
  bool json = false;
};
struct PolicyExplainOptions {
  std::string file;
  std::string preset;
  bool json = false;
  bool plan = false;
};
struct PolicyTestOptions {
  std::string file;
  bool json = false;
};
struct PolicyDiffOptions {
  std::string before;
  std::string after;
  bool json = false;
};
struct PolicyTrustOptions {
  std::string file;
};
struct ProxyOptions {
  std::string policy;
  std::string listen;
};
struct AttachOptions {
  std::optional<int> pid;  // one of the three
  std::string netns;
  std::string container;
  std::string policy;
  std::string name;
  std::string if_lost = "cut";
};
struct ProbeOptions {
  std::string policy;
  std::vector<std::string> without;  // walls to take away, for the test that probes can fail
  bool json = false;
};
struct ScanOptions {
  std::string direction = "out";
  std::string kind = "secrets";
  bool json = false;
  bool sarif = false;
  std::vector<std::string> paths;  // none, or "-": stdin
};
struct DoctorOptions {
  bool json = false;
};
struct VersionOptions {
  bool json = false;
};

using Verb = std::variant<RunOptions, PsOptions, ShowOptions, LogsOptions, AuditOptions, AuditVerifyOptions, WhyOptions,
                          PauseOptions, ResumeOptions, KillOptions, ApprovalsOptions, ApproveOptions, DenyOptions, PolicyInitOptions, PolicyCheckOptions,
                          PolicyExplainOptions, PolicyTestOptions, PolicyDiffOptions, PolicyTrustOptions, ProxyOptions,
                          AttachOptions, ProbeOptions, ScanOptions, DoctorOptions, VersionOptions>;

// A verb, or the exit status with which to leave at once (help was printed, or the words were wrong and it was said).
using Parsed = std::variant<Verb, int>;
Parsed parse_arguments(int argc, char** argv);

int run(const RunOptions& options);
int ps(const PsOptions& options);
int show(const ShowOptions& options);
int logs(const LogsOptions& options);
int audit(const AuditOptions& options);
int audit_verify(const AuditVerifyOptions& options);
int why(const WhyOptions& options);
int pause(const PauseOptions& options);
int resume(const ResumeOptions& options);
int kill(const KillOptions& options);
int approvals(const ApprovalsOptions& options);
int approve(const ApproveOptions& options);
int deny(const DenyOptions& options);
int policy_init(const PolicyInitOptions& options);
int policy_check(const PolicyCheckOptions& options);
int policy_explain(const PolicyExplainOptions& options);
int policy_test(const PolicyTestOptions& options);
int policy_diff(const PolicyDiffOptions& options);
int policy_trust(const PolicyTrustOptions& options);
int proxy(const ProxyOptions& options);
int attach(const AttachOptions& options);
int probe(const ProbeOptions& options);
int scan(const ScanOptions& options);
// The same by the worker program, with the same arguments: `stockade` itself does not load what a scan needs.
int scan_by_worker(char** argv);
int doctor(const DoctorOptions& options);
int version(const VersionOptions& options);

}  // namespace stockade::cli
