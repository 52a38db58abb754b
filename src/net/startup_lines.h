// What the line protocols (SMTP, IMAP, POP3, FTP, NATS, Redis) share: one line that ends with CRLF and has no CR, LF or
// zero inside, because servers that end a line at a bare LF would see commands that we do not; a reply of three digits
// over any number of lines (RFC 5321, 4.2; RFC 959, 4.2); and the user's name in the first response of a SASL
// mechanism, read without keeping what is beside it. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace stockade::net {

enum class LineState { need_more, line, malformed };

struct StartupLine {
  LineState state = LineState::need_more;
  std::string_view text;     // without CRLF
  size_t size = 0;           // with it
  std::string_view problem;  // for malformed; a constant
};
StartupLine cut_line(std::string_view bytes, size_t limit);

// "STARTTLS", "a b c" → the first word, and what follows its space.
struct FirstWord {
  std::string_view word;
  std::string_view rest;
};
FirstWord split_word(std::string_view text);

// "250-PIPELINING": code, whether more lines follow, text.
struct ReplyLine {
  int code = 0;
  bool last = true;
  std::string_view text;
};
std::optional<ReplyLine> parse_reply_line(std::string_view line);

// At most 16 KiB of standard base64 with its padding.
std::optional<std::string> decode_base64(std::string_view text);

// The user whom the first response of `mechanism` (decoded) names: PLAIN (RFC 4616), LOGIN, SCRAM-* (RFC 5802),
// XOAUTH2, OAUTHBEARER (RFC 7628), EXTERNAL. Empty where it names none.
std::string sasl_user(std::string_view mechanism, std::string_view response);

}  // namespace stockade::net
