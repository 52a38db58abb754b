#!/usr/bin/env bash
# Removes exactly what `make install` wrote below PREFIX, by the list that it left there, and the directories that are
# empty then. Runs, logs, policies and keys of people (docs/architecture.md, "Where things are") stay.
#   scripts/uninstall.sh PREFIX
set -euo pipefail
prefix=${1:?"usage: $0 PREFIX (as it was given to 'make install')"}
list=$prefix/share/stockade/installed
if [[ ! -f $list ]]; then
  echo "uninstall: nothing was installed below $prefix ($list is not there)" >&2
  exit 1
fi
mapfile -t files <"$list"
for file in "${files[@]}"; do
  if [[ -z $file || $file == /* || /$file/ == */../* ]]; then
    echo "uninstall: $list names '$file', which is not below $prefix; nothing was removed" >&2
    exit 1
  fi
done
for file in "${files[@]}" share/stockade/installed; do rm -f -- "$prefix/$file"; done
for file in "${files[@]}"; do
  folder=$(dirname "$file")
  # Only directories that bear our name are ours to remove.
  while [[ $folder == */stockade || $folder == */stockade/* ]]; do
    rmdir -- "$prefix/$folder" 2>/dev/null || break
    folder=$(dirname "$folder")
  done
done
