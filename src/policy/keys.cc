#include "policy/keys.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

namespace stockade::policy {

namespace {

constexpr std::string_view kInterception = "it comes with TLS interception";
constexpr std::string_view kGateway = "it comes with the MCP gateway";
constexpr std::string_view kBroker = "it comes with the secret broker; until then an agent's login stays outside";
constexpr std::string_view kRuntimes = "it comes with the other runtimes; the native one shows the host's system";
constexpr std::string_view kRules = "it comes with rules; `limits` work";

constexpr Key kRoot[] = {{"version"},
                         {"name"},
                         {"extends"},
                         {"run"},
                         {"tools"},
                         {"sandbox"},
                         {"network"},
                         {"files"},
                         {"secrets", kBroker},
                         {"limits"},
                         {"rules", kRules},
                         {"audit"},
                         {"canaries", kInterception},
                         {"tests"}};
constexpr Key kRun[] = {{"command"}, {"workdir"}};
constexpr Key kTools[] = {{"programs"}, {"model", kInterception}, {"mcp", kGateway}};
constexpr Key kPrograms[] = {{"allow"}};
constexpr Key kModel[] = {{"allow", kInterception}, {"deny", kInterception}};
constexpr Key kMcp[] = {{"command", kGateway}, {"url", kGateway}, {"tools", kGateway}, {"sandbox", kGateway}};
constexpr Key kMcpTool[] = {{"args", kGateway}, {"ask", kGateway}};
constexpr Key kSandbox[] = {
    {"runtime"}, {"image", kRuntimes}, {"rootfs", kRuntimes}, {"memory"},     {"cpus"}, {"pids"}, {"disk"},
    {"inodes"},  {"open_files"},       {"file_size"},         {"strictness"}, {"proc"}, {"user"}, {"env"}};
constexpr Key kUser[] = {{"uid"}, {"gid"}};
constexpr Key kEnvironment[] = {{"pass"}, {"set"}, {"proxy"}};
constexpr Key kPass[] = {{"name"}, {"reason"}};
constexpr Key kNetwork[] = {{"allow"}, {"deny"}, {"resolver"}, {"trust"}, {"inspect"}};
constexpr Key kAllow[] = {{"host"}, {"address"},  {"ports"},    {"methods"},   {"paths"}, {"graphql"},
                          {"tls"},  {"protocol"}, {"programs"}, {"addresses"}, {"ask"}};
constexpr Key kGraphql[] = {{"operations"}, {"fields"}};
constexpr Key kDeny[] = {{"host"}, {"address"}, {"ports"}, {"methods"}, {"paths"}};
constexpr Key kInspect[] = {{"secrets"}, {"injection"}, {"fetched_urls"}, {"exfiltration"}, {"code"}};
constexpr Key kFile[] = {{"host"}, {"at"}, {"access"}, {"exec"}, {"bridge"}, {"sockets"}, {"reason"}};
constexpr Key kSecret[] = {{"from", kBroker}, {"hosts", kBroker}};
constexpr Key kLimits[] = {{"time"},      {"tool_calls", kInterception}, {"requests"}, {"connections"}, {"names"},
                           {"bytes_out"}, {"tokens", kInterception},     {"denials"},  {"approval"}};
constexpr Key kRule[] = {
    {"name", kRules}, {"tool", kRules}, {"more_than", kRules}, {"within", kRules}, {"then", kRules}};
constexpr Key kAudit[] = {{"record_terminal"}, {"export"}};
constexpr Key kTest[] = {{"connect"}, {"read"}, {"write"}, {"exec"}, {"expect"}};

constexpr std::array<KeyTable, 22> kTables{{{"", kRoot},
                                            {"run", kRun},
                                            {"tools", kTools},
                                            {"tools.programs", kPrograms},
                                            {"tools.model", kModel},
                                            {"tools.mcp.*", kMcp},
                                            {"tools.mcp.*.tools.*", kMcpTool},
                                            {"sandbox", kSandbox},
                                            {"sandbox.user", kUser},
                                            {"sandbox.env", kEnvironment},
                                            {"sandbox.env.pass[]", kPass},
                                            {"network", kNetwork},
                                            {"network.allow[]", kAllow},
                                            {"network.allow[].graphql", kGraphql},
                                            {"network.deny[]", kDeny},
                                            {"network.inspect", kInspect},
                                            {"files[]", kFile},
                                            {"secrets.*", kSecret},
                                            {"limits", kLimits},
                                            {"rules[]", kRule},
                                            {"audit", kAudit},
                                            {"tests[]", kTest}}};

// Levenshtein distance with adjacent transpositions, over short words.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string folded(std::string_view word) {
  std::string out;
  for (const char c : word) out += c == '-' ? '_' : (c >= 'A' && c <= 'Z') ? static_cast<char>(c | 0x20) : c;
  return out;
}

}  // namespace

const Key* KeyTable::find(std::string_view name) const {
  for (const Key& key : keys)
    if (key.name == name) return &key;
  return nullptr;
}

std::span<const KeyTable> key_tables() { return kTables; }

const KeyTable& key_table(std::string_view path) {
  for (const KeyTable& table : kTables)
    if (table.path == path) return table;
  std::abort();  // a spelling mistake in this folder; every table is opened by a test
}

std::string nearest(std::string_view word, std::span<const std::string_view> names) {
  if (word.size() > 40) return {};
  const std::string wanted = folded(word);
  std::string_view best;
  size_t best_distance = 1 + std::max<size_t>(1, wanted.size() / 3);
  for (const std::string_view name : names) {
    size_t d = distance(wanted, folded(name));
    // "port" for "ports", "mem" for "memory".
    if (wanted.size() >= 3 && folded(name).starts_with(wanted)) d = std::min<size_t>(d, 1);
    if (d < best_distance) {
      best_distance = d;
      best = name;
    }
  }
  return std::string(best);
}

std::string nearest(std::string_view word, const KeyTable& table) {
  std::vector<std::string_view> names;
  for (const Key& key : table.keys) names.push_back(key.name);
  return nearest(word, names);
}

}  // namespace stockade::policy
