#include "inspect/rules.h"

#include <re2/re2.h>

#include <array>
#include <charconv>
#include <unordered_set>

#include "policy/yaml_tree.h"

namespace stockade::inspect {

namespace {

using policy::Node;

constexpr std::array<std::pair<std::string_view, Validator>, 13> kValidators = {{
    {"luhn", Validator::luhn},
    {"iban", Validator::iban},
    {"ssn", Validator::ssn},
    {"aba", Validator::aba},
    {"base58check", Validator::base58check},
    {"bip39", Validator::bip39},
    {"jwt", Validator::jwt},
    {"github_checksum", Validator::github_checksum},
    {"mrz", Validator::mrz},
    {"not_placeholder", Validator::not_placeholder},
    {"password", Validator::password},
    {"mixed", Validator::mixed},
    {"login", Validator::login},
}};

// A value assigned to a name. Quotes may be escaped (JSON in JSON, shell in YAML); the value ends where its alphabet
// does.
std::string assignment_pattern(std::string_view names, std::string_view value) {
  return fmt::format(
      R"((?i:(?:(?:^|[^a-z0-9]|_)(?:{0})[\w.\-]{{0,30}}["'\]\\]{{0,3}}\s{{0,3}}(?::=|=>|[:=>])|--?[\w-]{{0,20}}(?:{0})[\w-]{{0,20}} ))"
      R"(\s{{0,3}}(?:Bearer |Basic )?["'`\\]{{0,3}})({1})(?:[^A-Za-z0-9_+/=\-]|$))",
      names, value);
}

class RuleReader {
 public:
  explicit RuleReader(const std::string& file) : file_(file) {}

  void read(const Node& node) {
    if (node.kind != Node::Kind::mapping) return error(node, "a rule is a mapping");
    Rule rule;
    std::string names, value;
    for (size_t i = 0; i + 1 < node.items.size(); i += 2)
      read_key(rule, names, value, node.items[i].text, node.items[i + 1]);
    if (rule.id.empty() || rule.title.empty()) return error(node, "a rule needs id and title");
    if (!ids_.insert(rule.id).second) return error(node, fmt::format("the id '{}' is given twice", rule.id));
    if (!names.empty() || !value.empty()) {
      if (names.empty() || value.empty() || !rule.pattern.empty())
        return error(node, fmt::format("{}: 'names' and 'value' come together, and without 'pattern'", rule.id));
      rule.pattern = assignment_pattern(names, value);
    }
    check_pattern(rule, node);
    rules.push_back(std::move(rule));
  }
  void error(const Node& node, std::string message) {
    if (errors.size() < 4000)
      errors += fmt::format("{}{}:{}: {}", errors.empty() ? "" : "\n", file_, node.line, message);
  }

  std::vector<Rule> rules;
  std::string errors;

 private:
  void read_key(Rule& rule, std::string& names, std::string& value, std::string_view key, const Node& node) {
    if (key == "id") return text(node, rule.id);
    if (key == "title") return text(node, rule.title);
    if (key == "pattern") return text(node, rule.pattern);
    if (key == "names") return text(node, names);
    if (key == "value") return text(node, value);
    if (key == "keywords") return texts(node, rule.keywords);
    if (key == "examples") return texts(node, rule.examples);
    if (key == "counterexamples") return texts(node, rule.counterexamples);
    if (key == "severity") {
      const auto severity = parse_severity(node.text);
      return severity ? void(rule.severity = *severity) : error(node, "severity is low, medium, high or critical");
    }
    if (key == "direction") {
      rule.out = node.text == "out" || node.text == "both";
      rule.in = node.text == "in" || node.text == "both";
      return rule.out || rule.in ? void() : error(node, "direction is out, in or both");
    }
    if (key == "prefilter") return text(node, rule.prefilter);
    if (key == "validators") return validators(node, rule);
    if (key == "entropy") return number(node, rule.entropy, 0.0, 8.0);
    if (key == "span") return number(node, rule.span, size_t{16}, kSecretSpanLimit);
    error(node, fmt::format("unknown key '{}'", key));
  }
  void text(const Node& node, std::string& to) {
    if (node.kind != Node::Kind::scalar || node.text.empty()) return error(node, "a text is needed here");
    to = node.text;
  }
  void texts(const Node& node, std::vector<std::string>& to) {
    if (node.kind != Node::Kind::sequence) return error(node, "a list is needed here");
    for (const Node& item : node.items) text(item, to.emplace_back());
  }
  template <typename T>
  void number(const Node& node, T& to, T least, T most) {
    const char* end = node.text.data() + node.text.size();
    const auto [stop, bad] = std::from_chars(node.text.data(), end, to);
    if (bad != std::errc() || stop != end || to < least || to > most)
      error(node, fmt::format("a number from {} to {} is needed here", least, most));
  }
  void validators(const Node& node, Rule& rule) {
    std::vector<std::string> words;
    texts(node, words);
    for (const std::string& word : words) {
      bool known = false;
      for (const auto& [name, validator] : kValidators) {
        if (name != word) continue;
        rule.validators.push_back(validator);
        known = true;
      }
      if (!known) error(node, fmt::format("there is no validator '{}'", word));
    }
  }
  void check_pattern(const Rule& rule, const Node& node) {
    if (rule.pattern.empty()) {
      if (rule.validators.empty() || rule.validators[0] != Validator::bip39)
        error(node, fmt::format("{}: a pattern is needed", rule.id));
      return;
    }
    if (rule.pattern.size() > kRulePatternLimit)
      return error(node, fmt::format("{}: the pattern is too long", rule.id));
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    const re2::RE2 compiled(rule.pattern, options);
    if (!compiled.ok()) return error(node, fmt::format("{}: {}", rule.id, compiled.error()));
    if (re2::RE2::PartialMatch("", compiled)) error(node, fmt::format("{}: the pattern matches nothing", rule.id));
  }

  const std::string& file_;
  std::unordered_set<std::string> ids_;
};

}  // namespace

Result<std::vector<Rule>> parse_rules(std::string_view yaml, const std::string& file) {
  const policy::Tree tree = policy::parse_tree(yaml, file);
  if (!tree.errors.empty()) return fail(ErrorKind::invalid_input, "{}", policy::render(tree.errors));
  RuleReader reader(file);
  const Node* list = nullptr;
  if (tree.root.kind == Node::Kind::mapping && tree.root.items.size() == 2 && tree.root.items[0].text == "rules")
    list = &tree.root.items[1];
  if (!list || list->kind != Node::Kind::sequence)
    return fail(ErrorKind::invalid_input, "{}: a file of rules is a mapping with the one key 'rules', a list", file);
  if (list->items.size() > kSecretRuleLimit)
    return fail(ErrorKind::invalid_input, "{}: more than {} rules", file, kSecretRuleLimit);
  for (const Node& node : list->items) reader.read(node);
  if (!reader.errors.empty()) return fail(ErrorKind::invalid_input, "{}", reader.errors);
  return std::move(reader.rules);
}

}  // namespace stockade::inspect
