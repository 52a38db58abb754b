#include "policy/preset.h"

namespace stockade::policy {

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : presets())
    if (preset.name == name) return &preset;
  return nullptr;
}

const Preset* preset_for_command(std::string_view command) {
  if (const auto slash = command.rfind('/'); slash != std::string_view::npos) command.remove_prefix(slash + 1);
  if (command.empty()) return nullptr;
  for (const Preset& preset : presets()) {
    std::string_view rest = preset.commands;
    while (!rest.empty()) {
      const auto space = rest.find(' ');
      if (rest.substr(0, space) == command) return &preset;
      rest = space == std::string_view::npos ? std::string_view() : rest.substr(space + 1);
    }
  }
  return nullptr;
}

std::string preset_names() {
  std::string names;
  for (const Preset& preset : presets()) names += (names.empty() ? "" : ", ") + std::string(preset.name);
  return names;
}

}  // namespace stockade::policy
