#include "net/tls_authority.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/ip_address.h"

namespace stockade::net {

namespace {

constexpr auto kBefore = std::chrono::hours(24);
constexpr size_t kCommonNameLimit = 64;  // ub-common-name, RFC 5280 appendix A

using Key = std::shared_ptr<evp_pkey_st>;
using OwnedCertificate = std::unique_ptr<x509_st, Certificate::Free>;

Error openssl_error(std::string_view doing) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return Error(ErrorKind::internal, fmt::format("{}: {}", doing, reason ? reason : "OpenSSL failed"));
}

Result<Key> make_key() {
  Key key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (!key) return std::unexpected(openssl_error("make a key"));
  return key;
}

Result<void> set_serial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return std::unexpected(openssl_error("draw a serial number"));
  bytes[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, void (*)(BIGNUM*)> number(BN_bin2bn(bytes, sizeof bytes, nullptr), BN_free);
  if (!number || !BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)))
    return std::unexpected(openssl_error("set a serial number"));
  return {};
}

Result<void> add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, void (*)(X509_EXTENSION*)> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, kind, value.c_str()), X509_EXTENSION_free);
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1)
    return std::unexpected(openssl_error("write a certificate's extension"));
  return {};
}

// Without `issuer` it signs itself.
Result<OwnedCertificate> begin_certificate(const std::string& name, const Key& key, X509* issuer, WallTime made) {
  OwnedCertificate certificate(X509_new());
  if (!certificate) return std::unexpected(openssl_error("make a certificate"));
  X509* x509 = certificate.get();
  STOCKADE_TRY(set_serial(x509));
  const time_t from = std::chrono::system_clock::to_time_t(made - kBefore);
  const time_t until = std::chrono::system_clock::to_time_t(made + kAuthorityLife);
  X509_NAME* subject = X509_get_subject_name(x509);
  const bool written =
      X509_set_version(x509, X509_VERSION_3) == 1 && ASN1_TIME_set(X509_getm_notBefore(x509), from) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(x509), until) != nullptr && X509_set_pubkey(x509, key.get()) == 1 &&
      (name.size() > kCommonNameLimit ||  // the names that count are in subjectAltName
       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name.data()),
                                  static_cast<int>(name.size()), -1, 0) == 1) &&
      X509_set_issuer_name(x509, issuer ? X509_get_subject_name(issuer) : subject) == 1;
  if (!written) return std::unexpected(openssl_error("fill in a certificate"));
  return certificate;
}

Result<void> sign(X509* certificate, const Key& key) {
  if (X509_sign(certificate, key.get(), EVP_sha256()) == 0) return std::unexpected(openssl_error("sign a certificate"));
  return {};
}

}  // namespace

void Certificate::Free::operator()(x509_st* certificate) const { X509_free(certificate); }
void Certificate::Free::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Result<CertificateAuthority> CertificateAuthority::create(const std::string& name, WallTime now) {
  STOCKADE_ASSIGN(Key key, make_key());
  STOCKADE_ASSIGN(Key leaf_key, make_key());
  STOCKADE_ASSIGN(OwnedCertificate own, begin_certificate(name, key, nullptr, now));
  X509* x509 = own.get();
  STOCKADE_TRY(add_extension(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  STOCKADE_TRY(add_extension(x509, x509, NID_key_usage, "critical,keyCertSign"));
  STOCKADE_TRY(add_extension(x509, x509, NID_subject_key_identifier, "hash"));
  STOCKADE_TRY(sign(x509, key));
  return CertificateAuthority(Certificate(std::move(own), std::move(key)), std::move(leaf_key), now);
}

std::string CertificateAuthority::pem() const {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (!bio || PEM_write_bio_X509(bio.get(), own_.x509()) != 1) return {};
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

Result<const Certificate*> CertificateAuthority::leaf_for(const std::string& host) {
  if (const auto known = index_.find(host); known != index_.end()) return &known->second->certificate;
  STOCKADE_ASSIGN(OwnedCertificate leaf, begin_certificate(host, leaf_key_, own_.x509(), made_));
  X509* x509 = leaf.get();
  const std::string subject = (IpAddress::parse(host) ? "IP:" : "DNS:") + host;
  STOCKADE_TRY(add_extension(x509, own_.x509(), NID_subject_alt_name,
                             host.size() > kCommonNameLimit ? "critical," + subject : subject));
  STOCKADE_TRY(add_extension(x509, own_.x509(), NID_basic_constraints, "critical,CA:FALSE"));
  STOCKADE_TRY(add_extension(x509, own_.x509(), NID_key_usage, "critical,digitalSignature"));
  STOCKADE_TRY(add_extension(x509, own_.x509(), NID_ext_key_usage, "serverAuth"));
  STOCKADE_TRY(add_extension(x509, own_.x509(), NID_authority_key_identifier, "keyid"));
  Key signer = Key(own_.key(), [](evp_pkey_st*) {});  // borrowed
  STOCKADE_TRY(sign(x509, signer));
  if (leaves_.size() >= kLeaves) {
    index_.erase(leaves_.back().host);
    leaves_.pop_back();
  }
  leaves_.push_front({host, Certificate(std::move(leaf), leaf_key_)});
  index_.emplace(host, leaves_.begin());
  return &leaves_.front().certificate;
}

}  // namespace stockade::net
