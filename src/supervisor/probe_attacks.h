// The attack list of `stockade probe`: every row of hardening.md's kind that can be tried from inside, what hijacked
// agents are known to try, and the ways around that the design names. Data only: which attack of the victims' program,
// the wall that has to hold it, the scene it needs, its arguments. In arguments, {work} and its like stand for the
// probe's places.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace stockade::supervisor {

enum class ProbeWall { tools, sandbox, network, data, monitor };
std::string_view to_string(ProbeWall wall);

// What the given policy is joined with for an attack; each scene is a run of its own.
enum class ProbeScene {
  plain,    // the policy as it is, and a fixture of four directories
  tools,    // with a list of programs
  network,  // with one name that is allowed, in a miniature outside
  limits,   // with small limits
  memory,   // the run is to end over its memory
  time,     // the run is to end over its time
};
inline constexpr int kProbeScenes = 6;

struct ProbeAttack {
  std::string_view name;
  ProbeWall wall = ProbeWall::sandbox;
  ProbeScene scene = ProbeScene::plain;
  std::vector<std::string_view> arguments;  // first the victim's name, where `name` is another
  std::string_view what;
  bool control = false;  // no attack: shows that the outside can be reached where it is allowed
};

std::span<const ProbeAttack> probe_attacks();

// Attacks that this machine can't try, each with its reason (docs/probes.md): at most twelve.
struct ProbeException {
  std::string_view name;
  std::string_view reason;
};
std::span<const ProbeException> probe_exceptions();

}  // namespace stockade::supervisor
