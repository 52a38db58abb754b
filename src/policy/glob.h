// Globs over paths, for `hide` and for HTTP paths: `*` is any text within one segment, `?` one byte of it, `**` as a
// whole segment any number of segments. Matching takes at most segments(glob) × length(path) steps, whatever the glob.
#pragma once

#include <string>
#include <string_view>

namespace stockade::policy {

bool has_wildcard(std::string_view text);
bool glob_matches(std::string_view glob, std::string_view path);
// `hide` covers what it matches and everything below. A glob that begins with "**/" matches at any depth.
bool hide_matches(std::string_view glob, std::string_view path);
// Certainly matches everything that `inner` matches; false when in doubt.
bool glob_covers(std::string_view outer, std::string_view inner);

// Is `path` the same as `parent` or below it? Both absolute and normalised.
bool is_within(std::string_view path, std::string_view parent);

}  // namespace stockade::policy
