#include <fmt/format.h>

#include "policy/json_writer.h"
#include "policy/preset.h"
#include "policy/reports.h"

namespace stockade::policy {

namespace {

constexpr const char* kTemplate = R"(# A Stockade policy for {cwd}
# What is not named here is denied. `stockade policy check FILE` finds mistakes, `explain` says it in sentences,
# `test` runs the tests below; they run before every start as well.
version: 1
name: {name}

# Presets name what an agent or a package manager needs: {presets}.
extends: []

sandbox:
  memory: 2GiB
  cpus: 2
  pids: 512
  # Variables of yours that the agent may see. What looks like a credential needs {{ name: …, reason: "…" }}.
  env:
    pass: [TERM, LANG]

network:
  allow: []
    # - {{ host: api.example.com, methods: [GET], paths: [/v1/**] }}   # TLS is opened; requests are judged and searched
    # - {{ host: pinned.example.com, tls: passthrough }}   # only name, port and bytes are judged
    # - {{ host: mirror.example.com, ports: [80], protocol: http, methods: [GET], paths: [/debian/**] }}
    # - {{ host: db.internal, ports: [5432], protocol: tcp, addresses: [10.0.0.0/8] }}
  deny: []

files:
  - {{ host: ., access: write }}          # changed at once; copy-on-write with review comes later
  - {{ host: "**/.env", access: hide }}
  # - {{ host: ~/inbox, at: /inbox, access: read }}
  # - {{ host: ~/outbox, at: /outbox, access: write-only }}

limits:
  time: 1h
  requests: 5000
  bytes_out: 100MiB
  denials: 50

tests:
  - {{ connect: "evil.example:443", expect: deny }}
  - {{ connect: "169.254.169.254:80", expect: deny }}
  - {{ read: ~/.ssh/id_ed25519, expect: deny }}
)";

// A directory's name as a plain YAML word.
std::string policy_name(const Surroundings& surroundings) {
  std::string name;
  for (const char c : surroundings.cwd.substr(surroundings.cwd.rfind('/') + 1)) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += word ? c : '-';
  }
  return "p-" + (name.empty() ? std::string("root") : name);
}

}  // namespace

Report init_report(const Surroundings& surroundings) {
  const std::string cwd = quoted(surroundings.cwd, 200);
  std::string text = fmt::format(fmt::runtime(kTemplate), fmt::arg("cwd", cwd),
                                 fmt::arg("name", policy_name(surroundings)), fmt::arg("presets", preset_names()));
  JsonWriter json;
  json.open('{').key("policy").string(text).close('}');
  return {true, std::move(text), json.take()};
}

}  // namespace stockade::policy
