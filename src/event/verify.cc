#include "event/verify.h"

#include <dirent.h>
#include <sys/file.h>

#include <algorithm>
#include <memory>
#include <set>

#include "event/head.h"
#include "event/log.h"
#include "event/log_text.h"
#include "event/private_file.h"
#include "event/scan.h"

namespace stockade::event {
namespace {

// Runs and the hashes of their last records, as others tell them; a run with two tellings has a problem.
using Ends = std::set<std::pair<std::string, Digest>>;

bool has_writer(int fd) {
  if (::flock(fd, LOCK_SH | LOCK_NB) < 0) return errno == EWOULDBLOCK;
  ::flock(fd, LOCK_UN);
  return false;
}

// Every run that this one's start or end says came before it.
void collect_predecessors(const ChainChecker& chain, Ends& ends) {
  const auto add = [&ends](const Event& event, const Digest& hash) {
    if (const std::string* run = event.find_evidence("after")) ends.insert({*run, hash});
  };
  if (chain.start()) add(*chain.start(), chain.start()->prev);
  Digest hash;
  const std::string* text = chain.closing() ? chain.closing()->find_evidence("after_hash") : nullptr;
  if (text && from_hex(*text, hash.data(), hash.size())) add(*chain.closing(), hash);
}

void judge_end(const ChainChecker& chain, bool writer, bool torn, Verification& result) {
  if (!chain.closing()) {
    result.integrity = writer ? Integrity::open : Integrity::unclean;
    if (!writer)
      result.problem = fmt::format("no end: {} of {} records are signed{}", chain.signed_through(), chain.records(),
                                   torn ? ", the last line is torn" : "");
    return;
  }
  const Event& closing = *chain.closing();
  result.integrity = closing.kind == kind::kEnd ? Integrity::clean : Integrity::recovered;
  result.ended_by = closing.subject;
  const std::string* events = closing.find_evidence("events");
  if (closing.kind == kind::kEnd && (!events || *events != fmt::format("{}", chain.events()))) {
    result.integrity = Integrity::broken;
    result.bad_line = chain.records();
    result.problem =
        fmt::format("the end speaks of {} events, the records of {}", events ? *events : "no", chain.events());
  } else if (result.integrity == Integrity::recovered) {
    result.problem = "the run's supervisor died; records after the last signature were closed as found";
  }
}

Result<Verification> scan_log(int fd, ChainChecker& chain) {
  Verification result;
  LineScanner scanner(fd);
  bool torn = false;
  // Asked first: a writer that ends meanwhile has then written its end.
  const bool writer = has_writer(fd);
  while (true) {
    STOCKADE_ASSIGN(const auto line, scanner.next());
    if (!line) break;
    torn = line->torn;
    auto event = torn ? Result<Event>(fail(ErrorKind::invalid_input, "torn")) : chain.feed(line->text);
    if (torn && !chain.closing()) break;
    if (event) continue;
    result.bad_line = line->number;
    result.problem = torn ? "bytes after the end of the log" : event.error().message();
    break;
  }
  result.run = chain.start() ? chain.start()->run : "";
  result.records = chain.records();
  result.events = chain.events();
  result.signed_through = chain.signed_through();
  result.head = chain.head();
  if (result.bad_line == 0) judge_end(chain, writer, torn, result);
  return result;
}

void compare_key(int user, const ChainChecker& chain, Verification& result) {
  if (!result.intact() || !chain.key()) return;
  const auto known = load_public_key(user);
  if (known && *known == *chain.key()) return;
  result.integrity = Integrity::other_key;
  result.problem = known ? "signed by a key that is not audit-key.pub"
                         : fmt::format("nothing to check the signatures by: {}", known.error().render());
}

void compare_head(const Head& head, Verification& result) {
  if (head.run.empty() || head.run != result.run || head.hash == result.head) return;
  if (result.integrity == Integrity::broken) return;
  result.integrity = Integrity::truncated;
  result.problem = "this run ended with another last record than the file has: it was cut or replaced";
}

Result<Verification> verify_one(int user, const Head& head, const std::string& run_directory, ChainChecker& chain) {
  STOCKADE_ASSIGN(const Fd directory, open_private_directory(run_directory, Missing::refuse));
  STOCKADE_ASSIGN(const Fd file, open_private_file(directory.get(), kLogName, O_RDONLY));
  STOCKADE_ASSIGN(Verification result, scan_log(file.get(), chain));
  compare_key(user, chain, result);
  compare_head(head, result);
  return result;
}

Result<Head> read_head(int user) {
  STOCKADE_ASSIGN(UserHead file, UserHead::open(user));
  auto head = file.lock_and_read();
  file.unlock();
  return head;
}

// The names of directories below the user's that hold a log.
Result<std::vector<std::string>> list_runs(int user) {
  const int copy = ::openat(user, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::unique_ptr<DIR, int (*)(DIR*)> directory(copy < 0 ? nullptr : ::fdopendir(copy), &::closedir);
  if (!directory) return fail_errno("list runs");
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (is_run_id(name) && ::faccessat(user, (name + "/" + kLogName).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

std::string_view to_string(Integrity integrity) {
  constexpr std::string_view kNames[] = {"clean", "recovered", "open", "unclean", "truncated", "other_key", "broken"};
  return kNames[static_cast<size_t>(integrity)];
}

std::string Verification::to_text() const {
  std::string text = fmt::format("{}: {}: {} records, {} event{}", display_text(run), to_string(integrity), records,
                                 events, events == 1 ? "" : "s");
  if (!ended_by.empty()) text += fmt::format(", ended by {}", display_text(ended_by));
  if (bad_line > 0) text += fmt::format("; line {}", bad_line);
  if (!problem.empty()) text += fmt::format("{} {}", bad_line > 0 ? ":" : ";", display_text(problem));
  return text;
}

std::string Verification::to_json() const {
  std::string text = "{\"run\":\"";
  append_json_text(text, run, kSubjectLimit);
  text += fmt::format("\",\"integrity\":\"{}\",\"intact\":{},\"records\":{},\"events\":{},\"signed_through\":{}",
                      to_string(integrity), intact(), records, events, signed_through);
  if (bad_line > 0) text += fmt::format(",\"bad_line\":{}", bad_line);
  text += ",\"problem\":\"";
  append_json_text(text, problem, kSubjectLimit);
  text += "\",\"ended_by\":\"";
  append_json_text(text, ended_by, kSubjectLimit);
  return text + fmt::format("\",\"head\":\"{}\"}}", to_hex(head.data(), head.size()));
}

Result<Verification> verify_log(const std::string& user_directory, const std::string& run_directory) {
  STOCKADE_ASSIGN(const Fd user, open_private_directory(user_directory, Missing::refuse));
  STOCKADE_ASSIGN(const Head head, read_head(user.get()));
  ChainChecker chain;
  STOCKADE_ASSIGN(auto one, verify_one(user.get(), head, run_directory, chain));
  if (one.run.empty()) one.run = run_directory.substr(run_directory.rfind('/') + 1);
  return one;
}

Result<RunsVerification> verify_runs(const std::string& user_directory) {
  STOCKADE_ASSIGN(const Fd user, open_private_directory(user_directory, Missing::refuse));
  STOCKADE_ASSIGN(const Head head, read_head(user.get()));
  STOCKADE_ASSIGN(const auto names, list_runs(user.get()));
  RunsVerification all;
  Ends ends;
  if (!head.run.empty()) ends.insert({head.run, head.hash});
  for (const auto& name : names) {
    ChainChecker chain;
    auto one = verify_one(user.get(), head, user_directory + "/" + name, chain);
    if (!one) {
      all.problems.push_back(fmt::format("the log of {} can't be read: {}", name, one.error().render()));
      continue;
    }
    if (!one->run.empty() && one->run != name)
      all.problems.push_back(fmt::format("the log in {} is the one of {}", name, display_text(one->run)));
    if (one->run.empty()) one->run = name;
    collect_predecessors(chain, ends);
    all.runs.push_back(std::move(*one));
  }
  for (const auto& [run, hash] : ends) {
    const auto found =
        std::find_if(all.runs.begin(), all.runs.end(), [&name = run](const auto& one) { return one.run == name; });
    if (found == all.runs.end())
      all.problems.push_back(fmt::format("the log of {} is gone; a later run names its end", display_text(run)));
    else if (found->head != hash && found->integrity != Integrity::truncated)
      all.problems.push_back(fmt::format("the log of {} does not end as a later run says", display_text(run)));
  }
  return all;
}

}  // namespace stockade::event
