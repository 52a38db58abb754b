// Trust by content. What an agent could have written decides nothing about a later run until a person says so, for
// exactly these bytes at exactly this path (`stockade policy trust FILE`).
//
// Two things are kept in the state directory (0700, files 0600, owner checked when read, links never followed):
//   trust/SHA256   one file a trusted content; its lines are the paths for which it holds
//   written        the places that runs could write, one a line; a policy file below one of them needs trust
// A person's file that was used before any run could write it is remembered as it was then, so only a change asks.
#pragma once

#include "base/error.h"
#include "policy/policy.h"
#include "policy/surroundings.h"

namespace stockade::policy {

Result<void> trust_content(const Surroundings& surroundings, const std::string& path, const std::string& sha256);
Result<bool> is_trusted(const Surroundings& surroundings, const std::string& path, const std::string& sha256);

// For Surroundings::written_places. No list yet: empty. An unreadable or damaged list is an error, and one that grew
// past its bound reads as "/": everything needs trust.
Result<std::vector<std::string>> written_places(const std::string& state_dir);
Result<void> record_written_places(const Surroundings& surroundings, const Policy& policy);

bool lies_in_written_place(const Surroundings& surroundings, std::string_view path);

}  // namespace stockade::policy
