// The built-in floor: what is refused unless a person's own policy names exactly that, and what deserves a warning.
// Sources: IANA's special-purpose address registries (RFC 6890), the public suffix list's private section (a selection
// of names under which anybody can get a host). The dialer judges what names resolve to with net/address_classes.h,
// which also looks into embedded addresses; this table is the policy's own view for `policy test` and address rules.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/policy.h"
#include "policy/surroundings.h"

namespace stockade::policy {

struct ForbiddenRange {
  Cidr range;
  std::string_view what;  // "a private network"
  bool exact = false;     // only a rule for exactly this address opens it (cloud metadata)
};

// The range of the floor that holds this address.
const ForbiddenRange* forbidden_range(const IpAddress& address);
// Does a rule's prefix name the forbidden place that `address` lies in? 10.1.0.0/16 names 10.1.2.3; 0.0.0.0/0 does not.
bool names_forbidden(const Cidr& named, const IpAddress& address);

// TOKEN, SECRET, KEY, PASSWORD, … in a variable's name.
bool looks_like_credential(std::string_view variable);

// Why a mount of this path is refused without a `reason`: "your home directory". `path` absolute and, where the caller
// can, without symbolic links; the sandbox asks again with the resolved path.
std::optional<std::string> broad_place(std::string_view path, const Surroundings& surroundings);
// A place that holds secrets: "SSH keys" for ~/.ssh or anything below.
std::optional<std::string> secret_place(std::string_view path, const Surroundings& surroundings);

// The suffix when a wildcard would cover hosts that anybody can get: "*.github.io", "*.s3.amazonaws.com".
std::optional<std::string_view> multi_tenant_suffix(std::string_view wildcard);

}  // namespace stockade::policy
