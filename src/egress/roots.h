// Whom the sealer believes: certificates in PEM.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace stockade::egress {

// The host's bundle of roots (the first of the usual places that is there), and the policy's further files.
Result<std::string> read_roots(const std::vector<std::string>& further);

}  // namespace stockade::egress
