// git://: one packet line, "git-upload-pack /project.git\0host=example.com\0\0version=2\0". Never encrypted.
#include "net/startup_parsers.h"

namespace stockade::net {

namespace {

constexpr size_t kPacketLimit = 4096;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class GitStartup : public StartupParser {
 public:
  GitStartup() : StartupParser(StartupProtocol::git) { facts_.tls = StartupTls::never; }

 private:
  bool may_speak(Speaker speaker) const override { return speaker == Speaker::client; }

  Result<size_t> take(Speaker, std::string_view bytes) override {
    size_t size = 0;
    for (size_t i = 0; i < 4 && i < bytes.size(); ++i) {
      const int digit = hex_value(bytes[i]);
      if (digit < 0) return refuse("a packet line without a length");
      size = size * 16 + static_cast<size_t>(digit);
    }
    if (bytes.size() < 4) return 0;
    if (size < 5 || size > kPacketLimit) return refuse("a request of an impossible length");
    if (bytes.size() < size) return 0;
    STOCKADE_TRY(read_request(bytes.substr(4, size - 4)));
    finish(StartupTls::never);
    return size;
  }

  Result<void> read_request(std::string_view packet) {
    StartupCursor cursor(packet);
    auto command = cursor.take_to_zero();
    if (!cursor.ok()) {  // a request without host has no zero, and may end with LF
      command = packet;
      if (command.ends_with('\n')) command.remove_suffix(1);
    }
    const auto space = command.find(' ');
    if (space == std::string_view::npos) return refuse("a request without a path");
    facts_.request = command.substr(0, space);
    if (facts_.request != "git-upload-pack" && facts_.request != "git-receive-pack" &&
        facts_.request != "git-upload-archive")
      return refuse("a service that git does not have");
    const auto path = command.substr(space + 1);
    if (path.empty() || (path[0] != '/' && path[0] != '~')) return refuse("a path that is not absolute");
    STOCKADE_TRY(set(facts_.path, path));
    if (!cursor.ok() || cursor.empty()) return {};
    if (cursor.peek() != '\0') {
      const auto host = cursor.take_to_zero();
      if (!cursor.ok() || !host.starts_with("host=")) return refuse("a parameter that is not the host");
      STOCKADE_TRY(set(facts_.host, host.substr(5)));
    }
    if (cursor.empty()) return {};
    if (!cursor.take_to_zero().empty()) return refuse("a second host");
    while (!cursor.empty()) {  // "version=2"
      if (cursor.take_to_zero().starts_with("host=")) return refuse("a second host");
      if (!cursor.ok()) return refuse("a parameter that does not end");
    }
    return {};
  }
};

}  // namespace

std::unique_ptr<StartupParser> make_git_startup() { return std::make_unique<GitStartup>(); }

}  // namespace stockade::net
