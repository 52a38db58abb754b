// The loader's parts, one a section of the file. Internal to load*.cc.
#pragma once

#include "base/error.h"
#include "policy/load.h"
#include "policy/reader.h"

namespace stockade::policy {

void load_network(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out);
void load_files(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out);
void load_sandbox(Reader& reader, const Node& node, LoadOutcome& out);
void load_tests(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out);

// A program by name ("git") or absolute path; reports what is neither.
bool check_program(Reader& reader, const Node& node, std::string_view what, std::string& name);

// "~", "~/x", "x", "/x" → absolute, without ".", "//" or a trailing slash. An error for "..", "~user" and what cannot
// be made absolute.
Result<std::string> absolute_path(std::string_view text, const Surroundings& surroundings);

}  // namespace stockade::policy
