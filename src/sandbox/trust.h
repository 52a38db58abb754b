// How programs inside come to trust the run's own certificate authority, where rules open TLS:
//
//   the bundles of the host's roots that are there end with it    OpenSSL, GnuTLS, Go, curl, git, rustls-native-certs
//   a hashed name in the directory of certificates                OpenSSL without a bundle's name, in a bare
//   environment the cacerts of every JDK that is there, made anew of a bundle  Java
//   ~/.pki/nssdb, and a policy file                                Chromium, Electron; Firefox
//   variables that name one of these files                         programs that bring a bundle of their own
//   PGCHANNELBINDING: no login is bound to the certificate         PostgreSQL's clients
//
// Files stand at the places that programs look at anyway, for JAVA_TOOL_OPTIONS would add a line to the output of every
// Java program. Nothing else of a program is touched, and no wall depends on it: one that trusts none of these is
// refused by itself. What only a JDK's own cacerts holds (a root imported there by hand) is not carried over.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/host_tree.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

struct TrustPlaces {
  std::string home;                             // inside
  const std::vector<std::string>& search_path;  // of the host, to find a JDK by its `java`
};

// Adds to the mounts of a view that is complete but for its scratch places. Refuses a host without any bundle: programs
// would trust nobody but us.
Result<void> add_trust(const HostTree& tree, const TrustPlaces& places, std::vector<Mount>& mounts,
                       std::vector<std::pair<std::string, std::string>>& variables);

// What completes such a file once the authority (one certificate, PEM) exists.
Result<std::string> trust_ending(const Mount& mount, std::string_view authority);

}  // namespace stockade::sandbox
