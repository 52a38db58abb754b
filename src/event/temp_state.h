// For tests: a private user directory with run directories below it, removed at the end.
#pragma once

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "event/log.h"

namespace stockade::event {

class TempState {
 public:
  TempState() {
    std::string pattern = (std::filesystem::temp_directory_path() / "stockade-event-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TempState() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempState(const TempState&) = delete;
  TempState& operator=(const TempState&) = delete;

  const std::string& user() const { return path_; }
  std::string run(const std::string& id) const {
    const std::string path = path_ + "/" + id;
    ::mkdir(path.c_str(), 0700);
    return path;
  }
  std::string log(const std::string& id) const { return path_ + "/" + id + "/events.jsonl"; }
  AuditLog::Options options(const std::string& id, const Clock& clock) const {
    return {.user_directory = path_, .run_directory = run(id), .run = id, .clock = &clock};
  }

  static std::string read(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path, std::ios::binary).rdbuf();
    return text.str();
  }
  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
  }

 private:
  std::string path_;
};

inline Event refusal(std::string subject, std::string rule = "network.allow") {
  Event event;
  event.wall = Wall::network;
  event.kind = kind::kConnect;
  event.subject = std::move(subject);
  event.decision = Decision::deny;
  event.rule = std::move(rule);
  event.where = "policy.yaml:12:5";
  event.reason = "no rule of network.allow names it";
  event.hint = "add { host: " + event.subject + " } to network.allow";
  return event;
}

inline Event allowed(std::string subject) {
  Event event = refusal(std::move(subject));
  event.decision = Decision::allow;
  return event;
}

}  // namespace stockade::event
