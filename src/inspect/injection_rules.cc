#include "inspect/injection_rules.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

namespace stockade::inspect {

namespace {

struct Line {
  size_t number = 0;
  size_t indent = 0;
  bool item = false;  // "- key: value"
  std::string_view key;
  std::string_view value;
};

std::unexpected<Error> refuse(size_t line, std::string_view reason) {
  return fail(ErrorKind::invalid_input, "injection rules, line {}: {}", line, reason);
}

std::string_view trim(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

// One string, plain or quoted, from the front of `text`, up to one of `ends`.
Result<std::string> take_string(std::string_view& text, std::string_view ends, size_t line) {
  text = trim(text);
  std::string out;
  if (!text.starts_with('"')) {
    const size_t end = std::min(text.find_first_of(ends), text.size());
    out = trim(text.substr(0, end));
    text.remove_prefix(end);
    return out;
  }
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text = trim(text.substr(i + 1));
      return out;
    }
    if (text[i] == '\\') {
      if (++i == text.size() || (text[i] != '"' && text[i] != '\\' && text[i] != 'n'))
        return refuse(line, "an escape other than \\\", \\\\ and \\n");
      out.push_back(text[i] == 'n' ? '\n' : text[i]);
    } else {
      out.push_back(text[i]);
    }
  }
  return refuse(line, "a string without its closing quote");
}

Result<std::vector<std::string>> take_list(std::string_view text, size_t line) {
  if (!text.starts_with('[')) return refuse(line, "a list must be in brackets, on one line");
  text.remove_prefix(1);
  std::vector<std::string> out;
  while (true) {
    STOCKADE_ASSIGN(std::string item, take_string(text, ",]", line));
    if (item.empty() || item.size() > kTermSizeLimit * 8) return refuse(line, "an empty or a too long entry");
    out.push_back(std::move(item));
    if (text.empty()) return refuse(line, "a list without its closing bracket");
    const char end = text[0];
    text = trim(text.substr(1));
    if (end == ']') break;
    if (end != ',') return refuse(line, "a comma is missing");
  }
  if (!text.empty()) return refuse(line, "something after a list");
  return out;
}

Result<Line> split_line(std::string_view text, size_t number) {
  Line line{.number = number};
  line.indent = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(line.indent);
  if (text.starts_with("- ")) {
    line.item = true;
    text.remove_prefix(2);
    line.indent += 2;
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.starts_with('"')) return refuse(number, "not of the form \"key: value\"");
  line.key = trim(text.substr(0, colon));
  line.value = trim(text.substr(colon + 1));
  return line;
}

class Reader {
 public:
  Result<void> take(const Line& line) {
    if (line.indent == 0) {
      section_ = line.key;
      if (section_ == "version" && line.value != "1") return refuse(line.number, "a version other than 1");
      if (section_ != "version" && section_ != "concepts" && section_ != "rules" && section_ != "model")
        return refuse(line.number, "an unknown section");
      return {};
    }
    if (section_ == "concepts") return take_concept(line);
    if (section_ == "rules") return take_rule(line);
    if (section_ == "model") return take_weight(line);
    return refuse(line.number, "an entry outside of any section");
  }

  Result<InjectionRules> finish() {
    if (rules.rules.empty()) return fail(ErrorKind::invalid_input, "injection rules: there are no rules");
    for (const InjectionRule& rule : rules.rules)
      if (rule.concepts == 0 || rule.span == 0 || rule.attack_class.empty() || rule.match.empty() ||
          rule.differ.empty())
        return fail(ErrorKind::invalid_input, "injection rules: {} lacks one of class, all, span, match and differ",
                    rule.id);
    return std::move(rules);
  }

  InjectionRules rules;

 private:
  Result<void> take_concept(const Line& line) {
    if (line.indent == 2) {
      if (rules.concepts.size() == kConceptLimit) return refuse(line.number, "more than 64 concepts");
      if (rules.concept_named(line.key) != kConceptLimit) return refuse(line.number, "a concept that is there already");
      rules.concepts.emplace_back(line.key);
      return {};
    }
    if (line.indent != 4 || rules.concepts.empty()) return refuse(line.number, "terms without a concept");
    STOCKADE_ASSIGN(auto terms, take_list(line.value, line.number));
    for (std::string& term : terms) {
      if (rules.terms.size() == kTermLimit || term.size() > kTermSizeLimit)
        return refuse(line.number, "too many terms, or one that is too long");
      rules.terms.push_back({static_cast<uint8_t>(rules.concepts.size() - 1), std::string(line.key), std::move(term)});
    }
    return {};
  }

  Result<void> take_rule(const Line& line) {
    if (line.item) {
      if (line.key != "id") return refuse(line.number, "a rule must begin with its id");
      if (rules.rules.size() == kInjectionRuleLimit - 1) return refuse(line.number, "more than 127 rules");
      rules.rules.push_back({.id = std::string(line.value)});
      return {};
    }
    if (rules.rules.empty()) return refuse(line.number, "a rule must begin with its id");
    InjectionRule& rule = rules.rules.back();
    if (line.key == "class") {
      rule.attack_class = line.value;
    } else if (line.key == "span") {
      const auto parsed = std::from_chars(line.value.data(), line.value.data() + line.value.size(), rule.span);
      if (parsed.ec != std::errc() || rule.span == 0 || rule.span > kInjectionSpanLimit)
        return refuse(line.number, "a span that is not from 1 to 240");
    } else if (line.key == "all") {
      STOCKADE_ASSIGN(const auto names, take_list(line.value, line.number));
      for (const std::string& name : names) {
        const size_t index = rules.concept_named(name);
        if (index == kConceptLimit) return refuse(line.number, "a concept that is not defined");
        rule.concepts |= ConceptSet{1} << index;
      }
    } else if (line.key == "match" || line.key == "differ") {
      STOCKADE_ASSIGN((line.key == "match" ? rule.match : rule.differ), take_list(line.value, line.number));
    } else {
      return refuse(line.number, "an unknown key of a rule");
    }
    return {};
  }

  Result<void> take_weight(const Line& line) {
    const std::string value(line.value);
    char* end = nullptr;
    const double weight = std::strtod(value.c_str(), &end);
    if (value.empty() || *end != '\0' || !(weight > -100 && weight < 100))
      return refuse(line.number, "a weight that is not a number between -100 and 100");
    rules.model[std::string(line.key)] = weight;
    return {};
  }

  std::string section_;
};

}  // namespace

size_t InjectionRules::concept_named(std::string_view name) const {
  const auto found = std::find(concepts.begin(), concepts.end(), name);
  return found == concepts.end() ? kConceptLimit : static_cast<size_t>(found - concepts.begin());
}

Result<InjectionRules> parse_injection_rules(std::string_view yaml) {
  Reader reader;
  for (size_t number = 1; !yaml.empty(); ++number) {
    const size_t end = std::min(yaml.find('\n'), yaml.size());
    const std::string_view text = yaml.substr(0, end);
    yaml.remove_prefix(std::min(end + 1, yaml.size()));
    const std::string_view bare = trim(text);
    if (bare.empty() || bare.starts_with('#')) continue;
    STOCKADE_ASSIGN(const Line line, split_line(text, number));
    STOCKADE_TRY(reader.take(line));
  }
  return reader.finish();
}

}  // namespace stockade::inspect
