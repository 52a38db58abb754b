// The sandbox's own /etc: what identifies the person or the host (passwd, group, hosts, resolv.conf, nsswitch.conf,
// hostname, gitconfig) is made here; what programs need to work (certificates, alternatives, ld.so.cache, fonts, zone,
// …) is a read-only view of the host's, from an allowlist. Nothing else of /etc is there: no shadow, no ssh, no private
// keys, no machine-id, no profile (a login shell would reset PATH).
#pragma once

#include <string>
#include <vector>

#include "sandbox/host_tree.h"
#include "sandbox/plan.h"
#include "sandbox/survey.h"

namespace stockade::sandbox {

// Who the agent is inside.
struct Inside {
  uint32_t uid = 1000;
  uint32_t gid = 1000;
  std::string user;
  std::string group;
  std::string home;
  std::string shell;
  std::string hostname;
};

// Appends the mounts that make up /etc.
Result<void> add_etc(const HostTree& tree, const Surroundings& surroundings, const Inside& inside,
                     std::vector<Mount>& mounts);

// The bytes of the files that we make.
std::string make_passwd(const Inside& inside);
std::string make_group(const Inside& inside);
std::string make_hosts(const Inside& inside);
std::string make_resolv_conf();
std::string make_gitconfig(const Surroundings& surroundings, const Inside& inside);

// Targets in /etc that a policy may not replace.
bool is_made_etc_file(std::string_view target);

}  // namespace stockade::sandbox
