// SigningKey: the person's Ed25519 key that signs heads of audit logs (RFC 8032, libsodium). It lies in the user's
// state directory as `audit-key.pem` (PKCS #8, 0600), its public half beside it as `audit-key.pub`
// (SubjectPublicKeyInfo), so that `openssl pkeyutl -verify -rawin` can check a log without us. The key is in memory
// only while a signature is made: workers forked from the supervisor inherit nothing of it, and close the descriptor.
// It does not defend against somebody who can read the file: such a one can sign.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "event/event.h"

namespace stockade::event {

using PublicKey = std::array<uint8_t, 32>;

Digest sha256(std::string_view bytes);

class SigningKey {
 public:
  // Opens the key, or makes it; the caller holds the user's lock (head.h). Checks owner, mode and form, cheaply: that
  // the two halves belong together is found at the first signature.
  static Result<SigningKey> open_or_create(int user_directory);

  const PublicKey& public_key() const { return public_key_; }
  Result<Signature> sign(std::string_view message) const;

 private:
  Fd file_;
  PublicKey public_key_{};
};

// The public key alone; ENOENT where none was made yet.
Result<PublicKey> load_public_key(int user_directory);

bool verify_signature(const PublicKey& key, std::string_view message, const Signature& signature);

// What a signature is made over: a fixed prefix and the head's hash in hex. The hash covers the run's id and, through
// the chain, everything before it.
std::string signed_message(const Digest& hash);

}  // namespace stockade::event
