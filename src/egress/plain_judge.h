// PlainJudge: what of a connection that speaks neither TLS nor HTTP may pass, and when. Bytes of both sides go in as
// they come; out come those that may be forwarded, exactly as they were. Which protocol it is the rule says, or the
// port, or the client's first bytes. A protocol that is known must begin as it should (net/startup_parser.h), and where
// it agrees on TLS, that is the caller's to open. A protocol that nobody knows passes, but no TLS may begin in it
// unseen. All that the client sends is searched for secrets, without regard to framing, until the protocol encrypts by
// itself (SSH); all but the passwords and tokens by which it logs in, which are where they belong.
//
// Held back are: a message of the startup that is not whole, first bytes that may still become a known protocol, and
// what looks like the beginning of a secret. None of it is lost: more bytes, or give_up_waiting(), let it go. Bounded
// by net::kStartupMessageLimit and inspect::StreamScanner. No descriptor, no clock; one connection.
#pragma once

#include <optional>
#include <string>

#include "egress/content_guard.h"
#include "net/client_hello_search.h"
#include "net/startup.h"

namespace stockade::egress {

class PlainJudge {
 public:
  // `named`: by the rule; empty: by port. No guard: nothing is searched.
  PlainJudge(std::string_view named, uint16_t port, ContentGuard* guard);

  struct Passed {
    std::string leaves;
    std::optional<net::StartupFacts> facts;  // must be in the log before these bytes leave
    std::vector<inspect::Finding> found;     // in what has not left yet
    std::string refusal;                     // not empty: nothing leaves any more
  };
  Passed from_client(std::string_view bytes, bool end);
  Passed from_server(std::string_view bytes);
  // The client has sent nothing more, now and for some time.
  Passed pause();
  Passed give_up_waiting();

  // The client's next bytes are its ClientHello: take_hello() has what came of it, enter_tls() goes on inside.
  bool tls_begins() const { return tls_begins_; }
  // The server has said its last word in the clear.
  bool tls_is_agreed() const {
    return tls_begins_ || (startup_ && startup_->facts().tls == net::StartupTls::now && startup_->done());
  }
  std::string take_hello();
  void enter_tls();

  bool inside_tls() const { return inside_; }
  // Known, by its name; empty: unknown, or not yet.
  std::string_view protocol() const;
  // What was not told yet, for the end of a session.
  std::optional<net::StartupFacts> untold_facts();
  // The client's bytes that wait for more; and whether time may let them go.
  size_t held() const { return waiting_.size() + (guard_ ? guard_->held() : 0); }
  bool waits() const { return (!decided_ && !waiting_.empty()) || (guard_ && guard_->held() > 0); }

 private:
  void expect(std::optional<net::StartupProtocol> protocol);
  bool decide(bool now);
  std::string take_startup(Passed& passed, std::vector<net::StartupParser::Credential>& private_parts);
  Passed judge_client(bool now, bool end);
  void search(std::string_view content, bool end, Passed& passed);
  void tell(const net::StartupFacts& before, Passed& passed);
  bool is_searched() const;

  uint16_t port_;
  std::optional<net::StartupProtocol> expected_;
  ContentGuard* searcher_;
  std::unique_ptr<net::StartupParser> startup_;  // null: not known
  net::ClientHelloSearch hello_;
  std::optional<BodyGuard> guard_;
  std::string waiting_;         // of the client
  std::string server_waiting_;  // of the server
  net::StartupFacts told_;
  bool decided_ = false;
  bool tls_begins_ = false;
  bool inside_ = false;
  bool told_done_ = false;
};

}  // namespace stockade::egress
