#!/bin/sh
# Line coverage of each parser by its fuzzer's committed corpus, after fuzzing on for SECONDS_EACH (default 0).
# A fuzzer names its parser's files in a line "// covers: FILE…". Exit 1 when one has less than 85 % of its lines covered.
#   fuzz/coverage.sh [BUILD_FOLDER] [FUZZER…]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/fuzz-coverage}
[ $# -gt 0 ] && shift
least=85
flags="-fprofile-instr-generate -fcoverage-mapping"
cmake -G Ninja -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSTOCKADE_FUZZ=ON -DSTOCKADE_TESTS=OFF \
  -DCMAKE_C_COMPILER="${CC:-clang-19}" -DCMAKE_CXX_COMPILER="${CXX:-clang++-19}" -DCMAKE_CXX_FLAGS="$flags" >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }
rm -f "$build.log"
failed=0
for source in "$root"/fuzz/*_fuzz.cc; do
  name=$(basename "$source" .cc)
  short=${name%_fuzz}
  if [ $# -gt 0 ]; then case " $* " in *" $short "*) ;; *) continue ;; esac; fi
  files=$(sed -n 's|^// covers: *||p' "$source" | tr '\n' ' ')
  [ -n "$files" ] || { echo "$short: no \"covers:\" line"; continue; }
  cmake --build "$build" --target "$name" -j 2 >"$build/$name.log" 2>&1 || { tail -20 "$build/$name.log"; failed=1; continue; }
  work=$build/corpus-$short
  mkdir -p "$work"
  dictionary=
  [ -f "$root/fuzz/$short.dict" ] && dictionary=-dict=$root/fuzz/$short.dict
  if [ "${SECONDS_EACH:-0}" -gt 0 ]; then
    "$build/fuzz/$name" -max_total_time="$SECONDS_EACH" -max_len=4096 ${dictionary:+"$dictionary"} "$work" "$root/fuzz/corpus/$short" >"$build/$name.log" 2>&1 ||
      { tail -20 "$build/$name.log"; failed=1; continue; }
  fi
  LLVM_PROFILE_FILE=$build/$name.profraw "$build/fuzz/$name" -runs=0 "$work" "$root/fuzz/corpus/$short" >"$build/$name.log" 2>&1 ||
    { tail -20 "$build/$name.log"; failed=1; continue; }
  "${LLVM_PROFDATA:-llvm-profdata-19}" merge -sparse "$build/$name.profraw" -o "$build/$name.profdata"
  # shellcheck disable=SC2086 # the files are separate words
  report=$(cd "$root" && "${LLVM_COV:-llvm-cov-19}" report "$build/fuzz/$name" -instr-profile="$build/$name.profdata" $files)
  percent=$(printf '%s\n' "$report" | awk '$1 == "TOTAL" { sub("%", "", $10); print $10 }')
  printf '%s: %s %% of the lines of %s\n' "$short" "$percent" "$files"
  awk -v p="$percent" -v l="$least" 'BEGIN { exit !(p + 0 < l) }' && { printf '%s\n' "$report"; failed=1; }
done
exit $failed
