#include "policy/effective.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "policy/decision.h"
#include "policy/json_writer.h"
#include "policy/source_file.h"
#include "policy/units.h"

namespace stockade::policy {

JsonWriter& JsonWriter::string(std::string_view value) {
  separate();
  text_ += '"';
  for (size_t i = 0; i < value.size();) {
    const unsigned char c = static_cast<unsigned char>(value[i]);
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += static_cast<char>(c);
    } else if (c == '\n') {
      text_ += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      text_ += fmt::format("\\u{:04x}", c);
    } else if (c < 0x80) {
      text_ += static_cast<char>(c);
    } else {
      const CodePoint point = decode_utf8(value.substr(i));
      // Bytes that are not UTF-8 (a path outside) must not make the whole text invalid.
      if (point.length == 0)
        text_ += "\\ufffd";
      else
        text_.append(value.substr(i, point.length));
      i += std::max<size_t>(point.length, 1);
      continue;
    }
    ++i;
  }
  text_ += '"';
  return *this;
}

namespace {

class Writer {
 public:
  explicit Writer(const Policy& policy) : policy_(policy) {}

  std::string write() {
    json_.open('{').key("version").number(1);
    if (!policy_.name.empty()) json_.key("name").string(policy_.name);
    run();
    if (policy_.programs.allow)
      json_.key("tools")
          .open('{')
          .key("programs")
          .open('{')
          .key("allow")
          .strings(*policy_.programs.allow)
          .close('}')
          .close('}');
    sandbox();
    if (policy_.network.present) network();
    json_.key("files").open('[');
    for (const FileRule& rule : policy_.files) file(rule);
    json_.close(']');
    limits();
    json_.key("tests").open('[');
    for (const Test& test : policy_.tests) self_test(test);
    return json_.close(']').close('}').take();
  }

 private:
  void run() {
    const Run& run = policy_.run;
    if (run.command.empty() && !run.workdir) return;
    json_.key("run").open('{');
    if (!run.command.empty()) json_.key("command").strings(run.command);
    if (run.workdir) json_.key("workdir").string(*run.workdir);
    json_.close('}');
  }

  void size(const char* key, const std::optional<uint64_t>& value) {
    if (value) json_.key(key).string(format_size(*value));
  }
  void count(const char* key, const std::optional<uint64_t>& value) {
    if (value) json_.key(key).number(*value);
  }

  void sandbox() {
    const Sandbox& sandbox = policy_.sandbox;
    json_.key("sandbox").open('{').key("runtime").string("native");
    size("memory", sandbox.memory);
    if (sandbox.cpus) json_.key("cpus").raw(format_cpus(*sandbox.cpus));
    count("pids", sandbox.pids);
    size("disk", sandbox.disk);
    count("inodes", sandbox.inodes);
    count("open_files", sandbox.open_files);
    size("file_size", sandbox.file_size);
    json_.key("strictness").string(sandbox.strictness == Strictness::hard ? "hard" : "polled");
    json_.key("proc").string(sandbox.proc == ProcView::minimal ? "minimal" : "normal");
    if (sandbox.uid || sandbox.gid) {
      json_.key("user").open('{');
      if (sandbox.uid) json_.key("uid").number(*sandbox.uid);
      if (sandbox.gid) json_.key("gid").number(*sandbox.gid);
      json_.close('}');
    }
    environment(sandbox.env);
    json_.close('}');
  }

  void environment(const Environment& env) {
    json_.key("env").open('{').key("pass").open('[');
    for (const PassedVariable& variable : env.pass) {
      if (variable.reason.empty())
        json_.string(variable.name);
      else
        json_.open('{').key("name").string(variable.name).key("reason").string(variable.reason).close('}');
    }
    json_.close(']').key("set").open('{');
    for (const SetVariable& variable : env.set) json_.key(variable.name).string(variable.value);
    json_.close('}').key("proxy").boolean(env.proxy).close('}');
  }

  void network() {
    json_.key("network").open('{').key("allow").open('[');
    for (const NetworkRule& rule : policy_.network.allow) network_rule(rule, true);
    json_.close(']').key("deny").open('[');
    for (const NetworkRule& rule : policy_.network.deny) network_rule(rule, false);
    json_.close(']');
    inspection(policy_.network.inspect);
    if (!policy_.network.trust.empty()) json_.key("trust").strings(policy_.network.trust);
    if (policy_.network.resolver) json_.key("resolver").string(policy_.network.resolver->to_string());
    json_.close('}');
  }

  void inspection(const Inspection& inspect) {
    if (!inspect.secrets && !inspect.injection && !inspect.fetched_urls && !inspect.exfiltration) return;
    json_.key("inspect").open('{');
    if (inspect.secrets) json_.key("secrets").string(to_string(*inspect.secrets));
    if (inspect.injection) json_.key("injection").string(to_string(*inspect.injection));
    if (inspect.fetched_urls) json_.key("fetched_urls").string(to_string(*inspect.fetched_urls));
    if (inspect.exfiltration) json_.key("exfiltration").string(to_string(*inspect.exfiltration));
    json_.close('}');
  }

  void network_rule(const NetworkRule& rule, bool allow) {
    json_.open('{');
    rule.address ? json_.key("address").string(rule.address->to_string()) : json_.key("host").string(rule.host);
    if (!rule.ports.empty()) {
      json_.key("ports").open('[');
      for (const PortRange& range : rule.ports)
        range.first == range.last ? json_.number(range.first)
                                  : json_.string(fmt::format("{}-{}", range.first, range.last));
      json_.close(']');
    }
    if (!rule.methods.empty()) json_.key("methods").strings(rule.methods);
    if (!rule.paths.empty()) json_.key("paths").strings(rule.paths);
    if (rule.graphql) {
      json_.key("graphql").open('{');
      if (!rule.graphql->operations.empty()) json_.key("operations").strings(rule.graphql->operations);
      if (!rule.graphql->fields.empty()) json_.key("fields").strings(rule.graphql->fields);
      json_.close('}');
    }
    if (allow) {
      constexpr const char* kProtocols[] = {"auto", "tls", "http", "tcp"};
      json_.key("protocol").string(rule.speaks.empty() ? kProtocols[static_cast<int>(rule.protocol)] : rule.speaks);
      if (rule.tls == TlsMode::passthrough) json_.key("tls").string("passthrough");
      if (rule.tls == TlsMode::inspect) json_.key("tls").string("inspect");
      if (!rule.programs.empty()) json_.key("programs").strings(rule.programs);
      if (!rule.addresses.empty()) {
        json_.key("addresses").open('[');
        for (const Cidr& range : rule.addresses) json_.string(range.to_string());
        json_.close(']');
      }
      if (rule.ask) json_.key("ask").boolean(true);
    }
    json_.close('}');
  }

  void file(const FileRule& rule) {
    constexpr const char* kAccess[] = {"read", "write", "write-only", "hide"};
    json_.open('{').key("host").string(rule.host);
    if (rule.access != Access::hide) json_.key("at").string(rule.at);
    json_.key("access").string(kAccess[static_cast<int>(rule.access)]);
    if (rule.exec) json_.key("exec").boolean(true);
    if (rule.bridge) json_.key("bridge").boolean(true);
    if (!rule.sockets.empty()) json_.key("sockets").strings(rule.sockets);
    if (!rule.reason.empty()) json_.key("reason").string(rule.reason);
    json_.close('}');
  }

  void limits() {
    const Limits& limits = policy_.limits;
    json_.key("limits").open('{');
    if (limits.time) json_.key("time").string(format_duration(*limits.time));
    count("requests", limits.requests);
    count("connections", limits.connections);
    count("names", limits.names);
    size("bytes_out", limits.bytes_out);
    count("denials", limits.denials);
    if (limits.approval) json_.key("approval").string(format_duration(*limits.approval));
    json_.close('}');
  }

  void self_test(const Test& test) {
    constexpr const char* kSubjects[] = {"connect", "read", "write", "exec"};
    json_.open('{').key(kSubjects[static_cast<int>(test.subject)]).string(test.value);
    json_.key("expect").string(to_string(test.expect)).close('}');
  }

  const Policy& policy_;
  JsonWriter json_;
};

}  // namespace

std::string to_json(const Policy& policy) { return Writer(policy).write(); }

std::string policy_hash(const Policy& policy) { return sha256_hex(to_json(policy)); }

}  // namespace stockade::policy
