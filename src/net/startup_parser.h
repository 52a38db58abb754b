// The opening of protocols that are neither TLS nor HTTP, read from both sides as far as it takes to know what is asked
// (user, database, host, path ...) and whether TLS follows. Each protocol is one StartupParser (startup_parsers.h);
// startup.h chooses it.
//
// feed() takes whole messages only and returns how many bytes they were: these, and no others, may go on to the peer.
// The caller keeps the rest, at most kStartupMessageLimit, and offers it again with what follows; the answer is the
// same however bytes are cut. Once done(), nothing more is taken: what follows is TLS (facts().tls) or the protocol
// itself. Whoever speaks out of turn where turns matter is refused: plaintext behind a request for TLS is the injection
// of CVE-2011-0411, so neither side may send a byte between that request and the ClientHello but the one answer.
//
// Passwords, tokens and responses to challenges are skipped or read in place, never kept: facts hold none. What a
// client does later in the same connection (COM_CHANGE_USER, SELECT, a second bind) is not seen here. Pure; one parser
// belongs to one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace stockade::net {

inline constexpr size_t kStartupMessageLimit = 16 * 1024;
inline constexpr size_t kStartupMessageCount = 4096;  // of one side, the lines of a mail's content not counted
inline constexpr size_t kStartupValueLimit = 1024;    // of each value in StartupFacts
inline constexpr size_t kStartupCredentials = 8;
inline constexpr size_t kStartupListLimit = 256;  // of each list there

enum class StartupProtocol : uint8_t {
  postgresql,
  mysql,
  redis,
  mongodb,
  smtp,
  imap,
  pop3,
  ftp,
  ldap,
  xmpp,
  ssh,
  git,
  amqp,
  mqtt,
  nats
};
inline constexpr size_t kStartupProtocols = 15;
std::string_view startup_protocol_name(StartupProtocol protocol);

enum class Speaker : uint8_t { client, server };

enum class StartupTls {
  later,  // plaintext until now; TLS may still be asked for
  now,    // the client's next byte, at tls_at, begins its ClientHello
  never   // the protocol goes on in plaintext, or with an encryption of its own
};

// Values are as they were sent, without control characters; whoever shows them escapes them.
struct StartupFacts {
  StartupProtocol protocol = StartupProtocol::postgresql;
  StartupTls tls = StartupTls::later;
  uint64_t tls_at = 0;          // for `now`: how many bytes of the client belong to the startup
  bool own_encryption = false;  // what follows is encrypted, but not by TLS (SSH, GSSAPI)

  std::string user;
  std::string database;     // Redis: its number; MongoDB: where the user is defined; AMQP: the virtual host
  std::string application;  // what the client calls itself: application_name, the name in EHLO, an MQTT client id
  std::string server;       // what the server calls itself: a version, a greeting's text
  std::string host;         // whom the client means: git's host=, the domain of an XMPP stream
  std::string path;         // git
  std::string request;      // git: the service; PostgreSQL: "startup", "cancel", "replication"; AMQP: the version
  std::string mechanism;    // authentication plugin or SASL mechanism
  std::vector<std::string> senders;     // SMTP
  std::vector<std::string> recipients;  // SMTP
  std::vector<std::string> offered;     // compressors (MongoDB), key exchange algorithms of the client (SSH)

  bool operator==(const StartupFacts&) const = default;
};

class StartupParser {
 public:
  virtual ~StartupParser() = default;
  StartupParser(const StartupParser&) = delete;
  StartupParser& operator=(const StartupParser&) = delete;

  // An error is final: the same error comes for whatever is fed later.
  Result<size_t> feed(Speaker speaker, std::string_view bytes);
  bool done() const { return done_; }
  const StartupFacts& facts() const { return facts_; }
  // After tls `now`: the parser of what comes inside that TLS, where a session goes on instead of beginning anew (SMTP
  // has no second greeting). Null: nothing asks for TLS there, or it is not known what follows.
  virtual std::unique_ptr<StartupParser> inside_tls() const { return nullptr; }
  // Where in the bytes of the last feed() that were taken the client proves who it is: what it says there to the host
  // that it means is no leak. In order; at most kStartupCredentials of a connection are told.
  struct Credential {
    size_t begin = 0;
    size_t size = 0;
  };
  const std::vector<Credential>& credentials() const { return credentials_; }
  uint64_t taken(Speaker speaker) const { return taken_[static_cast<size_t>(speaker)]; }

 protected:
  explicit StartupParser(StartupProtocol protocol) { facts_.protocol = protocol; }

  // The size of the message that `bytes` (never empty) begin with, after it was judged; 0: not whole yet, or finish()
  // was called and the message is not the startup's.
  virtual Result<size_t> take(Speaker speaker, std::string_view bytes) = 0;
  virtual bool may_speak(Speaker) const { return true; }

  void finish(StartupTls tls);
  // For bytes that are no message: content that is passed on unread. How often they come depends on how they are cut.
  void count_nothing() { counted_ = false; }
  // `value` lies in the bytes that take() was given.
  void hold_private(std::string_view value);
  std::unexpected<Error> refuse(std::string_view reason) const;
  // Sets one fact, or refuses a value that is too long or has control characters.
  Result<void> set(std::string& fact, std::string_view value) const;
  Result<void> add(std::vector<std::string>& facts, std::string_view value) const;

  StartupFacts facts_;

 private:
  Result<size_t> feed_messages(Speaker speaker, std::string_view bytes);
  Result<void> check_behind(Speaker speaker, std::string_view bytes) const;

  std::vector<Credential> credentials_;
  const char* fed_ = nullptr;  // for the time of one feed()
  size_t told_credentials_ = 0;
  bool done_ = false;
  bool counted_ = true;
  std::string failure_;
  uint64_t taken_[2] = {0, 0};
  size_t messages_[2] = {0, 0};
};

// Fields of a binary message, least or most significant byte first. After the first read past the end everything is
// empty and ok() is false.
class StartupCursor {
 public:
  explicit StartupCursor(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool finished() const { return ok_ && rest_.empty(); }
  bool empty() const { return rest_.empty(); }
  size_t size() const { return rest_.size(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  std::string_view take(size_t count);
  std::string_view take_rest() { return take(rest_.size()); }
  uint64_t take_big(size_t width);
  uint64_t take_little(size_t width);
  std::string_view take_to_zero();  // without the zero, which must be there

 private:
  std::string_view fail_here();

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace stockade::net
