// The relay's escape filter against any bytes of an agent: the output is the same however the input is split, passes
// the filter unchanged, and holds no byte or sequence that acts on the person's terminal.
// covers: src/terminal/escape_filter.cc src/terminal/escape_rules.cc src/terminal/terminal_modes.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/printable.h"
#include "terminal/escape_filter.h"

namespace {

using stockade::terminal::EscapeFilter;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string filter(std::string_view bytes, size_t piece) {
  EscapeFilter escape_filter;
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += piece) escape_filter.feed(bytes.substr(at, piece), out);
  escape_filter.finish(out);
  return out;
}

// A second, simpler reading of the output: which introducers occur, and is every other byte text.
void check_output(std::string_view out) {
  for (size_t i = 0; i < out.size();) {
    const auto byte = static_cast<uint8_t>(out[i]);
    if (byte == 0x1b) {
      require(i + 1 < out.size());
      require(std::string_view("PX^_k%#Nno|}~ ").find(out[i + 1]) == std::string_view::npos);
      if (out[i + 1] == ']') {
        const std::string_view rest = out.substr(i + 2);
        bool allowed = false;
        for (const std::string_view number : {"0;", "2;", "8;", "10;", "11;", "133;", "110\x1b", "111\x1b"})
          allowed |= rest.starts_with(number);
        require(allowed);
      }
      if (out[i + 1] == '[') {
        const size_t end = out.find_first_not_of("0123456789:;<=>? !$", i + 2);
        require(end != std::string_view::npos && end - i <= stockade::terminal::kCsiLimit + 2);
        require(std::string_view("tixyw[]").find(out[end]) == std::string_view::npos);
      }
      i += 2;
    } else if (byte < 0x20) {
      require(byte >= 0x07 && byte <= 0x0f);
      ++i;
    } else {
      const auto point = stockade::decode_utf8(out.substr(i));
      require(point.length != 0 && point.value != 0x7f && !(point.value >= 0x80 && point.value < 0xa0));
      i += point.length;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string whole = filter(bytes, bytes.size() + 1);
  require(whole == filter(bytes, 1));
  require(whole == filter(bytes, 3));
  require(whole == filter(whole, whole.size() + 1));
  check_output(whole);

  EscapeFilter escape_filter;
  std::string out;
  escape_filter.feed(bytes, out);
  check_output(escape_filter.modes().reset_sequence());
  check_output(escape_filter.modes().restore_sequence());
  (void)stockade::escape_for_terminal(bytes);
  return 0;
}
