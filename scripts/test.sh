#!/usr/bin/env bash
# All tests: unit tests with ctest, then the built program with pytest (as root and as an ordinary user), then a look at
# what was left behind. `--preset asan` does the same under AddressSanitizer and UBSan. Needs root: the system tests make
# network namespaces, and become an ordinary user that needs no account.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=release
while [[ $# -gt 0 ]]; do
  case "$1" in
    --preset) preset=$2; shift 2 ;;
    *) echo "usage: scripts/test.sh [--preset release|debug|asan|tsan|coverage]" >&2; exit 2 ;;
  esac
done
if [[ $EUID != 0 ]]; then
  echo "test: the system tests need root (network namespaces, an ordinary user): sudo make test" >&2
  exit 1
fi

build=build
[[ $preset == release ]] || build=build-$preset
jobs=$(nproc)
step() { printf '\n== %s\n' "$*"; }

# A Python with pytest and PyYAML: the distribution's, or the person's own.
python=
for candidate in /usr/bin/python3 python3; do
  if "$candidate" -c 'import pytest, yaml' 2>/dev/null; then python=$candidate; break; fi
done
[[ -n $python ]] || { echo "test: no Python with pytest and PyYAML: run 'make setup'" >&2; exit 1; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/testing-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
litter=tests/system/litter.py
"$python" "$litter" save "$scratch/before"

step "build ($preset)"
cmake --preset "$preset" >"$scratch/cmake" || { cat "$scratch/cmake"; exit 1; }
cmake --build "$build" -j "$jobs"

# A leak is reported where a process ends by exit(); ours that are killed on purpose have no such moment.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export STOCKADE=$PWD/$build/stockade

failed=()
step "unit tests"
ctest --test-dir "$build" -j "$jobs" --output-on-failure --no-tests=error || failed+=("unit tests")

step "agents"
"$python" tests/system/agents.py || failed+=("agents")

step "nothing left behind"
"$python" "$litter" check "$scratch/before" && echo "nothing" || failed+=("litter of the unit tests")
"$python" "$litter" save "$scratch/between"

step "system tests"
"$python" -m pytest -p no:cacheprovider -q tests/system || failed+=("system tests")
"$python" "$litter" check "$scratch/between" || failed+=("litter of the system tests")

if [[ ${#failed[@]} -gt 0 ]]; then
  printf 'test: failed: %s\n' "$(IFS=,; echo "${failed[*]}")" >&2
  exit 1
fi
echo "test: all passed"
