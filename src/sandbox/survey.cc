#include "sandbox/survey.h"

#include <sched.h>
#include <strings.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <charconv>
#include <climits>
#include <utility>

#include "policy/trust.h"

extern "C" char** environ;

namespace stockade::sandbox {
namespace {

constexpr size_t kAccountFileLimit = 8 << 20;
constexpr size_t kGitConfigLimit = 64 << 10;

// Calls `visit(fields)` for each line of a colon-separated file until it returns true.
template <typename Visit>
void for_each_record(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::vector<std::string_view> fields;
    for (size_t at = 0; at <= line.size();) {
      const size_t colon = std::min(line.find(':', at), line.size());
      fields.push_back(line.substr(at, colon - at));
      at = colon + 1;
    }
    if (visit(fields)) return;
  }
}

bool is_number(std::string_view text, uint32_t expected) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value == expected;
}

void read_account(const HostTree& tree, Surroundings& out, std::string& home) {
  if (const auto passwd = tree.read("/etc/passwd", kAccountFileLimit)) {
    for_each_record(*passwd, [&](const std::vector<std::string_view>& fields) {
      if (fields.size() < 7 || !is_number(fields[2], out.uid)) return false;
      out.user = fields[0];
      home = fields[5];
      out.shell = fields[6];
      return true;
    });
  }
  if (const auto groups = tree.read("/etc/group", kAccountFileLimit)) {
    for_each_record(*groups, [&](const std::vector<std::string_view>& fields) {
      if (fields.size() < 3 || !is_number(fields[2], out.gid)) return false;
      out.group = fields[0];
      return true;
    });
  }
}

bool is_absolute(std::string_view path) { return path.starts_with('/') && path.find('\0') == std::string_view::npos; }

// $HOME is believed where it is a directory of this person: `sudo -E` leaves another one's.
void choose_home(const HostTree& tree, Surroundings& out, const std::string& account_home) {
  const std::string_view variable = out.variable("HOME");
  if (is_absolute(variable)) {
    const std::string spelled = normalized(variable);
    const auto status = tree.status(spelled);
    if (status && S_ISDIR(status->st_mode) && status->st_uid == out.uid) out.home = spelled;
  }
  if (is_absolute(account_home)) {
    const std::string spelled = normalized(account_home);
    if (out.home.empty() && spelled != "/") out.home = spelled;
    if (spelled != out.home && spelled != "/") out.account_home = spelled;
  }
  if (out.home.empty() || out.home == "/") out.home = out.is_root() ? "/root" : "/home/agent";
}

std::string directory_or(const Surroundings& out, std::string_view variable, std::string fallback) {
  const std::string_view value = out.variable(variable);
  return join(is_absolute(value) ? normalized(value) : std::move(fallback), "stockade");
}

uint64_t machine_memory() {
  struct sysinfo info{};
  if (::sysinfo(&info) != 0) return 0;
  return static_cast<uint64_t>(info.totalram) * info.mem_unit;
}

unsigned usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// A value of git's configuration: quotes and backslashes undone, a comment cut off.
std::string git_value(std::string_view text) {
  std::string out;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
    } else if (c == '\\' && i + 1 < text.size()) {
      out += text[++i];
    } else if (!quoted && (c == '#' || c == ';')) {
      break;
    } else {
      out += c;
    }
  }
  return std::string(trimmed(out));
}

bool is_printable_line(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return text.size() <= 256;
}

void read_git_identity(const HostTree& tree, Surroundings& out) {
  // git reads the XDG file first, so the one in the home wins.
  const std::string_view config = out.variable("XDG_CONFIG_HOME");
  const std::string xdg = join(is_absolute(config) ? normalized(config) : join(out.home, ".config"), "git/config");
  for (const std::string& path : {xdg, join(out.home, ".gitconfig")}) {
    const auto text = tree.read(path, kGitConfigLimit);
    if (!text) continue;
    GitIdentity found = parse_git_identity(*text);
    if (!found.name.empty()) out.git_name = std::move(found.name);
    if (!found.email.empty()) out.git_email = std::move(found.email);
  }
}

}  // namespace

std::string_view Surroundings::variable(std::string_view name) const {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string_view() : std::string_view(found->second);
}

Result<Person> Person::of_this_process() {
  Person person{.uid = ::geteuid(), .gid = ::getegid(), .cwd = {}, .environment = {}};
  char cwd[PATH_MAX];
  if (::getcwd(cwd, sizeof cwd) == nullptr) {
    return std::unexpected(Error::from_errno("find the current directory").hint("change to a directory that exists"));
  }
  person.cwd = cwd;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const size_t equals = text.find('=');
    // The first of two equal names is the one that getenv(3) finds.
    if (equals != std::string_view::npos) person.environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return person;
}

GitIdentity parse_git_identity(std::string_view text) {
  GitIdentity found;
  bool in_user = false;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      const size_t close = line.find(']');
      const std::string_view section = trimmed(line.substr(1, close == std::string_view::npos ? 0 : close - 1));
      in_user = section.size() == 4 && ::strncasecmp(section.data(), "user", 4) == 0;
      continue;
    }
    const size_t equals = line.find('=');
    if (!in_user || equals == std::string_view::npos) continue;
    const std::string key(trimmed(line.substr(0, equals)));
    std::string value = git_value(trimmed(line.substr(equals + 1)));
    if (!is_printable_line(value)) continue;
    if (::strcasecmp(key.c_str(), "name") == 0)
      found.name = std::move(value);
    else if (::strcasecmp(key.c_str(), "email") == 0)
      found.email = std::move(value);
  }
  return found;
}

policy::Surroundings for_policy(const Surroundings& surroundings) {
  policy::Surroundings out;
  out.home = surroundings.home;
  out.cwd = surroundings.cwd;
  out.state_dir = surroundings.state_dir;
  out.config_dir = surroundings.config_dir;
  out.runtime_dir = surroundings.runtime_dir;
  out.uid = surroundings.uid;
  out.memory = surroundings.memory;
  out.cpus = surroundings.cpus;
  out.written_places = surroundings.written_places;
  return out;
}

Result<Surroundings> survey_host(const HostTree& tree, Person person) {
  Surroundings out;
  out.uid = person.uid;
  out.gid = person.gid;
  out.environment = std::move(person.environment);
  std::string account_home;
  read_account(tree, out, account_home);
  choose_home(tree, out, account_home);
  const auto real_home = tree.locate(out.home);
  out.real_home = real_home ? real_home->path : out.home;
  auto cwd = tree.resolve(person.cwd);
  if (!cwd) return std::unexpected(std::move(cwd).error().context("find the current directory"));
  out.cwd = std::move(cwd->path);
  out.memory = machine_memory();
  out.cpus = usable_cpus();
  if (out.memory == 0) return fail(ErrorKind::internal, "the machine's memory size can't be read");
  out.state_dir = directory_or(out, "XDG_STATE_HOME", join(out.home, ".local/state"));
  // supervisor/run_directory.h: without XDG_RUNTIME_DIR the sockets are below the state directory.
  out.runtime_dir = is_absolute(out.variable("XDG_RUNTIME_DIR")) ? directory_or(out, "XDG_RUNTIME_DIR", "") : "";
  if (out.runtime_dir.empty()) out.runtime_dir = join(out.state_dir, "runtime");
  out.config_dir = directory_or(out, "XDG_CONFIG_HOME", join(out.home, ".config"));
  read_git_identity(tree, out);
  STOCKADE_ASSIGN(out.written_places, policy::written_places(out.state_dir));
  return out;
}

}  // namespace stockade::sandbox
