#!/bin/sh
# Builds every parser with a bug planted on purpose (STOCKADE_PLANTED_BUG) and shows that its fuzzer finds it, starting from
# the committed corpus, within SECONDS_EACH (default 60). Exit 1 when a bug was not found. A fuzzer takes part when one of
# the files in its "// covers:" line has a planted bug.
#   fuzz/planted.sh [BUILD_FOLDER] [FUZZER…]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
build=${1:-$root/build/fuzz-planted}
[ $# -gt 0 ] && shift
cmake -G Ninja -S "$root" -B "$build" -DCMAKE_BUILD_TYPE=Release -DSTOCKADE_FUZZ=ON -DSTOCKADE_PLANTED_BUG=ON \
  -DSTOCKADE_TESTS=OFF -DCMAKE_C_COMPILER="${CC:-clang-19}" -DCMAKE_CXX_COMPILER="${CXX:-clang++-19}" >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }
rm -f "$build.log"
failed=0
for source in "$root"/fuzz/*_fuzz.cc; do
  name=$(basename "$source" .cc)
  short=${name%_fuzz}
  if [ $# -gt 0 ]; then case " $* " in *" $short "*) ;; *) continue ;; esac; fi
  files=$(sed -n 's|^// covers: *||p' "$source" | tr '\n' ' ')
  # shellcheck disable=SC2086 # the files are separate words
  if [ -z "$files" ] || ! (cd "$root" && grep -q STOCKADE_PLANTED_BUG $files); then
    echo "$short: no bug planted"
    continue
  fi
  cmake --build "$build" --target "$name" -j 2 >"$build/$name.log" 2>&1 || { tail -20 "$build/$name.log"; failed=1; continue; }
  work=$build/corpus-$short
  rm -rf "$work"
  mkdir -p "$work"
  dictionary=
  [ -f "$root/fuzz/$short.dict" ] && dictionary=-dict=$root/fuzz/$short.dict
  start=$(date +%s)
  if "$build/fuzz/$name" -max_total_time="${SECONDS_EACH:-60}" -max_len=4096 ${dictionary:+"$dictionary"} -artifact_prefix="$work/" "$work" \
      "$root/fuzz/corpus/$short" >"$build/$name.log" 2>&1; then
    echo "$short: NOT found"
    failed=1
  else
    echo "$short: found after $(($(date +%s) - start)) s: $(grep -m1 -E '^SUMMARY' "$build/$name.log" | cut -c1-160)"
  fi
done
exit $failed
