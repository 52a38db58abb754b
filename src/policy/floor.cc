#include "policy/floor.h"

#include <array>
#include <vector>

#include "policy/glob.h"

namespace stockade::policy {

namespace {

struct RangeText {
  const char* cidr;
  const char* what;
  bool exact = false;
};

// More specific entries first.
constexpr RangeText kRanges[] = {
    {"169.254.169.254", "the cloud's metadata service", true},
    {"169.254.170.2", "the cloud's credential service", true},
    {"169.254.170.23", "the cloud's credential service", true},
    {"100.100.100.200", "the cloud's metadata service", true},
    {"168.63.129.16", "the cloud's host service", true},
    {"192.0.0.192", "the cloud's metadata service", true},
    {"fd00:ec2::254", "the cloud's metadata service", true},
    {"fd00:ec2::23", "the cloud's credential service", true},
    {"fd20:ce::254", "the cloud's metadata service", true},
    {"0.0.0.0/8", "this network"},
    {"10.0.0.0/8", "a private network"},
    {"100.64.0.0/10", "a carrier's shared network"},
    {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local"},
    {"172.16.0.0/12", "a private network"},
    {"192.0.0.0/24", "reserved for protocols"},
    {"192.0.2.0/24", "a documentation range"},
    {"192.31.196.0/24", "AS112"},
    {"192.52.193.0/24", "AMT"},
    {"192.88.99.0/24", "a 6to4 relay"},
    {"192.168.0.0/16", "a private network"},
    {"192.175.48.0/24", "AS112"},
    {"198.18.0.0/15", "a benchmarking range, which stands for names inside"},
    {"198.51.100.0/24", "a documentation range"},
    {"203.0.113.0/24", "a documentation range"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved"},
    {"::ffff:0:0/96", "an IPv4 address in disguise"},
    {"::/96", "an IPv4 address in disguise"},
    {"64:ff9b::/96", "NAT64"},
    {"64:ff9b:1::/48", "NAT64"},
    {"100::/64", "a discard range"},
    {"100:0:0:1::/64", "a dummy range"},
    {"2001::/23", "reserved for protocols"},
    {"2001:db8::/32", "a documentation range"},
    {"2002::/16", "6to4"},
    {"2620:4f:8000::/48", "AS112"},
    {"3fff::/20", "a documentation range"},
    {"5f00::/16", "segment routing"},
    {"fc00::/7", "a private network"},
    {"fe80::/10", "link-local"},
    {"fec0::/10", "site-local"},
    {"ff00::/8", "multicast"},
};

const std::vector<ForbiddenRange>& ranges() {
  static const std::vector<ForbiddenRange> table = [] {
    std::vector<ForbiddenRange> out;
    for (const RangeText& text : kRanges) out.push_back({*Cidr::parse(text.cidr), text.what, text.exact});
    return out;
  }();
  return table;
}

constexpr std::string_view kCredentialParts[] = {"TOKEN",      "SECRET",     "PASSWORD",     "PASSWD",  "PASSPHRASE",
                                                 "CREDENTIAL", "APIKEY",     "KEY",          "PRIVATE", "COOKIE",
                                                 "SIGNATURE",  "CONNECTION", "DATABASE_URL", "WEBHOOK"};
// Only as a whole word of the name: GIT_AUTHOR_NAME is none, and PWD is the current directory.
constexpr std::string_view kCredentialWords[] = {"AUTH", "OAUTH", "PAT", "PASS",      "PW",
                                                 "DSN",  "JWT",   "SAS", "PGPASSFILE"};

struct SecretPlace {
  const char* below_home;
  const char* what;
};
constexpr SecretPlace kSecretPlaces[] = {
    {".ssh", "SSH keys"},
    {".gnupg", "GnuPG keys"},
    {".aws", "AWS credentials"},
    {".azure", "Azure credentials"},
    {".config/gcloud", "Google Cloud credentials"},
    {".config/gh", "the GitHub login"},
    {".config/hub", "the GitHub login"},
    {".kube", "Kubernetes credentials"},
    {".docker", "registry logins"},
    {".netrc", "logins"},
    {".git-credentials", "git logins"},
    {".config/git/credentials", "git logins"},
    {".npmrc", "the npm login"},
    {".pypirc", "the PyPI login"},
    {".cargo/credentials", "the crates.io login"},
    {".cargo/credentials.toml", "the crates.io login"},
    {".gem/credentials", "the RubyGems login"},
    {".pgpass", "database passwords"},
    {".my.cnf", "database passwords"},
    {".password-store", "passwords"},
    {".local/share/keyrings", "the keyring"},
    {".mozilla", "a browser's profile with its logins"},
    {".config/google-chrome", "a browser's profile with its logins"},
    {".config/chromium", "a browser's profile with its logins"},
    {".bash_history", "the shell's history"},
    {".zsh_history", "the shell's history"},
    {".codex", "the Codex login"},
    {".claude", "the Claude Code login"},
    {".claude.json", "the Claude Code login"},
    {".gemini", "the Gemini login"},
    {".copilot", "the Copilot login"},
    {".cursor", "the Cursor login"},
    {".terraform.d", "the Terraform login"},
    {".vault-token", "the Vault token"},
};

constexpr std::string_view kMultiTenant[] = {
    "amazonaws.com",
    "s3.amazonaws.com",
    "cloudfront.net",
    "elasticbeanstalk.com",
    "awsapprunner.com",
    "on.aws",
    "lambda-url.us-east-1.on.aws",
    "azurewebsites.net",
    "blob.core.windows.net",
    "core.windows.net",
    "web.core.windows.net",
    "cloudapp.azure.com",
    "azurestaticapps.net",
    "azurefd.net",
    "azureedge.net",
    "trafficmanager.net",
    "appspot.com",
    "run.app",
    "a.run.app",
    "web.app",
    "firebaseapp.com",
    "cloudfunctions.net",
    "firebaseio.com",
    "storage.googleapis.com",
    "googleusercontent.com",
    "translate.goog",
    "blogspot.com",
    "github.io",
    "githubusercontent.com",
    "github.dev",
    "githubpreview.dev",
    "app.github.dev",
    "gitlab.io",
    "bitbucket.io",
    "workers.dev",
    "pages.dev",
    "r2.dev",
    "r2.cloudflarestorage.com",
    "trycloudflare.com",
    "cloudflareapps.com",
    "vercel.app",
    "vercel.dev",
    "now.sh",
    "netlify.app",
    "netlify.com",
    "herokuapp.com",
    "fly.dev",
    "onrender.com",
    "railway.app",
    "up.railway.app",
    "deno.dev",
    "deno.net",
    "glitch.me",
    "repl.co",
    "replit.app",
    "replit.dev",
    "surge.sh",
    "ngrok.io",
    "ngrok.app",
    "ngrok-free.app",
    "ngrok.dev",
    "loca.lt",
    "localtunnel.me",
    "serveo.net",
    "lhr.life",
    "pagekite.me",
    "bore.pub",
    "tunnelmole.net",
    "devtunnels.ms",
    "digitaloceanspaces.com",
    "ondigitalocean.app",
    "linodeobjects.com",
    "backblazeb2.com",
    "wasabisys.com",
    "supabase.co",
    "supabase.in",
    "myshopify.com",
    "wixsite.com",
    "weebly.com",
    "wordpress.com",
    "tumblr.com",
    "webflow.io",
    "notion.site",
    "gitbook.io",
    "readthedocs.io",
    "rtfd.io",
    "hf.space",
    "streamlit.app",
    "duckdns.org",
    "dyndns.org",
    "no-ip.org",
    "ddns.net",
    "hopto.org",
    "nip.io",
    "sslip.io",
    "xip.io",
    "webhook.site",
    "requestbin.net",
    "pipedream.net",
    "oast.fun",
    "oast.me",
    "oast.pro",
    "oast.live",
    "oast.site",
    "interact.sh",
    "burpcollaborator.net",
    "dnslog.cn",
    "sharepoint.com",
    "zendesk.com",
    "atlassian.net",
    "freshdesk.com",
    "slack-files.com",
    "dropboxusercontent.com",
    "box.com",
    "ipfs.io",
    "dweb.link",
    "codesandbox.io",
    "csb.app",
    "stackblitz.io",
    "webcontainer.io",
    "gitpod.io",
    "val.run",
    "modal.run",
    "cdn.jsdelivr.net",
};

std::string upper(std::string_view text) {
  std::string out;
  for (const char c : text) out += (c >= 'a' && c <= 'z') ? static_cast<char>(c & ~0x20) : c;
  return out;
}

}  // namespace

const ForbiddenRange* forbidden_range(const IpAddress& address) {
  for (const ForbiddenRange& range : ranges())
    if (range.range.contains(address)) return &range;
  return nullptr;
}

bool names_forbidden(const Cidr& named, const IpAddress& address) {
  if (!named.contains(address)) return false;
  const ForbiddenRange* range = forbidden_range(address);
  if (range == nullptr) return true;
  if (range->exact) return named.prefix == (address.is_v4() ? 32 : 128);
  return named.prefix >= range->range.prefix && range->range.contains(named.address);
}

bool looks_like_credential(std::string_view variable) {
  const std::string name = upper(variable);
  for (const std::string_view part : kCredentialParts)
    if (name.find(part) != std::string::npos) return true;
  std::string_view rest = name;
  while (!rest.empty()) {
    const auto end = rest.find('_');
    const std::string_view word = rest.substr(0, end);
    for (const std::string_view credential : kCredentialWords)
      if (word == credential) return true;
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return false;
}

std::optional<std::string> broad_place(std::string_view path, const Surroundings& surroundings) {
  if (path == "/") return "the whole filesystem";
  if (!surroundings.home.empty() && path == surroundings.home) return "your home directory";
  if (path == "/root" || path == "/home") return "home directories";
  for (const auto& [dir, what] : {std::pair{&surroundings.state_dir, "our state directory (logs, keys, trust)"},
                                  std::pair{&surroundings.config_dir, "our configuration (the ceiling)"},
                                  std::pair{&surroundings.runtime_dir, "our control sockets"}})
    if (!dir->empty() && is_within(path, *dir)) return what;
  for (const char* system : {"/etc", "/boot", "/run", "/var/run"})
    if (path == system) return "a directory of the system";
  if (is_within(path, "/etc/stockade")) return "our configuration (the ceiling)";
  if (!surroundings.home.empty() && is_within(surroundings.home, path)) return "a parent of your home directory";
  if (!surroundings.state_dir.empty() && is_within(surroundings.state_dir, path))
    return "a parent of our state directory";
  return std::nullopt;
}

std::optional<std::string> secret_place(std::string_view path, const Surroundings& surroundings) {
  if (!surroundings.home.empty() && is_within(path, surroundings.home) && path != surroundings.home) {
    const std::string_view below = path.substr(surroundings.home.size() + 1);
    for (const SecretPlace& place : kSecretPlaces)
      if (is_within(below, place.below_home)) return place.what;
  }
  for (const char* socket : {"/var/run/docker.sock", "/run/docker.sock", "/run/containerd", "/run/podman", "/run/user"})
    if (is_within(path, socket)) return "a socket that commands the host";
  for (const char* file : {"/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/ssl/private", "/etc/sudoers"})
    if (is_within(path, file)) return "secrets of the system";
  const std::string_view name = path.substr(path.rfind('/') + 1);
  for (const char* key : {"id_rsa", "id_ed25519", "id_ecdsa", ".env", "credentials.json", ".netrc", ".pgpass"})
    if (name == key) return "a file that usually holds a secret";
  return std::nullopt;
}

std::optional<std::string_view> multi_tenant_suffix(std::string_view wildcard) {
  if (!wildcard.starts_with("*.")) return std::nullopt;
  const std::string_view suffix = wildcard.substr(2);
  for (const std::string_view shared : kMultiTenant)
    if (suffix == shared) return shared;
  // Regional buckets: *.s3.eu-central-1.amazonaws.com.
  if (suffix.ends_with(".amazonaws.com")) return suffix;
  return std::nullopt;
}

}  // namespace stockade::policy
