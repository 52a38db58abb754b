#include "terminal/escape_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "base/printable.h"

namespace stockade::terminal {
namespace {

constexpr size_t kParameterLimit = 32;
constexpr size_t kDigitLimit = 5;        // 99999 is beyond any screen
constexpr unsigned kRepeatLimit = 9999;  // CSI b: eight bytes in, that many characters drawn
constexpr unsigned kAbsent = ~0u;

// CSI as understood: a private marker, at most one intermediate, numbers.
struct Csi {
  char marker = 0;
  char intermediate = 0;
  std::string_view text;  // the parameters as written
  std::vector<unsigned> numbers;
  bool has_colon = false;

  unsigned number(size_t index, unsigned otherwise) const {
    return index < numbers.size() && numbers[index] != kAbsent ? numbers[index] : otherwise;
  }
  bool only(unsigned value) const { return numbers.size() == 1 && numbers[0] == value; }
  bool none_or_zero() const { return numbers.empty() || (numbers.size() == 1 && number(0, 0) == 0); }
};

std::optional<Csi> parse_csi(std::string_view body) {
  Csi csi;
  if (body.size() > kCsiLimit) return std::nullopt;
  if (!body.empty() && body[0] >= '<' && body[0] <= '?') {
    csi.marker = body[0];
    body.remove_prefix(1);
  }
  const size_t end = body.find_first_not_of("0123456789:;");
  csi.text = body.substr(0, end);
  if (end != std::string_view::npos) {
    const std::string_view rest = body.substr(end);
    if (rest.size() != 1 || rest[0] < ' ' || rest[0] > '/') return std::nullopt;
    csi.intermediate = rest[0];
  }
  size_t digits = 0;
  if (!csi.text.empty()) csi.numbers.push_back(kAbsent);
  for (const char c : csi.text) {
    if (c == ':' || c == ';') {
      csi.has_colon |= c == ':';
      if (csi.numbers.size() == kParameterLimit) return std::nullopt;
      csi.numbers.push_back(kAbsent);
      digits = 0;
      continue;
    }
    if (++digits > kDigitLimit) return std::nullopt;
    unsigned& number = csi.numbers.back();
    number = (number == kAbsent ? 0 : number * 10) + static_cast<unsigned>(c - '0');
  }
  return csi;
}

std::string rebuild(const Csi& csi, char final_byte) {
  std::string out = "\x1b[";
  if (csi.marker) out += csi.marker;
  out += csi.text;
  if (csi.intermediate) out += csi.intermediate;
  return out += final_byte;
}

// clang-format off: a line a rule reads better here.
std::string judge_plain(const Csi& csi, char final_byte, TerminalModes& modes) {
  bool pass = false;
  if (csi.has_colon && final_byte != 'm') return {};
  switch (final_byte) {
    // Cursor, erase, insert, delete, scroll, tabs; T with more than one number would start highlight tracking.
    case '@': case 'A': case 'B': case 'C': case 'D': case 'E': case 'F': case 'G': case 'H': case 'I': case 'J':
    case 'K': case 'L': case 'M': case 'P': case 'S': case 'T': case 'X': case 'Z': case '`': case 'a': case 'd':
    case 'e': case 'f': case 'g': pass = csi.numbers.size() <= (final_byte == 'H' || final_byte == 'f' ? 2 : 1); break;
    case 'b': pass = csi.numbers.size() <= 1 && csi.number(0, 1) <= kRepeatLimit; break;
    case 'c': pass = csi.none_or_zero(); break;                    // what are you
    case 'n': pass = csi.only(5) || csi.only(6); break;            // where is the cursor
    case 's': case 'u': pass = csi.numbers.empty(); break;         // save and restore the cursor
    case 'm':
      pass = true;
      modes.touch_attributes();
      break;
    case 'r':
      if ((pass = csi.numbers.size() <= 2)) modes.set_scroll_region(csi.numbers.empty());
      break;
    case 'h': case 'l':
      if ((pass = csi.only(4))) modes.set_insert_mode(final_byte == 'h');
      break;
    default: break;
  }
  return pass ? rebuild(csi, final_byte) : std::string();
}

// Several modes may come in one sequence: the allowed ones pass.
std::string judge_private_modes(const Csi& csi, char final_byte, TerminalModes& modes) {
  std::string kept;
  for (const unsigned mode : csi.numbers) {
    if (!TerminalModes::is_allowed_private_mode(mode)) continue;
    if (!kept.empty()) kept += ';';
    kept += fmt::to_string(mode);
    modes.set_private_mode(mode, final_byte == 'h');
  }
  return kept.empty() ? kept : fmt::format("\x1b[?{}{}", kept, final_byte);
}

std::string judge_keyboard(const Csi& csi, TerminalModes& modes) {
  constexpr unsigned kAllFlags = 31;
  const unsigned flags = csi.number(0, 0);
  switch (csi.marker) {
    case '?': return csi.numbers.empty() ? "\x1b[?u" : std::string();
    case '>':
      if (csi.numbers.size() > 1 || flags > kAllFlags || !modes.may_push_keyboard()) return {};
      modes.push_keyboard(flags);
      return fmt::format("\x1b[>{}u", flags);
    case '<': {
      if (csi.numbers.size() > 1) return {};
      const size_t count = modes.pop_keyboard(csi.number(0, 1));
      return count ? fmt::format("\x1b[<{}u", count) : std::string();
    }
    case '=': {
      const unsigned how = csi.number(1, 1);
      if (csi.numbers.size() > 2 || flags > kAllFlags || how < 1 || how > 3 || !modes.may_change_keyboard()) return {};
      modes.change_keyboard(flags, how);
      return fmt::format("\x1b[={};{}u", flags, how);
    }
    default: return {};
  }
}

std::string judge_marked(const Csi& csi, char final_byte, TerminalModes& modes) {
  if (csi.has_colon) return {};
  if (final_byte == 'u') return judge_keyboard(csi, modes);
  bool pass = false;
  if (csi.marker == '?') {
    switch (final_byte) {
      case 'h': case 'l': return judge_private_modes(csi, final_byte, modes);
      case 'J': case 'K': pass = csi.numbers.size() <= 1; break;
      case 'n': pass = csi.only(6) || csi.only(996); break;  // cursor, colour scheme
      case 'm': pass = csi.only(4); break;                   // are other keys modified
      default: break;
    }
  } else if (csi.marker == '>') {
    switch (final_byte) {
      case 'c': case 'q': pass = csi.none_or_zero(); break;  // which terminal, which version
      case 'n':
        if ((pass = csi.only(4))) modes.set_modify_other_keys(0);
        break;
      case 'm':
        if ((pass = csi.number(0, 0) == 4 && csi.numbers.size() <= 2 && csi.number(1, 0) <= 3))
          modes.set_modify_other_keys(csi.number(1, 0));
        break;
      default: break;
    }
  }
  return pass ? rebuild(csi, final_byte) : std::string();
}

// clang-format on
std::string judge_with_intermediate(const Csi& csi, char final_byte, TerminalModes& modes) {
  if (csi.has_colon) return {};
  if (csi.intermediate == ' ' && final_byte == 'q' && !csi.marker && csi.numbers.size() <= 1 && csi.number(0, 0) <= 6) {
    modes.set_cursor_style(csi.number(0, 0));
    return rebuild(csi, final_byte);
  }
  // Is a mode known (the reply holds numbers only)? Soft reset.
  const bool query = csi.intermediate == '$' && final_byte == 'p' && (csi.marker == 0 || csi.marker == '?') &&
                     csi.numbers.size() == 1 && csi.number(0, kAbsent) != kAbsent;
  const bool soft_reset = csi.intermediate == '!' && final_byte == 'p' && !csi.marker && csi.numbers.empty();
  return query || soft_reset ? rebuild(csi, final_byte) : std::string();
}

// --- OSC -------------------------------------------------------------------------------------------------------------

std::string wrap_osc(std::string_view number, std::string_view text, StringEnd end) {
  return fmt::format("\x1b]{};{}{}", number, text, end == StringEnd::bel ? "\x07" : "\x1b\\");
}

// Cut at whole characters; what is not printable is left out.
std::string clean_title(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint point = decode_utf8(text);
    const size_t length = std::max<size_t>(point.length, 1);
    if (out.size() + length > kTitleLimit) break;
    if (point.length && is_printable(point.value)) out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

bool all_of(std::string_view text, std::string_view punctuation) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           punctuation.find(c) != std::string_view::npos;
  });
}

// http and https only: a click on file: opens what the agent wrote, and other schemes start programs. A link that may
// not pass still ends the one before it.
std::string judge_link(std::string_view text, StringEnd end, TerminalModes& modes) {
  const size_t semicolon = text.find(';');
  if (semicolon == std::string_view::npos) return {};
  std::string_view parameters = text.substr(0, semicolon);
  const std::string_view uri = text.substr(semicolon + 1);
  const auto starts = [&uri](std::string_view scheme) {
    return uri.size() > scheme.size() &&
           std::equal(scheme.begin(), scheme.end(), uri.begin(), [](char a, char b) { return a == (b | 0x20); });
  };
  const bool clean = uri.size() <= kLinkLimit && (starts("http://") || starts("https://")) &&
                     std::all_of(uri.begin(), uri.end(), [](char c) { return c > ' ' && c < 0x7f; });
  modes.set_link_open(clean);
  if (!clean) return wrap_osc("8", ";", end);
  const bool id = parameters.starts_with("id=") && parameters.size() <= 67 && all_of(parameters.substr(3), "._-");
  if (!id) parameters = {};
  return wrap_osc("8", fmt::format("{};{}", parameters, uri), end);
}

// Prompt marks. Options that carry text (cmdline=…) would be offered to the person as a command to run again.
bool is_prompt_mark(std::string_view text) {
  if (text.empty() || std::string_view("ABCDILNP").find(text[0]) == std::string_view::npos) return false;
  text.remove_prefix(1);
  while (!text.empty()) {
    if (text[0] != ';') return false;
    text.remove_prefix(1);
    const std::string_view option = text.substr(0, text.find(';'));
    text.remove_prefix(option.size());
    const size_t equals = option.find('=');
    if (equals == std::string_view::npos) {
      if (option.empty() || option.size() > 3 || option.find_first_not_of("0123456789") != option.npos) return false;
      continue;
    }
    const std::string_view key = option.substr(0, equals), value = option.substr(equals + 1);
    if ((key != "k" && key != "aid" && key != "cl" && key != "redraw") || value.size() > 32 || !all_of(value, "_-"))
      return false;
  }
  return true;
}

}  // namespace

bool is_allowed_control(char byte) { return byte >= 0x07 && byte <= 0x0f; }

std::string judge_csi(std::string_view body, char final_byte, TerminalModes& modes) {
  const auto csi = parse_csi(body);
  if (!csi) return {};
  if (csi->intermediate) return judge_with_intermediate(*csi, final_byte, modes);
  if (csi->marker) return judge_marked(*csi, final_byte, modes);
  return judge_plain(*csi, final_byte, modes);
}

// clang-format off
std::string judge_escape(std::string_view intermediates, char final_byte, TerminalModes& modes) {
  if (intermediates == "(" || intermediates == ")") {
    if (final_byte != '0' && final_byte != 'B') return {};
    modes.touch_charset();
    return fmt::format("\x1b{}{}", intermediates, final_byte);
  }
  if (!intermediates.empty()) return {};
  switch (final_byte) {
    case '7': case '8': case 'D': case 'E': case 'H': case 'M': return {'\x1b', final_byte};
    case '=':
    case '>':
      modes.set_keypad_application(final_byte == '=');
      return {'\x1b', final_byte};
    case 'c': {
      // A hard reset would also take what the person's own shell has set: undo the agent's part, and clear the screen.
      const std::string reset = modes.reset_sequence();
      modes.forget();
      return reset + "\x1b[!p\x1b[2J\x1b[H";
    }
    default:
      return {};
  }
}
// clang-format on

std::string judge_osc(std::string_view payload, StringEnd end, TerminalModes& modes) {
  if (payload.size() > kOscLimit) return {};
  if (payload == "110") return modes.put_back_foreground() ? "\x1b]110\x1b\\" : std::string();
  if (payload == "111") return modes.put_back_background() ? "\x1b]111\x1b\\" : std::string();
  const size_t semicolon = payload.find(';');
  if (semicolon == std::string_view::npos) return {};
  const std::string_view number = payload.substr(0, semicolon), text = payload.substr(semicolon + 1);
  if (number == "0" || number == "2") return wrap_osc(number, clean_title(text), end);
  if (number == "8") return judge_link(text, end, modes);
  if (number == "133") return is_prompt_mark(text) ? wrap_osc(number, text, end) : std::string();
  if (number == "10" || number == "11") {
    if (text.empty() || text.size() > 64 || (text != "?" && !all_of(text, "#:/.,"))) return {};
    if (text != "?") number == "10" ? modes.change_foreground() : modes.change_background();
    return wrap_osc(number, text, end);
  }
  return {};
}

}  // namespace stockade::terminal
