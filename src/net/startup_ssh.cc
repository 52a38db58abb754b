// SSH: both identification lines and the first packet of each side, KEXINIT; either side may speak first. Everything
// behind is encrypted by the protocol itself.
#include <algorithm>

#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kLineLimit = 255;     // with CR LF
constexpr size_t kBannerLimit = 1024;  // a line of the server before its identification, as OpenSSH bounds it
constexpr size_t kBannerCount = 64;
constexpr uint8_t kKexInit = 20;
constexpr size_t kNameLists = 10;

class SshStartup : public StartupParser {
 public:
  SshStartup() : StartupParser(StartupProtocol::ssh) { facts_.own_encryption = true; }

 private:
  struct Side {
    bool identified = false;
    bool key_exchange = false;
    size_t banners = 0;
  };

  Result<size_t> take(Speaker speaker, std::string_view bytes) override {
    Side& side = sides_[static_cast<size_t>(speaker)];
    if (!side.identified) return take_line(speaker, side, bytes);
    if (side.key_exchange) {
      // A client may send a guess behind its KEXINIT; its packets go through while the other side's KEXINIT is due.
      count_nothing();
      return bytes.size();
    }
    return take_key_exchange(speaker, side, bytes);
  }

  Result<size_t> take_line(Speaker speaker, Side& side, std::string_view bytes) {
    const bool identification = bytes.substr(0, 4) == std::string_view("SSH-").substr(0, bytes.size());
    if (speaker == Speaker::client && !identification) return refuse("a client that does not begin with SSH-");
    const size_t limit = identification ? kLineLimit : kBannerLimit;
    const auto window = bytes.substr(0, limit);
    const auto end = window.find('\n');
    if (end == std::string_view::npos) {
      if (bytes.size() >= limit) return refuse("an identification line that is too long");
      return 0;
    }
    auto line = window.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!identification) {
      if (++side.banners > kBannerCount) return refuse("too many lines before the identification");
      return end + 1;
    }
    if (!line.starts_with("SSH-2.0-") && !line.starts_with("SSH-1.99-")) return refuse("a version that is not 2.0");
    STOCKADE_TRY(set(speaker == Speaker::client ? facts_.application : facts_.server, line));
    side.identified = true;
    return end + 1;
  }

  Result<size_t> take_key_exchange(Speaker speaker, Side& side, std::string_view bytes) {
    if (bytes.size() < 6) return 0;
    StartupCursor cursor(bytes);
    const auto length = cursor.take_big(4);
    const auto padding = cursor.take_big(1);
    if (length < 2 || length + 4 > kStartupMessageLimit || (length + 4) % 8 != 0)
      return refuse("a packet of an impossible length");
    if (padding < 4 || padding + 2 > length) return refuse("a packet with impossible padding");
    if (static_cast<uint8_t>(cursor.peek()) != kKexInit) return refuse("a first packet that is not KEXINIT");
    if (bytes.size() < length + 4) return 0;
    StartupCursor payload(cursor.take(length - padding - 1));
    payload.take(1 + 16);  // message, cookie
    for (size_t i = 0; i < kNameLists; ++i) {
      const auto names = payload.take(payload.take_big(4));
      if (i == 0 && speaker == Speaker::client) STOCKADE_TRY(read_names(names));
    }
    payload.take(1 + 4);  // whether a guess follows, reserved
    if (!payload.finished()) return refuse("a malformed KEXINIT");
    side.key_exchange = true;
    if (sides_[0].key_exchange && sides_[1].key_exchange) finish(StartupTls::never);
    return length + 4;
  }

  Result<void> read_names(std::string_view names) {
    while (!names.empty()) {
      const auto comma = std::min(names.find(','), names.size());
      if (comma == 0 || comma + 1 == names.size()) return refuse("a malformed list of algorithms");
      STOCKADE_TRY(add(facts_.offered, names.substr(0, comma)));
      names.remove_prefix(std::min(comma + 1, names.size()));
    }
    return {};
  }

  Side sides_[2];
};

}  // namespace

std::unique_ptr<StartupParser> make_ssh_startup() { return std::make_unique<SshStartup>(); }

}  // namespace stockade::net
