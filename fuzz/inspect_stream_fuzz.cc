// The stream: what is found in the whole is found in its pieces, however they are cut; all bytes leave, in order; and
// no byte of a finding leaves before it (the finding comes with its first byte).
// covers: src/inspect/stream.cc src/inspect/scanner.cc src/inspect/known_values.cc src/inspect/validators.cc
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "inspect/stream.h"

namespace {

using namespace stockade::inspect;

void require(bool condition) {
  if (!condition) std::abort();
}

// A few rules, so that the engine is made quickly and the fuzzer reaches them.
constexpr std::string_view kRules = R"(rules:
- id: token
  title: Token
  pattern: '(glpat-[A-Za-z0-9_-]{20,60})'
  keywords: ["glpat-"]
- id: key
  title: Key
  pattern: '(?s:(-----BEGIN PRIVATE KEY-----.{16}.*?-----END PRIVATE KEY))'
  span: 8400
- id: assigned
  title: Assigned
  names: 'password'
  value: '[^\s"]{8,64}'
  validators: [password]
- id: card
  title: Card
  pattern: '(?:^|[^0-9])(4\d{3}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4})(?:[^0-9]|$)'
  validators: [luhn]
  prefilter: digits
- id: phrase
  title: Phrase
  validators: [bip39]
)";

Scanner& scanner() {
  static Scanner made = [] {
    EngineOptions options{.rules = *CompiledRules::compile(*parse_rules(kRules, "fuzz")), .known = {}, .key = {3}};
    options.known.push_back({"V", "zebra-Quartz-41-lantern", false});
    return std::move(*Scanner::create(*Engine::create(std::move(options))));
  }();
  return made;
}

std::vector<Finding> pass(std::string_view text, size_t piece, bool events) {
  StreamScanner stream(scanner(), {.release_at_empty_lines = events});
  std::vector<Finding> findings;
  uint64_t fed_bytes = 0, released = 0;
  for (size_t at = 0;; at += piece) {
    const auto bytes = text.substr(std::min(at, text.size()), piece);
    const bool end = at + piece >= text.size();
    const auto fed = stream.feed(bytes, end);
    fed_bytes += bytes.size();
    for (const Finding& finding : fed.findings) {
      require(finding.begin <= finding.end && finding.end <= fed_bytes);
      if (finding.rule != kBudgetRule && finding.end - finding.begin <= kStreamHold) require(finding.end > released);
      findings.push_back(finding);
    }
    released += fed.release;
    require(released <= fed_bytes && released == stream.released());
    if (end) break;
  }
  require(released == text.size());
  return findings;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const std::vector<char> exact(data + 2, data + size);
  const std::string_view text(exact.data(), exact.size());
  const size_t piece = 1 + (data[0] | (data[1] & 15) << 8);
  const auto whole = pass(text, text.size() + 1, false);
  const auto cut = pass(text, piece, data[1] & 16);
  if (text.size() > kStreamHold) return 0;  // beyond it, context differs
  for (const Finding& finding : whole) {
    if (!finding.through.empty() || finding.rule == kBudgetRule || (data[1] & 16)) continue;
    bool found = false;
    for (const Finding& other : cut) found |= other.begin < finding.end && finding.begin < other.end;
    require(found);
  }
  return 0;
}
