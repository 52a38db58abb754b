#include "base/error.h"

#include <cstring>

namespace stockade {

std::string_view errno_name(int error_number) {
  const char* name = strerrorname_np(error_number);
  return name ? name : "unknown error";
}

namespace {

ErrorKind kind_of(int error_number) {
  switch (error_number) {
    case EPERM:
    case EACCES:
    case ENOSYS:
    case EOPNOTSUPP:
    case ENOENT:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EAGAIN:
    case ENOMEM:
      return ErrorKind::unavailable;
    default:
      return ErrorKind::internal;
  }
}

std::string describe(int error_number) {
  const char* text = strerrordesc_np(error_number);
  std::string description = text ? text : "unknown error";
  if (!description.empty() && description[0] >= 'A' && description[0] <= 'Z') description[0] += 'a' - 'A';
  return description;
}

}  // namespace

Error Error::from_errno(std::string_view doing) { return from_errno(doing, errno); }

Error Error::from_errno(std::string_view doing, int error_number) {
  Error error(kind_of(error_number),
              fmt::format("{}: {} ({})", doing, describe(error_number), errno_name(error_number)));
  error.errno_ = error_number;
  return error;
}

Error&& Error::context(std::string_view doing) && {
  context_.emplace_back(doing);
  return std::move(*this);
}

Error&& Error::hint(std::string_view text) && {
  hint_ = text;
  return std::move(*this);
}

std::string Error::message() const {
  std::string text;
  for (auto it = context_.rbegin(); it != context_.rend(); ++it) text += *it + ": ";
  return text + sentence_;
}

std::string Error::render() const { return hint_.empty() ? message() : message() + "; " + hint_; }

}  // namespace stockade
