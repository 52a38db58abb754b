// What Stockade itself says: lines on stderr that begin with "stockade: ", and tables on stdout. Everything that came
// from a file, a run or an agent is escaped on its way to a terminal; colours appear on a terminal only.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

namespace stockade::cli {

// "stockade: message" and, if there is one, "stockade: hint" below it.
void print_error(const Error& error);
void say(std::string_view line);
std::string spoken(std::string_view line);  // what say() prints

// Lines on stderr while something runs that must never wait for whoever reads it: an agent may share that pipe and fill
// it. A line that would wait is left out. Open before the process confines itself.
class UnwaitingStderr {
 public:
  static UnwaitingStderr open();
  void write(std::string_view line) const;

 private:
  bool socket_ = false;
  bool is_pipe_ = false;
  Fd pipe_;  // the same pipe, opened once more: the agent's own descriptor goes on waiting. None: another user's
};

// The exit status of a verb other than `run` that failed: 2 for what was used wrongly, else 1.
int exit_status(const Error& error);

bool stdout_is_terminal();

// On stdout, indented; bytes that are no UTF-8 become U+FFFD.
void print_json(const nlohmann::ordered_json& json);

// Columns as wide as their widest cell, two spaces between.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace stockade::cli
