// A policy's own tests (`tests:`), run by `stockade policy test` and before every start. Pure and fast.
#pragma once

#include "policy/decision.h"
#include "policy/diagnostic.h"

namespace stockade::policy {

struct TestResult {
  const Test* test = nullptr;  // into the policy
  Verdict verdict;
  bool passed = false;
};

std::vector<TestResult> run_tests(const Policy& policy);
// The failures as errors, at the test's place: `expected deny, but …`.
Diagnostics failed_tests(const Policy& policy);
std::string describe(const Test& test);  // "connect evil.example:443"

}  // namespace stockade::policy
