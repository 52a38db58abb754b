#include "net/tls_session.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "net/tls_authority.h"

namespace stockade::net {

namespace {

constexpr int kSecurityLevel = 2;  // 112 bits: no RSA below 2048, no SHA-1
constexpr size_t kWritePiece = 16 * 1024;

Error openssl_error(std::string_view doing) {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return Error(ErrorKind::protocol, fmt::format("{}: {}", doing, reason ? reason : "failed"));
}

std::string wire_format(const std::vector<std::string>& protocols) {
  std::string out;
  for (const std::string& each : protocols) {
    out += static_cast<char>(each.size());
    out += each;
  }
  return out;
}

Result<void> add_roots(X509_STORE* store, std::string_view pem) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  size_t count = 0;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    count += X509_STORE_add_cert(store, certificate) == 1 ? 1 : 0;
    X509_free(certificate);
  }
  ERR_clear_error();  // the end of the text is reported as an error
  if (count == 0) return fail(ErrorKind::invalid_input, "no certificate to trust is in the given text");
  return {};
}

}  // namespace

struct TlsSession::Inner {
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  std::unique_ptr<SSL, Free> ssl;
  BIO* in = nullptr;   // owned by ssl
  BIO* out = nullptr;  // owned by ssl
  std::string alpn;    // what a server side chooses from, in wire format
  std::string peer;    // for errors
};

namespace {

int choose_alpn(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char* offered,
                unsigned offered_size, void*) {
  const auto* wanted = static_cast<const std::string*>(SSL_get_app_data(ssl));
  if (!wanted || wanted->empty()) return SSL_TLSEXT_ERR_NOACK;
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(wanted->data()),
                            static_cast<unsigned>(wanted->size()), offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

void TlsContext::Free::operator()(ssl_ctx_st* context) const { SSL_CTX_free(context); }

Result<TlsContext> TlsContext::for_client(std::string_view roots) {
  TlsContext made;
  made.context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = made.context_.get();
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
    return std::unexpected(openssl_error("set up TLS"));
  SSL_CTX_set_security_level(context, kSecurityLevel);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  STOCKADE_TRY(add_roots(SSL_CTX_get_cert_store(context), roots));
  return made;
}

Result<TlsContext> TlsContext::for_server() {
  TlsContext made;
  made.context_.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = made.context_.get();
  if (!context || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
    return std::unexpected(openssl_error("set up TLS"));
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(context, choose_alpn, nullptr);
  return made;
}

TlsSession::TlsSession(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
TlsSession::TlsSession(TlsSession&&) noexcept = default;
TlsSession& TlsSession::operator=(TlsSession&&) noexcept = default;
TlsSession::~TlsSession() = default;

Result<TlsSession> TlsSession::make(const TlsContext& context) {
  auto inner = std::make_unique<Inner>();
  inner->ssl.reset(SSL_new(context.get()));
  inner->in = BIO_new(BIO_s_mem());
  inner->out = BIO_new(BIO_s_mem());
  if (!inner->ssl || !inner->in || !inner->out) return std::unexpected(openssl_error("begin TLS"));
  BIO_set_mem_eof_return(inner->in, -1);
  SSL_set_bio(inner->ssl.get(), inner->in, inner->out);
  return TlsSession(std::move(inner));
}

Result<TlsSession> TlsSession::to_server(const TlsContext& context, const std::string& host, const IpAddress* address,
                                         const std::vector<std::string>& alpn) {
  STOCKADE_ASSIGN(TlsSession session, make(context));
  SSL* ssl = session.inner_->ssl.get();
  X509_VERIFY_PARAM* checks = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(checks, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  session.inner_->peer = address ? address->to_string() : host;
  const int named = address ? X509_VERIFY_PARAM_set1_ip_asc(checks, session.inner_->peer.c_str())
                            : SSL_set_tlsext_host_name(ssl, host.c_str()) == 1 && SSL_set1_host(ssl, host.c_str()) == 1;
  const std::string offered = wire_format(alpn);
  if (named != 1 ||
      (!offered.empty() && SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(offered.data()),
                                               static_cast<unsigned>(offered.size())) != 0))
    return std::unexpected(openssl_error("begin TLS"));
  SSL_set_connect_state(ssl);
  STOCKADE_TRY(session.advance());
  return session;
}

Result<TlsSession> TlsSession::from_client(const TlsContext& context, const Certificate& certificate,
                                           const std::vector<std::string>& alpn) {
  STOCKADE_ASSIGN(TlsSession session, make(context));
  SSL* ssl = session.inner_->ssl.get();
  session.inner_->alpn = wire_format(alpn);
  session.inner_->peer = "the client";
  SSL_set_app_data(ssl, &session.inner_->alpn);
  if (SSL_use_certificate(ssl, certificate.x509()) != 1 || SSL_use_PrivateKey(ssl, certificate.key()) != 1)
    return std::unexpected(openssl_error("bear a certificate"));
  SSL_set_accept_state(ssl);
  return session;
}

// What a verification found wrong comes first: it is what a person can act on.
Error TlsSession::failure(std::string_view doing) {
  const long verified = SSL_get_verify_result(inner_->ssl.get());
  state_ = TlsState::failed;
  if (verified == X509_V_OK) return openssl_error(doing);
  ERR_clear_error();
  return Error(ErrorKind::denied,
               fmt::format("the certificate of {}: {}", inner_->peer, X509_verify_cert_error_string(verified)));
}

Result<void> TlsSession::advance() {
  if (state_ != TlsState::handshake) return {};
  ERR_clear_error();
  const int done = SSL_do_handshake(inner_->ssl.get());
  if (done == 1) {
    state_ = TlsState::open;
    return {};
  }
  const int why = SSL_get_error(inner_->ssl.get(), done);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return {};
  return std::unexpected(failure(fmt::format("TLS with {}", inner_->peer)));
}

Result<void> TlsSession::feed(std::string_view bytes) {
  if (state_ == TlsState::failed) return fail(ErrorKind::protocol, "the TLS connection has failed");
  if (BIO_write(inner_->in, bytes.data(), static_cast<int>(bytes.size())) != static_cast<int>(bytes.size()))
    return std::unexpected(openssl_error("keep what came"));
  return advance();
}

bool TlsSession::has_output() const { return BIO_ctrl_pending(inner_->out) > 0; }

std::string TlsSession::take_output() {
  std::string bytes(BIO_ctrl_pending(inner_->out), '\0');
  if (bytes.empty()) return bytes;
  const int count = BIO_read(inner_->out, bytes.data(), static_cast<int>(bytes.size()));
  bytes.resize(static_cast<size_t>(std::max(count, 0)));
  return bytes;
}

std::string TlsSession::alpn() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(inner_->ssl.get(), &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

Result<std::string> TlsSession::read(size_t limit) {
  std::string plain(limit, '\0');
  size_t have = 0;
  while (have < limit && state_ == TlsState::open) {
    size_t count = 0;
    ERR_clear_error();
    const int done = SSL_read_ex(inner_->ssl.get(), plain.data() + have, limit - have, &count);
    if (done == 1) {
      have += count;
      continue;
    }
    const int why = SSL_get_error(inner_->ssl.get(), done);
    if (why == SSL_ERROR_ZERO_RETURN)
      state_ = TlsState::closed;
    else if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE && have == 0)
      return std::unexpected(failure("read TLS"));
    break;
  }
  plain.resize(have);
  return plain;
}

Result<void> TlsSession::write(std::string_view bytes) {
  if (state_ != TlsState::open && state_ != TlsState::closed) return fail(ErrorKind::protocol, "TLS is not open");
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, kWritePiece);
    size_t count = 0;
    ERR_clear_error();
    if (SSL_write_ex(inner_->ssl.get(), piece.data(), piece.size(), &count) != 1)
      return std::unexpected(failure("write TLS"));
    bytes.remove_prefix(count);
  }
  return {};
}

void TlsSession::close() {
  if (state_ == TlsState::open || state_ == TlsState::closed) (void)SSL_shutdown(inner_->ssl.get());
  ERR_clear_error();
}

}  // namespace stockade::net
