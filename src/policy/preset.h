// The presets that are built into the program: policies for known agents, and `packages` and `default`. They are data
// (presets/*.yaml) and go through the same loader as a person's file. None of them mounts a credential file.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace stockade::policy {

struct Preset {
  std::string_view name;
  std::string_view commands;  // basenames that select it, separated by spaces
  std::string_view yaml;
};

std::span<const Preset> presets();
const Preset* find_preset(std::string_view name);
// By the basename of a command. The caller asks only for programs that no earlier run could have written.
const Preset* preset_for_command(std::string_view command);
std::string preset_names();  // "aider, amp, …"

}  // namespace stockade::policy
