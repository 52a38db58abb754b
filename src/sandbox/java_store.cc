#include "sandbox/java_store.h"

#include <fmt/format.h>

#include "base/sha1.h"

namespace stockade::sandbox {

namespace {

constexpr uint32_t kMagic = 0xfeedfeed;
constexpr uint32_t kVersion = 2;
constexpr uint32_t kTrustedCertificate = 2;

void put(std::string& out, uint64_t value, int bytes) {  // big-endian
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

void put_text(std::string& out, std::string_view text) {
  put(out, text.size(), 2);
  out += text;
}

void put_entry(std::string& out, std::string_view alias, std::string_view certificate) {
  put(out, kTrustedCertificate, 4);
  put_text(out, alias);
  put(out, 0, 8);  // when it was added
  put_text(out, "X.509");
  put(out, certificate.size(), 4);
  out += certificate;
}

}  // namespace

std::string java_store_head(const std::vector<std::string>& certificates) {
  std::string head;
  put(head, kMagic, 4);
  put(head, kVersion, 4);
  put(head, certificates.size() + 1, 4);
  for (size_t i = 0; i < certificates.size(); ++i) put_entry(head, fmt::format("root-{}", i), certificates[i]);
  return head;
}

std::string java_store_ending(std::string_view head, std::string_view last_certificate) {
  std::string ending;
  put_entry(ending, "stockade-run", last_certificate);
  std::string digested;
  for (const char c : std::string_view("changeit")) digested += {'\0', c};  // UTF-16
  digested += "Mighty Aphrodite";
  digested += head;
  digested += ending;
  for (const uint8_t byte : sha1(digested)) ending += static_cast<char>(byte);
  return ending;
}

}  // namespace stockade::sandbox
