#include "policy/decision.h"
#include "policy/glob.h"
#include "policy/sections.h"

namespace stockade::policy {

void load_tests(Reader& reader, const Node& node, const Surroundings& surroundings, LoadOutcome& out) {
  constexpr std::string_view kExpect[] = {"allow", "deny", "ask"};
  constexpr Action kActions[] = {Action::allow, Action::deny, Action::ask};
  constexpr std::pair<const char*, TestSubject> kSubjects[] = {{"connect", TestSubject::connect},
                                                               {"read", TestSubject::read},
                                                               {"write", TestSubject::write},
                                                               {"exec", TestSubject::exec}};
  const auto* items = reader.list(node, "tests");
  if (items == nullptr) return;
  for (size_t i = 0; i < items->size(); ++i) {
    const Node& item = (*items)[i];
    const Fields fields(reader, item, fmt::format("tests[{}]", i), "tests[]");
    if (!fields.ok()) continue;
    Test test;
    test.where = reader.at(item);
    int subjects = 0;
    bool good = true;
    for (const auto& [key, subject] : kSubjects) {
      const Node* value = fields[key];
      if (value == nullptr) continue;
      ++subjects;
      test.subject = subject;
      auto text = reader.text(*value, fields.path(key));
      if (!text) {
        good = false;
        continue;
      }
      test.value = std::move(*text);
      if (subject == TestSubject::connect) {
        const auto colon = test.value.rfind(':');
        const bool shaped = Endpoint::parse(test.value).has_value() ||
                            (colon != std::string::npos && canonical_host(test.value.substr(0, colon)) &&
                             Endpoint::parse("0.0.0.0" + test.value.substr(colon)).has_value());
        if (!shaped) {
          reader.error(*value, fmt::format("`{}`: {} is not HOST:PORT", fields.path(key), quoted(test.value)),
                       "write \"evil.example:443\", \"192.0.2.1:80\" or \"[2001:db8::1]:443\"");
          good = false;
        }
      } else if (subject != TestSubject::exec) {
        auto path = absolute_path(test.value, surroundings);
        if (!path || has_wildcard(test.value)) {
          reader.error(
              *value,
              fmt::format("`{}`: {}", fields.path(key), path ? "a wildcard in the path" : path.error().sentence()),
              path ? "name one path" : path.error().hint());
          good = false;
        } else {
          test.value = std::move(*path);
        }
      } else if (!check_program(reader, *value, fields.path(key), test.value)) {
        good = false;
      }
    }
    if (subjects != 1) {
      reader.error(item, fmt::format("`tests[{}]` must have exactly one of connect, read, write and exec", i));
      good = false;
    }
    const Node* expect = fields["expect"];
    if (expect == nullptr) {
      reader.error(item, fmt::format("`{}` is missing", fields.path("expect")), "allow, ask or deny");
      continue;
    }
    const auto chosen = reader.choice(*expect, fields.path("expect"), kExpect);
    if (chosen && kActions[*chosen] == Action::ask && test.subject != TestSubject::connect) {
      reader.error(*expect, fmt::format("`{}`: only a connection can wait for approval", fields.path("expect")),
                   "allow or deny");
      good = false;
    }
    if (!chosen || !good) continue;
    test.expect = kActions[*chosen];
    out.policy.tests.push_back(std::move(test));
  }
}

}  // namespace stockade::policy
