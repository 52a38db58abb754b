// TlsSession: one TLS connection (RFC 8446, 5246) as a state machine over bytes: what the socket gave goes in by
// feed(), what it must send comes out by take_output(), plaintext by read() and write(). No descriptor, no clock.
// OpenSSL 3 behind memory BIOs; TLS 1.2 and 1.3. A context is made once and shared by its sessions, which must not
// outlive it.
//
// Client sessions verify the server strictly: its chain to the given roots, its validity, and that the certificate is
// for exactly the name or address asked for (RFC 6125; X509_check_host without partial wildcards). One thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/ip_address.h"

struct ssl_st;
struct ssl_ctx_st;

namespace stockade::net {

class Certificate;  // tls_authority.h

class TlsContext {
 public:
  // `roots`: certificates in PEM, at least one.
  static Result<TlsContext> for_client(std::string_view roots);
  static Result<TlsContext> for_server();

  ssl_ctx_st* get() const { return context_.get(); }

 private:
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };
  std::unique_ptr<ssl_ctx_st, Free> context_;
};

enum class TlsState { handshake, open, closed, failed };  // closed: by the peer's close_notify

class TlsSession {
 public:
  // `alpn`: what we offer, best first. `address` instead of a name: no SNI, and the certificate must name the address.
  static Result<TlsSession> to_server(const TlsContext& context, const std::string& host, const IpAddress* address,
                                      const std::vector<std::string>& alpn);
  // Towards a client, as the bearer of `certificate`. Of what the client offers the first of `alpn` that it has is
  // chosen; none in common: no protocol is named.
  static Result<TlsSession> from_client(const TlsContext& context, const Certificate& certificate,
                                        const std::vector<std::string>& alpn);
  TlsSession(TlsSession&&) noexcept;
  TlsSession& operator=(TlsSession&&) noexcept;
  ~TlsSession();

  // Bytes of the peer. After an error the connection is over: what take_output() still has (an alert) is to be sent.
  Result<void> feed(std::string_view bytes);
  // The peer's stream ended without close_notify: data may have been cut off.
  bool cut_off() const { return state_ != TlsState::closed; }
  std::string take_output();
  bool has_output() const;

  TlsState state() const { return state_; }
  std::string alpn() const;  // empty: none was agreed on

  // Plaintext that has come, at most `limit` bytes; empty when there is none now.
  Result<std::string> read(size_t limit);
  Result<void> write(std::string_view bytes);
  void close();  // close_notify

 private:
  struct Inner;
  explicit TlsSession(std::unique_ptr<Inner> inner);
  static Result<TlsSession> make(const TlsContext& context);
  Result<void> advance();
  Error failure(std::string_view doing);

  std::unique_ptr<Inner> inner_;
  TlsState state_ = TlsState::handshake;
};

}  // namespace stockade::net
