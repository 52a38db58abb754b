#include "sandbox/environment.h"

#include <fmt/format.h>

#include <map>

#include "net/transparent.h"
#include "sandbox/credential_names.h"

namespace stockade::sandbox {
namespace {

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  for (const char c : name) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    if (!word) return false;
  }
  return true;
}

// "de_DE.UTF-8@euro", "Europe/Berlin", "xterm-256color": a plain word, and no path to a file elsewhere.
bool is_plain_word(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.front() == '/' || text.find("..") != std::string_view::npos)
    return false;
  for (const char c : text) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && std::string_view("_-+.@/").find(c) == std::string_view::npos) return false;
  }
  return true;
}

using Variables = std::map<std::string, std::string>;

void copy_plain_word(const Surroundings& surroundings, const char* name, Variables& out) {
  const std::string_view value = surroundings.variable(name);
  if (is_plain_word(value)) out[name] = value;
}

void set_locale(const Surroundings& surroundings, Variables& out) {
  for (const char* name : {"LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY",
                           "LC_NUMERIC", "LC_TIME"}) {
    copy_plain_word(surroundings, name, out);
  }
  if (!out.contains("LANG")) out["LANG"] = "C.UTF-8";
  copy_plain_word(surroundings, "TZ", out);
}

void set_proxy(Variables& out) {
  const std::string http = fmt::format("http://127.0.0.1:{}", net::kProxyHttpPort);
  const std::string socks = fmt::format("socks5h://127.0.0.1:{}", net::kProxySocksPort);
  for (const char* name : {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"}) out[name] = http;
  for (const char* name : {"ALL_PROXY", "all_proxy"}) out[name] = socks;
  for (const char* name : {"NO_PROXY", "no_proxy"}) out[name] = "localhost,127.0.0.1,::1";
}

std::string joined(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& entry : path) {
    if (!out.empty()) out += ':';
    out += entry;
  }
  return out.empty() ? "/usr/bin:/bin" : out;
}

}  // namespace

Result<std::vector<std::string>> make_environment(const policy::Environment& policy, const Surroundings& surroundings,
                                                  const Inside& inside, const ViewVariables& view, bool terminal) {
  Variables out;
  out["HOME"] = inside.home;
  out["USER"] = out["LOGNAME"] = inside.user;
  out["SHELL"] = inside.shell;
  out["PATH"] = joined(view.path);
  out["TMPDIR"] = "/tmp";
  out["XDG_CONFIG_HOME"] = join(inside.home, ".config");
  out["XDG_CACHE_HOME"] = join(inside.home, ".cache");
  out["XDG_DATA_HOME"] = join(inside.home, ".local/share");
  out["XDG_STATE_HOME"] = join(inside.home, ".local/state");
  out["XDG_RUNTIME_DIR"] = fmt::format("/run/user/{}", inside.uid);
  set_locale(surroundings, out);
  for (const auto& [name, value] : view.installations) out[name] = value;
  if (terminal) {
    copy_plain_word(surroundings, "TERM", out);
    copy_plain_word(surroundings, "COLORTERM", out);
    if (!out.contains("TERM")) out["TERM"] = "xterm-256color";
  }
  if (policy.proxy) set_proxy(out);

  for (const policy::PassedVariable& variable : policy.pass) {
    if (!is_variable_name(variable.name)) {
      return fail(ErrorKind::invalid_input, "{}: '{}' is no name of a variable", variable.where.to_string(),
                  variable.name);
    }
    if (is_loader_variable(variable.name) && variable.reason.empty()) {
      return std::unexpected(
          Error(ErrorKind::invalid_input,
                fmt::format("{}: {} is not passed: it changes what every program loads or runs",
                            variable.where.to_string(), variable.name))
              .hint(
                  fmt::format("write {{ name: {}, reason: \"…\" }}, or give its value under env.set", variable.name)));
    }
    const auto found = surroundings.environment.find(variable.name);
    if (found != surroundings.environment.end()) out[variable.name] = found->second;
  }
  for (const policy::SetVariable& variable : policy.set) {
    if (!is_variable_name(variable.name) || variable.value.find('\0') != std::string::npos) {
      return fail(ErrorKind::invalid_input, "{}: '{}' is no name of a variable, or its value holds a NUL",
                  variable.where.to_string(), variable.name);
    }
    out[variable.name] = variable.value;
  }

  std::vector<std::string> environment;
  environment.reserve(out.size());
  for (const auto& [name, value] : out) environment.push_back(name + "=" + value);
  return environment;
}

}  // namespace stockade::sandbox
