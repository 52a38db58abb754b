#include "terminal/relay_protocol.h"

#include <csignal>
#include <cstring>

#include "base/wire.h"

namespace stockade::terminal {
namespace {

// A message is its alternative's index and its fields.
template <typename Variant>
WireWriter begin(const Variant& message) {
  WireWriter writer;
  writer.put(static_cast<uint8_t>(message.index()));
  return writer;
}

template <typename T, typename Variant>
constexpr uint8_t index_of() {
  return []<size_t... I>(std::index_sequence<I...>) {
    return static_cast<uint8_t>(((std::is_same_v<T, std::variant_alternative_t<I, Variant>> ? I : 0) + ...));
  }(std::make_index_sequence<std::variant_size_v<Variant>>());
}

void put_settings(WireWriter& writer, const termios& settings) {
  writer.put(settings.c_iflag).put(settings.c_oflag).put(settings.c_cflag).put(settings.c_lflag).put(settings.c_line);
  for (const cc_t value : settings.c_cc) writer.put(value);
}

termios get_settings(WireReader& reader) {
  termios settings{};
  settings.c_iflag = reader.get<tcflag_t>();
  settings.c_oflag = reader.get<tcflag_t>();
  settings.c_cflag = reader.get<tcflag_t>();
  settings.c_lflag = reader.get<tcflag_t>();
  settings.c_line = reader.get<cc_t>();
  for (cc_t& value : settings.c_cc) value = reader.get<cc_t>();
  return settings;
}

Hello get_hello(WireReader& reader) {
  Hello hello;
  hello.size.rows = reader.get<uint16_t>();
  hello.size.columns = reader.get<uint16_t>();
  hello.size.width = reader.get<uint16_t>();
  hello.size.height = reader.get<uint16_t>();
  hello.inside = get_settings(reader);
  hello.theirs = get_settings(reader);
  hello.ours = get_settings(reader);
  return hello;
}

}  // namespace

WindowSize WindowSize::of(int terminal) {
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) < 0) return {};
  return {size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel};
}

void WindowSize::apply(int terminal) const {
  const winsize size{rows, columns, width, height};
  (void)::ioctl(terminal, TIOCSWINSZ, &size);
}

bool same_settings(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_cflag == b.c_cflag && a.c_lflag == b.c_lflag &&
         std::memcmp(a.c_cc, b.c_cc, sizeof(a.c_cc)) == 0;
}

std::string encode(const ToSupervisor& message) {
  WireWriter writer = begin(message);
  if (const auto* hello = std::get_if<Hello>(&message)) {
    const WindowSize& size = hello->size;
    writer.put(size.rows).put(size.columns).put(size.width).put(size.height);
    put_settings(writer, hello->inside);
    put_settings(writer, hello->theirs);
    put_settings(writer, hello->ours);
  } else if (const auto* signal = std::get_if<SignalAgent>(&message)) {
    writer.put(static_cast<int32_t>(signal->number));
  }
  return writer.bytes();
}

std::string encode(const ToRelay& message) {
  WireWriter writer = begin(message);
  if (const auto* notice = std::get_if<Notice>(&message))
    writer.put(std::string_view(notice->text).substr(0, kNoticeLimit));
  else if (const auto* ended = std::get_if<Ended>(&message))
    writer.put(static_cast<int32_t>(ended->code));
  return writer.bytes();
}

Result<ToSupervisor> parse_to_supervisor(std::string_view bytes) {
  WireReader reader(bytes);
  ToSupervisor message;
  bool known = true;
  switch (reader.get<uint8_t>()) {
    case index_of<Hello, ToSupervisor>():
      message = get_hello(reader);
      break;
    case index_of<Freeze, ToSupervisor>():
      message = Freeze();
      break;
    case index_of<Thaw, ToSupervisor>():
      message = Thaw();
      break;
    case index_of<SignalAgent, ToSupervisor>(): {
      const int number = reader.get<int32_t>();
      known = number == SIGHUP || number == SIGINT || number == SIGQUIT || number == SIGTERM;
      message = SignalAgent{number};
      break;
    }
    default:
      known = false;
  }
  if (!known || !reader.finished()) return fail(ErrorKind::protocol, "the terminal relay sent a malformed message");
  return message;
}

Result<ToRelay> parse_to_relay(std::string_view bytes) {
  WireReader reader(bytes);
  ToRelay message;
  bool known = true;
  switch (reader.get<uint8_t>()) {
    case index_of<Master, ToRelay>():
      message = Master();
      break;
    case index_of<Frozen, ToRelay>():
      message = Frozen();
      break;
    case index_of<Notice, ToRelay>():
      message = Notice{reader.get_string(kNoticeLimit)};
      break;
    case index_of<Ended, ToRelay>():
      message = Ended{reader.get<int32_t>()};
      break;
    default:
      known = false;
  }
  if (!known || !reader.finished())
    return fail(ErrorKind::protocol, "the supervisor sent the relay a malformed message");
  return message;
}

}  // namespace stockade::terminal
