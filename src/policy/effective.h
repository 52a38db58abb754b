// The effective policy as text: JSON in the shape of the contract, which is YAML too and loads back to the same policy.
// Kept in the run's state; its hash is in the log. The same policy always gives the same bytes.
#pragma once

#include <string>

#include "policy/policy.h"

namespace stockade::policy {

std::string to_json(const Policy& policy);
std::string policy_hash(const Policy& policy);  // SHA-256 of to_json(), in hex

}  // namespace stockade::policy
