#include "sandbox/trust.h"

#include <algorithm>
#include <array>

namespace stockade::sandbox {

namespace {

constexpr size_t kBundleLimit = 4 << 20;
constexpr const char* kAuthorityAlone = "/run/stockade/authority.pem";
// Debian, Fedora and openSUSE, and what links to them.
constexpr std::array kBundles = {"/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                 "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
// OpenSSL (and Python's ssl), requests, curl, git, pip, cargo, the AWS tools, Nix's programs.
constexpr std::array kBundleVariables = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
                                         "PIP_CERT",      "CARGO_HTTP_CAINFO",  "AWS_CA_BUNDLE",  "NIX_SSL_CERT_FILE"};
// These add to roots of their own.
constexpr std::array kAdditionVariables = {"NODE_EXTRA_CA_CERTS", "DENO_CERT"};
// libpq binds the login to the server's certificate where it can, and no one who opens TLS can show that one.
constexpr std::pair kNoChannelBinding = {"PGCHANNELBINDING", "disable"};

Mount bundle(std::string target, std::string content) {
  if (!content.empty() && !content.ends_with('\n')) content += '\n';
  return {.kind = MountKind::trust, .target = std::move(target), .content = std::move(content), .mode = 0444};
}

}  // namespace

Result<void> add_trust(const HostTree& tree, std::vector<Mount>& mounts,
                       std::vector<std::pair<std::string, std::string>>& variables) {
  std::vector<std::string> places;
  for (const char* path : kBundles) {
    const auto found = tree.locate(path);
    if (!found || !found->is_file() || !is_at_or_below(found->path, "/etc")) continue;
    if (std::ranges::find(places, found->path) == places.end()) places.push_back(found->path);
  }
  if (places.empty())
    return std::unexpected(Error(ErrorKind::unavailable, "this machine has no bundle of root certificates to add to")
                               .hint("install ca-certificates, or write `tls: passthrough`"));
  for (const std::string& place : places) {
    STOCKADE_ASSIGN(std::string content, tree.read(place, kBundleLimit));
    mounts.push_back(bundle(place, std::move(content)));
  }
  mounts.push_back(bundle(kAuthorityAlone, ""));
  for (const char* name : kBundleVariables) variables.emplace_back(name, places.front());
  for (const char* name : kAdditionVariables) variables.emplace_back(name, kAuthorityAlone);
  variables.emplace_back(kNoChannelBinding.first, kNoChannelBinding.second);
  return {};
}

}  // namespace stockade::sandbox
