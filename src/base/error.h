// Result<T> and Error: how every expected failure travels. An Error says what was being done, why it failed, through
// which callers it came and what to do about it:
//
//   start sandbox: mount /proc: operation not permitted (EPERM); run 'stockade doctor'
//
// The kind, not the text, decides exit codes, HTTP statuses and events. errno is read by from_errno() before anything
// else runs. Exceptions of libraries are caught in the one file that wraps the library.
#pragma once

#include <fmt/format.h>

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stockade {

enum class ErrorKind {
  denied,         // a wall said no
  unavailable,    // the machine lacks something; the hint says how to get it
  invalid_input,  // the person's input (policy, arguments) is wrong
  protocol,       // a peer broke its protocol
  limit,          // a limit was reached
  internal,       // a bug of ours, or a system call that should not fail
};

class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string sentence) : kind_(kind), sentence_(std::move(sentence)) {}

  // "doing X" failed with the current errno. EPERM, EACCES, ENOSYS and the like become `unavailable`, else `internal`.
  static Error from_errno(std::string_view doing);
  static Error from_errno(std::string_view doing, int error_number);

  // Adds the caller's view in front: "start sandbox: ".
  Error&& context(std::string_view doing) &&;
  Error&& hint(std::string_view text) &&;
  Error&& kind(ErrorKind kind) && {
    kind_ = kind;
    return std::move(*this);
  }

  ErrorKind kind() const { return kind_; }
  int error_number() const { return errno_; }
  const std::string& sentence() const { return sentence_; }
  const std::string& hint() const { return hint_; }

  // "context: sentence", without the hint.
  std::string message() const;
  // message() and the hint, on one line.
  std::string render() const;

 private:
  ErrorKind kind_;
  int errno_ = 0;
  std::string sentence_;
  std::vector<std::string> context_;  // innermost first
  std::string hint_;
};

template <typename T>
using Result = std::expected<T, Error>;

template <typename... Args>
std::unexpected<Error> fail(ErrorKind kind, fmt::format_string<Args...> text, Args&&... args) {
  return std::unexpected(Error(kind, fmt::format(text, std::forward<Args>(args)...)));
}

// `return fail_errno("open {}", path);`: errno is read before the arguments are formatted.
template <typename... Args>
std::unexpected<Error> fail_errno(fmt::format_string<Args...> doing, Args&&... args) {
  const int saved = errno;
  return std::unexpected(Error::from_errno(fmt::format(doing, std::forward<Args>(args)...), saved));
}

// "EPERM" for EPERM.
std::string_view errno_name(int error_number);

}  // namespace stockade

// Return the error of a Result<void>-like expression.
#define STOCKADE_TRY(expression)                                                                                     \
  do {                                                                                                               \
    if (auto stockade_try_ = (expression); !stockade_try_) return std::unexpected(std::move(stockade_try_).error()); \
  } while (false)

#define STOCKADE_CONCAT_(a, b) a##b
#define STOCKADE_CONCAT(a, b) STOCKADE_CONCAT_(a, b)
// STOCKADE_ASSIGN(auto fd, open_x(path)): declares from a Result or returns its error.
#define STOCKADE_ASSIGN(declaration, expression)                                            \
  auto STOCKADE_CONCAT(stockade_result_, __LINE__) = (expression);                          \
  if (!STOCKADE_CONCAT(stockade_result_, __LINE__))                                         \
    return std::unexpected(std::move(STOCKADE_CONCAT(stockade_result_, __LINE__)).error()); \
  declaration = std::move(*STOCKADE_CONCAT(stockade_result_, __LINE__))
// The same in a coroutine.
#define STOCKADE_CO_ASSIGN(declaration, expression)                                            \
  auto STOCKADE_CONCAT(stockade_result_, __LINE__) = (expression);                             \
  if (!STOCKADE_CONCAT(stockade_result_, __LINE__))                                            \
    co_return std::unexpected(std::move(STOCKADE_CONCAT(stockade_result_, __LINE__)).error()); \
  declaration = std::move(*STOCKADE_CONCAT(stockade_result_, __LINE__))
