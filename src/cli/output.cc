#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/printable.h"

namespace stockade::cli {

void say(std::string_view line) { fmt::print(stderr, "stockade: {}\n", escape_for_terminal(line)); }

void print_error(const Error& error) {
  say(error.message());
  if (!error.hint().empty()) say(error.hint());
}

void print_json(const nlohmann::ordered_json& json) {
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

int exit_status(const Error& error) { return error.kind() == ErrorKind::invalid_input ? 2 : 1; }

bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], escape_for_terminal(row[i]).size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string cell = escape_for_terminal(row[i]);
      line += cell;
      if (i + 1 < row.size()) line.append(widths[i] + 2 - cell.size(), ' ');
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace stockade::cli
