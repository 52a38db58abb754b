#!/usr/bin/env python3
"""Checks that a folder of src/ includes only the folders above it (docs/architecture.md), and that sandbox and egress
never see each other. Exit 1 and a line for each breach."""
import pathlib
import re
import sys

ORDER = ["base", "loop", "policy", "event", "net", "inspect", "model", "sandbox", "terminal", "egress", "monitor",
         "supervisor", "cli"]
NEVER = {("sandbox", "egress"), ("egress", "sandbox")}
INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/')


def breaches(root):
    for path in sorted(root.glob("*/*.[ch]*")):
        folder = path.parent.name
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match or match[1] not in ORDER:
                continue
            if ORDER.index(match[1]) > ORDER.index(folder) or (folder, match[1]) in NEVER:
                yield f"{path}:{number}: {folder} may not include {match[1]}"


def main():
    found = list(breaches(pathlib.Path(__file__).resolve().parent.parent / "src"))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
