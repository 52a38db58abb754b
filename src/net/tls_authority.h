// CertificateAuthority: the run's own, in one process's memory only. It signs short-lived leaves for the names that the
// agent connects to, so that the firewall can read what is inside TLS; outside of this run it is worth nothing.
//
// P-256 throughout (0.1 ms for a signature); one key for all leaves of a run, since all live in the same process;
// leaves are kept, at most kLeaves, the oldest makes room. RFC 5280 profile: serial numbers of 127 random bits,
// subjectAltName with exactly the name or address, serverAuth, path length 0. Valid from a day before now (clocks
// differ) for kAuthorityLife; a leaf ends with its authority. One thread.
#pragma once

#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

struct x509_st;
struct evp_pkey_st;

namespace stockade::net {

// The subject of every run's authority, for a person who looks at a certificate, and OpenSSL's hash of it, by which its
// directories of certificates find a file.
inline constexpr std::string_view kAuthorityName = "Stockade, this run's own authority";
inline constexpr std::string_view kAuthorityHash = "2b25204f";

inline constexpr size_t kLeaves = 4096;
inline constexpr auto kAuthorityLife = std::chrono::hours(24 * 30);

class Certificate {
 public:
  struct Free {
    void operator()(x509_st* certificate) const;
    void operator()(evp_pkey_st* key) const;
  };
  Certificate(std::unique_ptr<x509_st, Free> certificate, std::shared_ptr<evp_pkey_st> key)
      : certificate_(std::move(certificate)), key_(std::move(key)) {}
  x509_st* x509() const { return certificate_.get(); }
  evp_pkey_st* key() const { return key_.get(); }

 private:
  std::unique_ptr<x509_st, Free> certificate_;
  std::shared_ptr<evp_pkey_st> key_;
};

class CertificateAuthority {
 public:
  // `name` stands in the subject, for a person who looks at a certificate.
  static Result<CertificateAuthority> create(const std::string& name, WallTime now);

  // What programs inside must trust.
  std::string pem() const;
  // For a canonical host name, or the text of an address. Valid until the next call.
  Result<const Certificate*> leaf_for(const std::string& host);
  size_t leaves() const { return leaves_.size(); }

 private:
  struct Leaf {
    std::string host;
    Certificate certificate;
  };
  CertificateAuthority(Certificate own, std::shared_ptr<evp_pkey_st> leaf_key, WallTime now)
      : own_(std::move(own)), leaf_key_(std::move(leaf_key)), made_(now) {}
  Certificate own_;
  std::shared_ptr<evp_pkey_st> leaf_key_;
  WallTime made_;
  std::list<Leaf> leaves_;  // newest first
  std::map<std::string, std::list<Leaf>::iterator, std::less<>> index_;
};

}  // namespace stockade::net
