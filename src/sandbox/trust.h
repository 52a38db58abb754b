// How programs inside come to trust the run's own certificate authority, where rules open TLS: the bundles of the
// host's roots that are there end with it, and the variables of programs that bring a bundle of their own name one of
// these files. PostgreSQL's clients are told not to bind their login to the certificate. Nothing else of the program is
// touched, and no wall depends on it: a program that trusts neither is refused by itself.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sandbox/host_tree.h"
#include "sandbox/plan.h"

namespace stockade::sandbox {

// Refuses a host without any bundle: programs would trust nobody but us.
Result<void> add_trust(const HostTree& tree, std::vector<Mount>& mounts,
                       std::vector<std::pair<std::string, std::string>>& variables);

}  // namespace stockade::sandbox
