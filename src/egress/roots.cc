#include "egress/roots.h"

#include <array>

#include "base/fd.h"

namespace stockade::egress {

namespace {

constexpr size_t kRootsLimit = 8 << 20;
// Debian, Fedora, openSUSE, Alpine and others.
constexpr std::array kRootPlaces = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

Result<std::string> read_host_roots() {
  for (const char* place : kRootPlaces) {
    auto roots = read_file(place, kRootsLimit);
    if (roots || roots.error().error_number() != ENOENT) return roots;
  }
  return std::unexpected(Error(ErrorKind::unavailable, "this machine has no bundle of root certificates")
                             .hint("install ca-certificates, or write `tls: passthrough`"));
}

}  // namespace

Result<std::string> read_roots(const std::vector<std::string>& further) {
  STOCKADE_ASSIGN(std::string roots, read_host_roots());
  for (const std::string& file : further) {
    auto more = read_file(file, kRootsLimit);
    if (!more) return std::unexpected(std::move(more).error().context("network.trust"));
    if (more->find("-----BEGIN CERTIFICATE-----") == std::string::npos)
      return fail(ErrorKind::invalid_input, "network.trust: no certificate in PEM is in {}", file);
    roots += '\n' + *more;
  }
  return roots;
}

}  // namespace stockade::egress
