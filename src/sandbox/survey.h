// Surroundings: what the compiler must know of the person and the machine, gathered once at the edge by survey_host(),
// so that compiling stays a function of values. Holds no secret by itself, but `environment` is the person's whole
// environment: the compiler takes from it what the policy names and nothing else.
//
// The account is read from /etc/passwd and /etc/group by hand: NSS would load libraries (milliseconds, code of others).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "policy/surroundings.h"
#include "sandbox/host_tree.h"

namespace stockade::sandbox {

struct Surroundings {
  uint32_t uid = 0;  // outside
  uint32_t gid = 0;
  std::string user;  // account names; empty where the account database has none
  std::string group;
  std::string home;          // as the person spells it: $HOME where it is theirs, else the account's
  std::string real_home;     // without links; equals `home` where that does not exist
  std::string account_home;  // as the account database has it, if it differs; guarded like `home`
  std::string shell;
  std::string cwd;  // real path
  std::map<std::string, std::string, std::less<>> environment;
  uint64_t memory = 0;                      // bytes of the machine
  unsigned cpus = 1;                        // that this process may use
  std::string state_dir;                    // $XDG_STATE_HOME/stockade
  std::string runtime_dir;                  // $XDG_RUNTIME_DIR/stockade
  std::string config_dir;                   // $XDG_CONFIG_HOME/stockade
  std::vector<std::string> written_places;  // where earlier runs could write (policy/trust.h)
  std::string git_name;  // user.name and user.email of the person's own git configuration, if they have one
  std::string git_email;

  bool is_root() const { return uid == 0; }
  std::string_view variable(std::string_view name) const;  // empty when absent
};

// Who is asking, where. The defaults are this process.
struct Person {
  uint32_t uid;
  uint32_t gid;
  std::string cwd;
  std::map<std::string, std::string, std::less<>> environment;
  static Result<Person> of_this_process();
};

Result<Surroundings> survey_host(const HostTree& tree, Person person);

// The part that a policy's meaning depends on.
policy::Surroundings for_policy(const Surroundings& surroundings);

// user.name and user.email of a git configuration file; no include is followed and no other key is looked at.
struct GitIdentity {
  std::string name;
  std::string email;
};
GitIdentity parse_git_identity(std::string_view text);

}  // namespace stockade::sandbox
