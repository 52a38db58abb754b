#include "sandbox/credential_names.h"

#include <dirent.h>

#include <algorithm>
#include <array>

namespace stockade::sandbox {
namespace {

using namespace std::string_view_literals;

constexpr std::array kCredentialFiles = {
    ".boto"sv,
    ".condarc"sv,  // channel URLs with tokens
    ".credentials"sv,
    ".credentials.json"sv,
    ".docker"sv,
    ".dockercfg"sv,
    ".env"sv,
    ".git-credentials"sv,
    ".netrc"sv,
    ".npmrc"sv,
    ".pgpass"sv,
    ".pypirc"sv,
    ".ssh"sv,
    ".yarnrc"sv,
    ".yarnrc.yml"sv,
    "_netrc"sv,
    "access_tokens.db"sv,
    "auth.json"sv,
    "credentials"sv,
    "credentials.db"sv,
    "credentials.json"sv,
    "credentials.toml"sv,
    "id_ecdsa"sv,
    "id_ed25519"sv,
    "id_rsa"sv,
    "npmrc"sv,
    "oauth_creds.json"sv,
    "pip.conf"sv,  // index URLs with passwords
    "secrets.json"sv,
    "token"sv,
    "token.json"sv,
};
static_assert(std::ranges::is_sorted(kCredentialFiles));

constexpr std::array kLoaderVariables = {
    "BASH_ENV"sv,
    "ENV"sv,
    "GCONV_PATH"sv,
    "GETCONF_DIR"sv,
    "GLIBC_TUNABLES"sv,
    "HOSTALIASES"sv,
    "JAVA_TOOL_OPTIONS"sv,
    "LOCALDOMAIN"sv,
    "LOCPATH"sv,
    "MALLOC_TRACE"sv,
    "NIS_PATH"sv,
    "NLSPATH"sv,
    "NODE_OPTIONS"sv,
    "PERL5OPT"sv,
    "PYTHONSTARTUP"sv,
    "RESOLV_HOST_CONF"sv,
    "RES_OPTIONS"sv,
    "RUBYOPT"sv,
    "TZDIR"sv,
    "_JAVA_OPTIONS"sv,
};

}  // namespace

bool is_credential_file(std::string_view name) {
  if (name.starts_with(".env.") && !name.ends_with(".example")) return true;
  return std::ranges::binary_search(kCredentialFiles, name);
}

bool is_loader_variable(std::string_view name) {
  return name.starts_with("LD_") || name.starts_with("DYLD_") ||
         std::ranges::find(kLoaderVariables, name) != kLoaderVariables.end();
}

std::vector<std::string> credentials_below(const HostTree& tree, const std::string& root) {
  std::vector<std::string> found;
  bool has_etc = false;
  bool has_git = false;
  const auto look = [&](const std::string& directory, const std::string& prefix) {
    (void)tree.list(directory, [&](const HostTree::Entry& entry) {
      if (prefix.empty() && entry.type == DT_DIR && entry.name == "etc") has_etc = true;
      if (prefix.empty() && entry.type == DT_DIR && entry.name == ".git") has_git = true;
      // A link can't be mounted over in a plain bind; where it leads is judged where it leads.
      if (entry.type != DT_LNK && is_credential_file(entry.name)) found.push_back(prefix + std::string(entry.name));
      return true;
    });
  };
  look(root, "");
  if (has_etc) look(join(root, "etc"), "etc/");
  // The remote's URL of a clone may carry a token.
  if (has_git && tree.link_status(join(root, ".git/config"))) found.emplace_back(".git/config");
  std::ranges::sort(found);
  return found;
}

}  // namespace stockade::sandbox
