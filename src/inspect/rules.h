// Rules are data. A rule says how one kind of secret looks: a pattern (RE2 syntax; where it has a group, the first
// group is the secret and the rest its context), the validators that a match must pass, and examples that it must and
// must not match, which the unit tests run. The built-in ones are rules/secrets.yaml, compiled into the library; a
// user's own load the same way, through the same bounds (policy/yaml_tree.h).
//
// Instead of a pattern a rule may give `names` and `value`: then the secret is a value assigned to something that is
// called like one of the names, in any of the usual notations (key: value, KEY=value, "key" => "value", --key value,
// <key>value).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "inspect/finding.h"

namespace stockade::inspect {

inline constexpr size_t kSecretRuleLimit = 2000;
inline constexpr size_t kRulePatternLimit = 4096;
inline constexpr size_t kSpanDefault = 1024;  // the longest match that is looked for, unless a rule says otherwise
inline constexpr size_t kSecretSpanLimit = 16 * 1024;

enum class Validator : uint8_t {
  luhn,             // payment cards
  iban,             // mod 97 and the country's length
  ssn,              // areas, groups and serials that the US gives out
  aba,              // 3-7-1 checksum
  base58check,      // WIF, xprv
  bip39,            // words and checksum (the whole detector: no pattern)
  jwt,              // a header that decodes to JSON with "alg"
  github_checksum,  // CRC-32 in base 62
  mrz,              // check digits of a passport
  not_placeholder,  // neither an example, nor a variable, nor one character repeated
  password,         // like not_placeholder, and not a plain word or expression
  mixed,            // letters and digits both
  login,            // base64 of NAME:PASSWORD
};

struct Rule {
  std::string id;
  std::string title;
  Severity severity = Severity::high;
  bool out = true;
  bool in = false;
  std::string pattern;                // RE2 syntax; empty where the validator is the detector
  std::vector<std::string> keywords;  // prefixes, by which the secret is also found backwards or in ROT13
  std::vector<Validator> validators;
  double entropy = 0;  // least Shannon entropy of the secret, bits a character
  size_t span = kSpanDefault;
  // What the first stage looks for instead of the pattern, where that is cheaper: must match inside of every match.
  // Patterns that begin with no literal would cost as much as all others together, and are looked for where ten digits
  // or more are together ("digits"), or a long run of one alphabet is (scanner.cc): "base58 run", "token run",
  // "capitals run".
  std::string prefilter;
  std::vector<std::string> examples;
  std::vector<std::string> counterexamples;
};

// Every error of the file is in the sentence of the one that is returned.
Result<std::vector<Rule>> parse_rules(std::string_view yaml, const std::string& file);

Result<std::vector<Rule>> builtin_rules();  // rules/secrets.yaml

}  // namespace stockade::inspect
