#!/usr/bin/env bash
# Fuzzes each parser for FUZZ_SECONDS (default 600), FUZZ_JOBS (default: one a processor) at a time, starting from its
# committed corpus. Findings stay in build-fuzz/findings/NAME/ with the command that repeats them. Exit 1 when there is one.
#   scripts/fuzz.sh [NAME…]          FUZZ_CHECKS=1 adds fuzz/coverage.sh and fuzz/planted.sh
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(realpath -m "${BUILD:-build-fuzz}")
seconds=${FUZZ_SECONDS:-600}
jobs=${FUZZ_JOBS:-$(nproc)}
names=("$@")
if [[ $# == 0 ]]; then for source in fuzz/*_fuzz.cc; do names+=("$(basename "$source" _fuzz.cc)"); done; fi
for name in "${names[@]}"; do
  [[ -f fuzz/${name}_fuzz.cc ]] || { echo "fuzz: no target '$name'" >&2; exit 1; }
done
cmake --preset fuzz -B "$build" >/dev/null
cmake --build "$build" -j "$(nproc)" --target "${names[@]/%/_fuzz}" >"$build/build.log" || { cat "$build/build.log" >&2; exit 1; }

one() {  # NAME: its log, and on a finding how to repeat it
  local name=$1 program=$build/fuzz/${1}_fuzz findings=$build/findings/$1 work=$build/corpus/$1 log=$build/findings/$1.log
  local options=(-max_total_time="$seconds" -max_len=4096 -timeout=25 -rss_limit_mb=2048 -print_final_stats=1 "-artifact_prefix=$findings/")
  mkdir -p "$findings" "$work"
  [[ -f fuzz/$name.dict ]] && options+=("-dict=fuzz/$name.dict")
  [[ -d fuzz/corpus/$name ]] || { echo "fuzz: $name: no corpus in fuzz/corpus/$name"; return 1; }
  if "$program" "${options[@]}" "$work" "fuzz/corpus/$name" >"$log" 2>&1; then
    echo "fuzz: $name: no finding in $seconds s, $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs"
  else
    grep -E '^SUMMARY|Test unit written' "$log" || tail -5 "$log"
    echo "fuzz: $name: FOUND something: see $log; repeat with: $program $findings/*"
    return 1
  fi
}
export -f one
export build seconds

status=0
printf '%s\0' "${names[@]}" | xargs -0 -P "$jobs" -I{} bash -c 'one {}' || status=1
if [[ ${FUZZ_CHECKS:-} == 1 ]]; then
  fuzz/coverage.sh "$build-coverage" "$@" || status=1
  fuzz/planted.sh "$build-planted" "$@" || status=1
fi
exit $status
