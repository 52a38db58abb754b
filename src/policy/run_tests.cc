#include "policy/run_tests.h"

#include <fmt/format.h>

#include "policy/judge_files.h"

namespace stockade::policy {

namespace {

Verdict judge(const Policy& policy, const Test& test) {
  switch (test.subject) {
    case TestSubject::read:
      return judge_read(policy, test.value);
    case TestSubject::write:
      return judge_write(policy, test.value);
    case TestSubject::exec:
      return judge_exec(policy, test.value);
    case TestSubject::connect:
      break;
  }
  if (const auto endpoint = Endpoint::parse(test.value))
    return judge_connect(policy.network, endpoint->address, endpoint->port);
  const auto colon = test.value.rfind(':');
  const auto host =
      colon == std::string::npos ? std::nullopt : canonical_host(std::string_view(test.value).substr(0, colon));
  const auto port = host ? Endpoint::parse("0.0.0.0" + test.value.substr(colon)) : std::nullopt;
  if (!port) return {Action::deny, -1, false, fmt::format("{} is not HOST:PORT", test.value), test.where};
  return judge_connect(policy.network, *host, port->port);
}

}  // namespace

std::vector<TestResult> run_tests(const Policy& policy) {
  std::vector<TestResult> results;
  results.reserve(policy.tests.size());
  for (const Test& test : policy.tests) {
    Verdict verdict = judge(policy, test);
    const bool passed = verdict.action == test.expect;
    results.push_back({&test, std::move(verdict), passed});
  }
  return results;
}

Diagnostics failed_tests(const Policy& policy) {
  Diagnostics failures;
  for (const TestResult& result : run_tests(policy)) {
    if (result.passed) continue;
    failures.push_back(
        {result.test->where,
         fmt::format("the policy's test fails: {}: expected {}, but {}", describe(*result.test),
                     to_string(result.test->expect), result.verdict.reason),
         result.verdict.where.file.empty() ? "" : fmt::format("see {}", result.verdict.where.to_string())});
  }
  return failures;
}

std::string describe(const Test& test) {
  constexpr const char* kNames[] = {"connect", "read", "write", "exec"};
  return fmt::format("{} {}", kNames[static_cast<int>(test.subject)], test.value);
}

}  // namespace stockade::policy
