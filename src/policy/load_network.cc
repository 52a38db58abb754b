#include <algorithm>
#include <array>

#include "policy/decision.h"
#include "policy/glob.h"
#include "policy/sections.h"
#include "policy/units.h"

namespace stockade::policy {

namespace {

constexpr std::string_view kTls[] = {"inspect", "passthrough"};
constexpr auto kProtocols = [] {
  std::array<std::string_view, 4 + std::size(kPlainProtocols)> all{"auto", "tls", "http", "tcp"};
  std::ranges::copy(kPlainProtocols, all.begin() + 4);
  return all;
}();
constexpr size_t kFirstPlain = 4;  // the rest of kProtocols
constexpr std::string_view kLevels[] = {"off", "log", "redact", "ask", "deny"};
constexpr std::string_view kOperations[] = {"query", "mutation", "subscription"};
constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"};

std::optional<uint16_t> parse_port(std::string_view text) {
  const auto number = parse_count(text);
  if (!number || *number == 0 || *number > 65535) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

// One entry of network.allow or network.deny.
class RuleEntry {
 public:
  RuleEntry(Reader& reader, const Node& node, const std::string& list, size_t index, bool allow)
      : reader_(reader),
        node_(node),
        allow_(allow),
        fields_(reader, node, fmt::format("{}[{}]", list, index), list + "[]") {}

  std::optional<NetworkRule> load() {
    if (!fields_.ok()) return std::nullopt;
    rule_.where = reader_.at(node_);
    load_subject();
    load_ports();
    load_methods();
    load_paths();
    if (allow_) {
      load_graphql();
      load_protocol();
      load_programs();
      load_addresses();
      check_together();
    }
    if (bad_) return std::nullopt;
    return std::move(rule_);
  }

 private:
  void error(const Node& node, std::string message, std::string hint = {}) {
    reader_.error(node, std::move(message), std::move(hint));
    bad_ = true;
  }

  void load_subject() {
    const Node* host = fields_["host"];
    const Node* address = fields_["address"];
    if ((host == nullptr) == (address == nullptr)) {
      error(node_, host ? "`host` and `address` in one rule" : "the rule names neither `host` nor `address`",
            host ? "write two rules" : "host: api.example.com, or address: 192.0.2.0/24");
      return;
    }
    const auto text = reader_.text(host ? *host : *address, fields_.path(host ? "host" : "address"));
    if (!text)
      bad_ = true;
    else if (host)
      load_host(*host, *text);
    else
      rule_.address = load_prefix(*address, *text);
  }

  void load_host(const Node& node, const std::string& text) {
    const bool wildcard = text.starts_with("*.");
    const std::string rest = wildcard ? text.substr(2) : text;
    const bool ascii = std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
    const auto canonical = canonical_host(rest);
    if (text == "*" || (wildcard && rest.find('.') == std::string::npos))
      error(node, fmt::format("the host {} covers the whole internet or a top-level domain", quoted(text)),
            "name the hosts, or *.example.com");
    else if (rest.find('*') != std::string::npos || rest.find('?') != std::string::npos)
      error(node, fmt::format("a wildcard in the middle of {} never matches", quoted(text)),
            "only *.example.com: one or more labels in front");
    else if (text.find("://") != std::string::npos)
      error(node, fmt::format("{} is a URL, not a host", quoted(text)), "write the name, and `paths` for its path");
    else if (IpAddress::parse(rest) || Cidr::parse(rest))
      error(node, fmt::format("{} is an address, not a host", quoted(text)), fmt::format("write address: {}", rest));
    else if (Endpoint::parse("0.0.0.0:" + rest.substr(std::min(rest.rfind(':'), rest.size() - 1) + 1)) &&
             rest.find(':') != std::string::npos)
      error(node, fmt::format("a port in the host {}", quoted(text)), "write ports: [443]");
    else if (!ascii)
      error(node, fmt::format("{} is not ASCII", quoted(text)), "write the name in its punycode form (xn--…)");
    else if (!canonical)
      error(node, fmt::format("{} is not a host name", quoted(text)), "letters, digits, hyphens and dots");
    else if (*canonical == "localhost" || canonical->ends_with(".localhost"))
      error(node, fmt::format("{} never matches: localhost is the sandbox itself", quoted(text)),
            "programs inside reach their own servers without a rule");
    else
      rule_.host = (wildcard ? "*." : "") + *canonical;
  }

  std::optional<Cidr> load_prefix(const Node& node, const std::string& text) {
    const auto cidr = Cidr::parse(text);
    if (!cidr) {
      error(node, fmt::format("{} is not an address or prefix", quoted(text)),
            "192.0.2.1, 192.0.2.0/24, 2001:db8::/32");
      return std::nullopt;
    }
    // 10.0.0.1/8 says two things.
    auto bytes = cidr->address.bytes();
    const int width = cidr->address.is_v4() ? 32 : 128;
    bool host_bits = false;
    for (int bit = cidr->prefix; bit < width; ++bit) {
      const auto mask = static_cast<uint8_t>(0x80 >> bit % 8);
      host_bits |= (bytes[bit / 8] & mask) != 0;
      bytes[bit / 8] &= static_cast<uint8_t>(~mask);
    }
    if (!host_bits) return cidr;
    const uint32_t four = uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
    const Cidr network{width == 32 ? IpAddress::v4(four) : IpAddress::v6(bytes), cidr->prefix};
    error(
        node, fmt::format("{} has bits set behind its prefix", quoted(text)),
        fmt::format("the network is {}, the one address {}/{}", network.to_string(), cidr->address.to_string(), width));
    return std::nullopt;
  }

  void load_ports() {
    const Node* ports = fields_["ports"];
    if (ports == nullptr) {
      if (allow_) rule_.ports.push_back({443, 443});
      return;
    }
    const std::string what = fields_.path("ports");
    const auto* items = reader_.list(*ports, what);
    if (items == nullptr || items->empty()) {
      if (items != nullptr) reader_.error(*ports, fmt::format("`{}` is empty: the rule never matches", what));
      bad_ = true;
      return;
    }
    for (const Node& item : *items) {
      if (item.kind != Node::Kind::scalar) {
        error(item, fmt::format("`{}` holds numbers, not {}", what, item.describe()));
        continue;
      }
      const auto dash = item.text.find('-');
      const auto first = parse_port(std::string_view(item.text).substr(0, dash));
      const auto last = dash == std::string::npos ? first : parse_port(std::string_view(item.text).substr(dash + 1));
      if (!first || !last)
        error(item,
              fmt::format("`{}`: {} is not a port (1 to 65535) or a range such as 8000-8010", what, quoted(item.text)));
      else if (*first > *last)
        error(item, fmt::format("`{}`: the range {} is empty: it never matches", what, quoted(item.text)),
              fmt::format("write {}-{}", *last, *first));
      else
        rule_.ports.push_back({*first, *last});
    }
  }

  void load_methods() {
    const Node* methods = fields_["methods"];
    if (methods == nullptr) return;
    const std::string what = fields_.path("methods");
    const auto texts = reader_.texts(*methods, what);
    if (!texts || texts->empty()) {
      error(*methods, fmt::format("`{}` is empty: the rule never matches", what), "leave it out for any method");
      return;
    }
    for (const std::string& method : *texts) {
      const bool token = std::all_of(method.begin(), method.end(),
                                     [](char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; });
      std::string upper = method;
      for (char& c : upper) c = (c >= 'a' && c <= 'z') ? static_cast<char>(c & ~0x20) : c;
      if (method == "CONNECT")
        error(*methods, fmt::format("`{}`: CONNECT is a proxy's method and never reaches a server", what));
      else if (token)
        rule_.methods.push_back(method);
      else if (std::find(std::begin(kMethods), std::end(kMethods), upper) != std::end(kMethods))
        error(*methods, fmt::format("`{}`: {} never matches: methods are upper case", what, quoted(method)),
              fmt::format("did you mean {}?", upper));
      else
        error(*methods, fmt::format("`{}`: {} is not an HTTP method", what, quoted(method)));
    }
  }

  void load_paths() {
    const Node* paths = fields_["paths"];
    if (paths == nullptr) return;
    const std::string what = fields_.path("paths");
    const auto texts = reader_.texts(*paths, what);
    if (!texts || texts->empty()) {
      error(*paths, fmt::format("`{}` is empty: the rule never matches", what), "leave it out for any path");
      return;
    }
    for (const std::string& path : *texts) {
      const std::string why = path_never_matches(path);
      if (why.empty())
        rule_.paths.push_back(path);
      else
        error(*paths, fmt::format("`{}`: {} never matches: {}", what, quoted(path), why),
              "such as /v1/** or /repos/*/issues");
    }
  }

  // Requests are judged with a normalised path without query; a glob that no such path can have is a mistake.
  static std::string path_never_matches(std::string_view path) {
    if (!path.starts_with('/')) return "a path begins with /";
    if (path.find_first_of("?#") != std::string_view::npos) return "the query is not part of the path";
    if (path.find("//") != std::string_view::npos) return "paths are compared without empty segments";
    if (path.size() > 2048 || std::count(path.begin(), path.end(), '/') > 64) return "it is too long";
    for (const unsigned char c : path)
      if (c <= 0x20 || c >= 0x7f) return "a path is printable ASCII, other bytes are percent-encoded";
    size_t at = 0;
    while (at < path.size()) {
      const size_t end = std::min(path.find('/', at + 1), path.size());
      const std::string_view segment = path.substr(at + 1, end - at - 1);
      if (segment == "." || segment == "..") return "paths are compared without . and ..";
      if (segment.find("**") != std::string_view::npos && segment != "**") return "** stands between slashes";
      at = end;
    }
    return {};
  }

  void load_graphql() {
    const Node* graphql = fields_["graphql"];
    if (graphql == nullptr) return;
    const Fields fields(reader_, *graphql, fields_.path("graphql"), "network.allow[].graphql");
    GraphqlLimit limit;
    load_graphql_names(fields, "operations", limit.operations, "an operation", [](const std::string& name) {
      return std::find(std::begin(kOperations), std::end(kOperations), name) != std::end(kOperations);
    });
    load_graphql_names(fields, "fields", limit.fields, "a field", is_graphql_name);
    if (!bad_ && limit == GraphqlLimit{})
      error(*graphql, fmt::format("`{}` limits nothing", fields_.path("graphql")),
            "graphql: { operations: [query], fields: [viewer] }");
    rule_.graphql = std::move(limit);
  }

  template <typename IsOne>
  void load_graphql_names(const Fields& fields, const char* key, std::vector<std::string>& out, std::string_view what,
                          IsOne is_one) {
    const Node* node = fields[key];
    if (node == nullptr) return;
    const auto texts = reader_.texts(*node, fields.path(key));
    if (!texts || texts->empty()) {
      error(*node, fmt::format("`{}` is empty: the rule never matches", fields.path(key)), "leave it out for any");
      return;
    }
    for (const std::string& text : *texts) {
      if (is_one(text))
        out.push_back(text);
      else
        error(*node, fmt::format("`{}`: {} is not {} of GraphQL", fields.path(key), quoted(text), what),
              std::string_view(key) == "operations" ? "query, mutation or subscription" : "letters, digits and _");
    }
  }

  // GraphQL (October 2021), section 2.1.9.
  static bool is_graphql_name(const std::string& name) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
    return letter(name[0]) &&
           std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
  }

  void load_protocol() {
    if (const Node* protocol = fields_["protocol"]) {
      const auto chosen = reader_.choice(*protocol, fields_.path("protocol"), kProtocols);
      if (!chosen)
        bad_ = true;
      else if (*chosen < kFirstPlain)
        rule_.protocol = static_cast<Protocol>(*chosen);
      else
        name_plain_protocol(kProtocols[*chosen]);
    }
    if (const Node* tls = fields_["tls"]) {
      const auto chosen = reader_.choice(*tls, fields_.path("tls"), kTls);
      if (chosen)
        rule_.tls = *chosen == 0 ? TlsMode::inspect : TlsMode::passthrough;
      else
        bad_ = true;
    }
    if (const Node* ask = fields_["ask"]) {
      const auto on = reader_.boolean(*ask, fields_.path("ask"));
      if (!on) bad_ = true;
      rule_.ask = on.value_or(false);
    }
  }

  void name_plain_protocol(std::string_view name) {
    rule_.protocol = Protocol::tcp;
    rule_.speaks = name;
  }

  void load_programs() {
    const Node* programs = fields_["programs"];
    if (programs == nullptr) return;
    const auto* items = reader_.list(*programs, fields_.path("programs"));
    if (items == nullptr) {
      bad_ = true;
      return;
    }
    if (items->empty())
      error(*programs, fmt::format("`{}` is empty: the rule never matches", fields_.path("programs")));
    for (const Node& item : *items) {
      std::string name;
      if (check_program(reader_, item, fields_.path("programs"), name))
        rule_.programs.push_back(std::move(name));
      else
        bad_ = true;
    }
  }

  void load_addresses() {
    const Node* addresses = fields_["addresses"];
    if (addresses == nullptr) return;
    if (fields_["address"] != nullptr) {
      error(*addresses, "`addresses` says where a name may resolve to; a rule by `address` has no name");
      return;
    }
    const auto texts = reader_.texts(*addresses, fields_.path("addresses"));
    if (!texts) {
      bad_ = true;
      return;
    }
    for (const std::string& text : *texts)
      if (const auto cidr = load_prefix(*addresses, text)) rule_.addresses.push_back(*cidr);
  }

  void check_together() {
    const bool tls = rule_.protocol == Protocol::automatic || rule_.protocol == Protocol::tls;
    if (tls && rule_.tls == TlsMode::unset) rule_.tls = TlsMode::inspect;
    if (rule_.tls == TlsMode::inspect && rule_.protocol == Protocol::http)
      error(*fields_["tls"], "there is no TLS to inspect in `protocol: http`", "leave `tls` out");
    if (rule_.tls == TlsMode::passthrough && !rule_.speaks.empty())
      error(*fields_["tls"], fmt::format("`protocol: {}` is read, and `tls: passthrough` reads nothing", rule_.speaks),
            "leave `tls` out, or write `protocol: tcp`");
    const bool judged = rule_.protocol == Protocol::http || is_intercepted(rule_);
    const char* limit = !rule_.methods.empty() ? "methods"
                        : !rule_.paths.empty() ? "paths"
                        : rule_.graphql        ? "graphql"
                                               : nullptr;
    if (limit && !judged)
      error(*fields_[limit],
            fmt::format("`{}` can't be judged {}", limit,
                        rule_.protocol == Protocol::tcp ? "in plain TCP" : "inside TLS that passes through"),
            rule_.protocol == Protocol::tcp ? "leave `protocol: tcp` out, or leave them out"
                                            : "leave `tls: passthrough` out, or leave them out");
  }

  Reader& reader_;
  const Node& node_;
  bool allow_;
  Fields fields_;
  NetworkRule rule_;
  bool bad_ = false;
};

void load_rules(Reader& reader, const Node& node, const std::string& list, bool allow, std::vector<NetworkRule>& out) {
  const auto* items = reader.list(node, list);
  if (items == nullptr) return;
  for (size_t i = 0; i < items->size(); ++i)
    if (auto rule = RuleEntry(reader, (*items)[i], list, i, allow).load()) out.push_back(std::move(*rule));
}

void load_inspect(Reader& reader, const Node& node, Inspection& inspection) {
  const Fields inspect(reader, node, "network.inspect", "network.inspect");
  inspection.where = reader.at(node);
  for (const char* key : {"secrets", "injection", "fetched_urls", "exfiltration", "code"}) {
    const Node* level = inspect[key];
    if (level == nullptr) continue;
    const auto chosen = reader.choice(*level, inspect.path(key), kLevels);
    if (!chosen) continue;
    const auto wanted = static_cast<InspectionLevel>(*chosen);
    std::optional<InspectionLevel>* level_of = nullptr;
    if (std::string_view(key) == "secrets") level_of = &inspection.secrets;
    if (std::string_view(key) == "injection") level_of = &inspection.injection;
    if (std::string_view(key) == "fetched_urls") level_of = &inspection.fetched_urls;
    if (std::string_view(key) == "exfiltration") level_of = &inspection.exfiltration;
    const bool may_ask = level_of == &inspection.secrets;
    const bool built = wanted == InspectionLevel::off ||
                       (level_of && (wanted == InspectionLevel::log || wanted == InspectionLevel::deny)) ||
                       (may_ask && wanted == InspectionLevel::ask);
    if (!built)
      reader.unbuilt(*level, fmt::format("{}: {}", inspect.path(key), level->text),
                     may_ask    ? "write `off`, `log`, `ask` or `deny`"
                     : level_of ? "write `off`, `log` or `deny`"
                                : "write `off`");
    else if (level_of)
      *level_of = wanted;
  }
}

}  // namespace

std::string NetworkRule::subject() const { return address ? address->to_string() : host; }

void load_network(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out) {
  const Fields fields(reader, node, "network", "network");
  Network& network = out.policy.network;
  network.present = true;
  network.where = reader.at(node);
  if (const Node* allow = fields["allow"]) {
    out.present.network_allow = true;
    load_rules(reader, *allow, "network.allow", true, network.allow);
  }
  if (const Node* deny = fields["deny"]) load_rules(reader, *deny, "network.deny", false, network.deny);
  if (const Node* resolver = fields["resolver"]) {
    out.present.resolver = true;
    if (const auto text = reader.text(*resolver, "network.resolver")) {
      network.resolver = Endpoint::parse(*text);
      if (!network.resolver || network.resolver->port == 0) {
        network.resolver.reset();
        reader.error(*resolver, fmt::format("`network.resolver`: {} is not IP:PORT", quoted(*text)),
                     "such as \"192.0.2.53:53\"");
      }
    }
  }
  if (const Node* trust = fields["trust"]) {
    out.present.trust = true;
    const auto texts = reader.texts(*trust, "network.trust");
    for (const std::string& text : texts ? *texts : std::vector<std::string>{}) {
      auto path = absolute_path(text, surroundings);
      if (path)
        network.trust.push_back(std::move(*path));
      else
        reader.error(*trust, path.error().message(), path.error().hint());
    }
  }
  if (const Node* inspect = fields["inspect"]) load_inspect(reader, *inspect, network.inspect);
}

}  // namespace stockade::policy
