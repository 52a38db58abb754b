#include "sandbox/trust.h"

#include <algorithm>
#include <array>

#include "net/tls_authority.h"
#include "sandbox/java_store.h"
#include "sandbox/nss_store.h"
#include "sandbox/pem.h"

namespace stockade::sandbox {

namespace {

constexpr size_t kBundleLimit = 4 << 20;
constexpr const char* kAuthorityAlone = "/run/stockade/authority.pem";
// Debian, Fedora and openSUSE, and what links to them.
constexpr std::array kBundles = {"/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
                                 "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};
constexpr std::array kDirectories = {"/etc/ssl/certs", "/etc/pki/tls/certs"};
// OpenSSL (and Python's ssl), requests, curl, git, pip, cargo, the AWS tools, httplib2, gRPC, Nix's programs.
constexpr std::array kBundleVariables = {"SSL_CERT_FILE",    "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
                                         "GIT_SSL_CAINFO",   "PIP_CERT",           "CARGO_HTTP_CAINFO",
                                         "AWS_CA_BUNDLE",    "HTTPLIB2_CA_CERTS",  "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
                                         "NIX_SSL_CERT_FILE"};
// These add to roots of their own.
constexpr std::array kAdditionVariables = {"NODE_EXTRA_CA_CERTS", "DENO_CERT"};
// libpq binds the login to the server's certificate where it can, and no one who opens TLS can show that one.
constexpr std::pair kNoChannelBinding = {"PGCHANNELBINDING", "disable"};
constexpr const char* kFirefoxPolicies = "/etc/firefox/policies/policies.json";

Mount store(std::string target, std::string head, TrustForm form = TrustForm::pem) {
  return {
      .kind = MountKind::trust, .target = std::move(target), .content = std::move(head), .mode = 0444, .form = form};
}

std::vector<std::string> bundles_of(const HostTree& tree) {
  std::vector<std::string> bundles;
  for (const char* path : kBundles) {
    const auto found = tree.locate(path);
    if (!found || !found->is_file() || !is_at_or_below(found->path, "/etc")) continue;
    if (std::ranges::find(bundles, found->path) == bundles.end()) bundles.push_back(found->path);
  }
  return bundles;
}

Mount* mount_at(std::vector<Mount>& mounts, std::string_view target) {
  const auto found = std::ranges::find(mounts, target, &Mount::target);
  return found == mounts.end() ? nullptr : &*found;
}

// The host's directory can't get a name more: an overlay over it can, where the kernel stacks one. A small directory
// was copied and is ours.
void add_hashed_names(const HostTree& tree, std::vector<Mount>& mounts) {
  const std::string name = fmt::format("{}.0", net::kAuthorityHash);
  for (const char* path : kDirectories) {
    const auto found = tree.locate(path);
    if (!found || found->path != path || !found->is_directory()) continue;
    const std::string target = join(path, name);
    if (Mount* directory = mount_at(mounts, path); directory && directory->kind == MountKind::bind) {
      directory->kind = MountKind::overlay_read;
      directory->added.push_back(name);
    } else if (std::ranges::none_of(mounts, [&](const Mount& mount) { return is_at_or_below(mount.target, path); })) {
      continue;
    }
    Mount hashed = store(target, "");
    hashed.optional = true;
    mounts.push_back(std::move(hashed));
  }
}

// The homes of JDKs: where distributions put them, and where a `java` of PATH leads to.
std::vector<std::string> java_homes(const HostTree& tree, const std::vector<std::string>& search_path) {
  constexpr const char* kJavaHomes = "/usr/lib/jvm";
  std::vector<std::string> homes;
  if (tree.status(kJavaHomes))
    (void)tree.list(kJavaHomes, [&](const HostTree::Entry& entry) {
      if (!entry.name.starts_with('.')) homes.push_back(join(kJavaHomes, entry.name));
      return true;
    });
  for (const std::string& directory : search_path)
    if (const auto java = tree.locate(join(directory, "java"))) homes.push_back(parent_of(parent_of(java->path)));
  return homes;
}

// A real path of the host as one of the mounts shows it; empty: none does.
std::string inside(const std::vector<Mount>& mounts, const std::string& real_path) {
  for (const Mount& mount : mounts) {
    if (mount.kind != MountKind::bind && mount.kind != MountKind::overlay_read) continue;
    if (const auto below = relative_to(real_path, mount.source)) return normalized(join(mount.target, *below));
  }
  return {};
}

void add_java_stores(const HostTree& tree, const std::vector<std::string>& search_path, std::string_view bundle,
                     std::vector<Mount>& mounts) {
  std::vector<std::string> targets;
  for (const std::string& home : java_homes(tree, search_path)) {
    for (const char* place : {"lib/security/cacerts", "jre/lib/security/cacerts"}) {
      const auto found = tree.locate(join(home, place));
      std::string target = found && found->is_file() ? inside(mounts, found->path) : "";
      if (!target.empty() && std::ranges::find(targets, target) == targets.end()) targets.push_back(std::move(target));
    }
  }
  if (targets.empty()) return;
  const std::string head = java_store_head(certificates_in(bundle));
  for (std::string& target : targets) mounts.push_back(store(std::move(target), head, TrustForm::jks));
}

void add_browser_stores(const std::string& home, std::vector<Mount>& mounts) {
  mounts.push_back(store(join(home, ".pki/nssdb/cert9.db"), "", TrustForm::nss));
  mounts.push_back(
      {.kind = MountKind::content,
       .target = kFirefoxPolicies,
       .content = fmt::format("{{\"policies\": {{\"Certificates\": {{\"Install\": [\"{}\"]}}}}}}\n", kAuthorityAlone),
       .mode = 0444});
}

}  // namespace

Result<void> add_trust(const HostTree& tree, const TrustPlaces& places, std::vector<Mount>& mounts,
                       std::vector<std::pair<std::string, std::string>>& variables) {
  const std::vector<std::string> bundles = bundles_of(tree);
  if (bundles.empty())
    return std::unexpected(Error(ErrorKind::unavailable, "this machine has no bundle of root certificates to add to")
                               .hint("install ca-certificates, or write `tls: passthrough`"));
  STOCKADE_ASSIGN(const std::string first, tree.read(bundles.front(), kBundleLimit));
  add_java_stores(tree, places.search_path, first, mounts);
  add_hashed_names(tree, mounts);
  for (const std::string& place : bundles) {
    STOCKADE_ASSIGN(std::string content, tree.read(place, kBundleLimit));
    if (!content.empty() && !content.ends_with('\n')) content += '\n';
    mounts.push_back(store(place, std::move(content)));
  }
  mounts.push_back(store(kAuthorityAlone, ""));
  add_browser_stores(places.home, mounts);
  for (const char* name : kBundleVariables) variables.emplace_back(name, bundles.front());
  for (const char* name : kAdditionVariables) variables.emplace_back(name, kAuthorityAlone);
  variables.emplace_back(kNoChannelBinding.first, kNoChannelBinding.second);
  return {};
}

Result<std::string> trust_ending(const Mount& mount, std::string_view authority) {
  if (mount.form == TrustForm::pem) return std::string(authority);
  const std::vector<std::string> certificates = certificates_in(authority);
  if (certificates.size() != 1) return fail(ErrorKind::internal, "the run's authority is not one certificate in PEM");
  return mount.form == TrustForm::jks ? java_store_ending(mount.content, certificates.front())
                                      : nss_store(certificates.front());
}

}  // namespace stockade::sandbox
