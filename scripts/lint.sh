#!/usr/bin/env bash
# What `make lint` holds: include order, formatting, shell and Python syntax, clang-tidy.
#   scripts/lint.sh [--changed] [FILE…]   --changed: clang-tidy only what differs from the main branch; FILE…: only these
# TIDY_JOBS (default 2) and BUILD (default build) override.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
jobs=${TIDY_JOBS:-2}
failed=()
step() {  # NAME COMMAND…: runs it and remembers that it failed
  local name=$1
  shift
  if "$@"; then echo "lint: $name: ok"; else echo "lint: $name: FAILED" && failed+=("$name"); fi
}
sources() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r file; do [[ -f $file ]] && echo "$file"; done; }

shell_syntax() {
  local file bad=0
  for file in $(sources | xargs grep -lIE '^#!.*\b(ba)?sh\b' 2>/dev/null); do bash -n "$file" || bad=1; done
  return $bad
}
python_syntax() {
  sources '*.py' | xargs -r python3 -c 'import ast, sys
for name in sys.argv[1:]: ast.parse(open(name).read(), name)'
}
whitespace() { ! sources '*.cc' '*.h' '*.c' '*.md' '*.sh' '*.py' '*.yaml' '*.cmake' | xargs grep -nE '[[:space:]]+$' /dev/null; }
formatting() {
  local bad
  bad=$(sources '*.cc' '*.h' | xargs -r clang-format-19 --dry-run 2>&1 | sed -nE 's/^([^ :]+):[0-9]+:[0-9]+: .*/\1/p' | sort | uniq -c)
  [[ -z $bad ]] || { printf 'clang-format-19 would change (places, file):\n%s\n' "$bad"; return 1; }
}

# The files to tidy, among those that the build knows: a file without a compile command can't be judged.
to_tidy() {
  case "${1-}" in
    --changed) { git diff --name-only --diff-filter=d "$(git merge-base HEAD "${LINT_BASE:-origin/main}")"; git ls-files --others --exclude-standard; } | grep -E '\.cc$' ;;
    '') sources 'src/*.cc' ;;
    *) printf '%s\n' "$@" ;;
  esac | sort -u | while read -r file; do grep -qF "/$file\"" "$build/compile_commands.json" && echo "$file"; done || true
}
# g++ compiles, clang judges: what only g++ knows of is not clang's to complain about.
tidy() { xargs -r -P "$jobs" -n 4 clang-tidy-19 -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option 2> >(grep -v 'warnings generated\|Suppressed\|Use -header-filter' >&2); }

step "include order" scripts/check_includes.py
step "shell syntax" shell_syntax
step "python syntax" python_syntax
step "whitespace" whitespace
step "formatting" formatting
if [[ ! -f $build/compile_commands.json ]]; then
  echo "lint: clang-tidy needs $build/compile_commands.json: run 'make build' first"
  failed+=(clang-tidy)
else
  step "clang-tidy" tidy < <(to_tidy "$@")
fi
[[ ${#failed[@]} == 0 ]] || { echo "lint: failed: ${failed[*]}"; exit 1; }
