// The dialer's judgements of where a connection may end, as functions of values: may this rule reach this address, and
// may this name be asked of a resolver. Pure, any thread. What they rest on: net/address_classes.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "egress/host_view.h"
#include "policy/policy.h"

namespace stockade::egress {

// Why `rule` may not connect to `address`; none if it may. A special-purpose address passes only if the rule names it
// by `addresses` (or is an address rule) with a prefix that lies within the special range: 0.0.0.0/0 names none of
// them. An address or gateway of the host itself, and a cloud's metadata address, must be named alone (/32, /128).
std::optional<std::string> forbidden_destination(const policy::NetworkRule& rule, const IpAddress& address,
                                                 const HostView& host);

// Why a name that only a wildcard allows may not be asked for: what stands before the suffix is too long, or looks like
// encoded data. None if it may.
std::optional<std::string> suspicious_wildcard_name(std::string_view pattern, std::string_view host);

// Shannon entropy of the bytes of `text`, in bits for each byte.
double entropy(std::string_view text);

}  // namespace stockade::egress
