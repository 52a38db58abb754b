// sodium_init() is not called: it chooses among implementations of functions that are not used here, and its cpuid
// instructions cost 0.1 ms of each start in a virtual machine.
#include "event/signing_key.h"

#include <sodium.h>
#include <sys/random.h>

#include <cstring>

#include "event/private_file.h"

namespace stockade::event {
namespace {

constexpr const char* kPrivateName = "audit-key.pem";
constexpr const char* kPublicName = "audit-key.pub";
// DER in front of the 32 bytes (RFC 8410): PKCS #8 OneAsymmetricKey and SubjectPublicKeyInfo for Ed25519.
constexpr std::string_view kPrivatePrefix("\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20", 16);
constexpr std::string_view kPublicPrefix("\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", 12);

// A private key's bytes, wiped when they go out of sight.
struct Secret {
  std::array<unsigned char, 128> bytes{};
  size_t size = 0;
  ~Secret() { ::sodium_memzero(bytes.data(), bytes.size()); }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes.data()), size}; }
};

void write_pem(Secret& out, std::string_view label, std::string_view prefix, const uint8_t* key) {
  std::array<unsigned char, 48> der{};
  std::memcpy(der.data(), prefix.data(), prefix.size());
  std::memcpy(der.data() + prefix.size(), key, 32);
  const auto append = [&out](std::string_view text) {
    std::memcpy(out.bytes.data() + out.size, text.data(), text.size());
    out.size += text.size();
  };
  append("-----BEGIN ");
  append(label);
  append(" KEY-----\n");
  ::sodium_bin2base64(reinterpret_cast<char*>(out.bytes.data() + out.size), out.bytes.size() - out.size, der.data(),
                      prefix.size() + 32, sodium_base64_VARIANT_ORIGINAL);
  out.size += (prefix.size() + 32 + 2) / 3 * 4;
  append("\n-----END ");
  append(label);
  append(" KEY-----\n");
  ::sodium_memzero(der.data(), der.size());
}

// Reads exactly what write_pem() writes.
Result<void> read_pem(int fd, const char* name, std::string_view label, std::string_view prefix, uint8_t* key) {
  Secret file;
  const ssize_t count = ::pread(fd, file.bytes.data(), file.bytes.size(), 0);
  if (count < 0) return fail_errno("read {}", name);
  file.size = static_cast<size_t>(count);
  Secret der;
  const size_t begin = std::strlen("-----BEGIN  KEY-----\n") + label.size();
  constexpr size_t kBase64 = 64;
  bool ok = false;
  if (file.size > begin + kBase64) {
    const size_t encoded = file.bytes[begin + 60] == '\n' ? 60 : kBase64;
    ok = ::sodium_base642bin(der.bytes.data(), der.bytes.size(),
                             reinterpret_cast<const char*>(file.bytes.data() + begin), encoded, nullptr, nullptr,
                             nullptr, sodium_base64_VARIANT_ORIGINAL) == 0;
    std::memcpy(key, der.bytes.data() + prefix.size(), 32);
    Secret again;
    write_pem(again, label, prefix, key);
    ok = ok && again.view() == file.view();
  }
  if (!ok)
    return std::unexpected(Error(ErrorKind::denied, fmt::format("{} is not a key that Stockade wrote", name))
                               .hint("move audit-key.pem and audit-key.pub away; the next run makes new ones"));
  return {};
}

// The key pair of a seed (RFC 8032): libsodium's secret key is the seed and the public half.
struct Pair {
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret{};
  PublicKey known{};
  explicit Pair(const Secret& seed) { ::crypto_sign_seed_keypair(known.data(), secret.data(), seed.bytes.data()); }
  ~Pair() { ::sodium_memzero(secret.data(), secret.size()); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
};

Result<void> write_new(int directory, const char* name, const Secret& pem) {
  STOCKADE_ASSIGN(Fd file, open_private_file(directory, name, O_WRONLY | O_CREAT | O_EXCL));
  if (auto written = write_all(file.get(), pem.view()); !written) {
    ::unlinkat(directory, name, 0);
    return std::unexpected(std::move(written).error().context(name));
  }
  return {};
}

Result<void> create_private(int directory) {
  Secret secret, pem;
  secret.size = 32;
  if (::getrandom(secret.bytes.data(), 32, 0) != 32) return fail_errno("draw a signing key");
  write_pem(pem, "PRIVATE", kPrivatePrefix, secret.bytes.data());
  return write_new(directory, kPrivateName, pem);
}

Result<void> create_public(int directory, int private_file) {
  Secret secret, pem;
  STOCKADE_TRY(read_pem(private_file, kPrivateName, "PRIVATE", kPrivatePrefix, secret.bytes.data()));
  write_pem(pem, "PUBLIC", kPublicPrefix, Pair(secret).known.data());
  return write_new(directory, kPublicName, pem);
}

}  // namespace

Digest sha256(std::string_view bytes) {
  Digest digest;
  ::crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return digest;
}

std::string signed_message(const Digest& hash) {
  return "stockade audit head v1\n" + to_hex(hash.data(), hash.size()) + "\n";
}

Result<SigningKey> SigningKey::open_or_create(int user_directory) {
  SigningKey key;
  auto file = open_private_file(user_directory, kPrivateName, O_RDONLY);
  if (!file && file.error().error_number() == ENOENT) {
    STOCKADE_TRY(create_private(user_directory));
    file = open_private_file(user_directory, kPrivateName, O_RDONLY);
  }
  if (!file) return std::unexpected(std::move(file).error().context("open the signing key"));
  key.file_ = std::move(*file);
  {
    Secret form;
    STOCKADE_TRY(read_pem(key.file_.get(), kPrivateName, "PRIVATE", kPrivatePrefix, form.bytes.data()));
  }
  auto known = load_public_key(user_directory);
  if (!known && known.error().error_number() == ENOENT) {
    STOCKADE_TRY(create_public(user_directory, key.file_.get()));
    known = load_public_key(user_directory);
  }
  if (!known) return std::unexpected(std::move(known).error());
  key.public_key_ = *known;
  return key;
}

Result<Signature> SigningKey::sign(std::string_view message) const {
  Secret secret;
  STOCKADE_TRY(read_pem(file_.get(), kPrivateName, "PRIVATE", kPrivatePrefix, secret.bytes.data()));
  const Pair pair(secret);
  if (pair.known != public_key_)
    return std::unexpected(Error(ErrorKind::denied, "audit-key.pub is not the public half of audit-key.pem")
                               .hint("find out who changed one of them; without audit-key.pub it is made anew"));
  Signature signature;
  ::crypto_sign_detached(signature.data(), nullptr, reinterpret_cast<const unsigned char*>(message.data()),
                         message.size(), pair.secret.data());
  return signature;
}

Result<PublicKey> load_public_key(int user_directory) {
  STOCKADE_ASSIGN(Fd file, open_private_file(user_directory, kPublicName, O_RDONLY));
  PublicKey key;
  STOCKADE_TRY(read_pem(file.get(), kPublicName, "PUBLIC", kPublicPrefix, key.data()));
  return key;
}

bool verify_signature(const PublicKey& key, std::string_view message, const Signature& signature) {
  return ::crypto_sign_verify_detached(signature.data(), reinterpret_cast<const unsigned char*>(message.data()),
                                       message.size(), key.data()) == 0;
}

}  // namespace stockade::event
