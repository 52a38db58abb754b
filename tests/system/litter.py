"""What a run must not leave on the host. `litter.py save FILE` notes what is there, `litter.py check FILE` compares.

Looked at: processes of the program or of its sandboxes, mounts, cgroups, network namespaces, nft tables, temporary files.
Only what bears our names, or is of a kind that only we make here, so that a busy machine gives no false alarm."""
import json
import os
import pathlib
import subprocess
import sys
import time

PATIENCE = 30.0  # a killed process's cgroup and namespaces go a moment after it; what others test, when their test ends


def processes():
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
            name = (entry / "comm").read_text().strip()
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if os.path.basename(command) == "stockade" or name.startswith("stockade"):
            found.add(f"process {entry.name} ({name}, {state})")
    return found


def mounts():
    lines = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    return {"mount " + " ".join(line.split()[3:5]) for line in lines if "stockade" in line}


def cgroups():
    found = set()
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found.update(f"cgroup {folder}/{name}" for name in names if name.startswith("stockade-"))
    return found


def namespaces():
    folder = pathlib.Path("/run/netns")
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    # stk-KIND-PID-…: one of another test session that still runs is no litter of ours.
    return {f"network namespace {name}" for name in names if name.startswith("stk-") and not is_of_another(name.split("-")[2])}


def is_of_another(pid):
    return pid != str(os.getpid()) and pathlib.Path("/proc", pid).exists()


def nft_tables():
    if os.geteuid() != 0:
        return set()
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True)
    return {f"nft {line}" for line in done.stdout.splitlines() if line}


def files():
    found = set()
    for folder in ("/tmp", "/var/tmp", "/dev/shm", "/run"):
        path = pathlib.Path(folder)
        if path.is_dir():
            found.update(f"file {entry}" for entry in path.iterdir() if entry.name.startswith("stockade"))
    return found


def look():
    return processes() | mounts() | cgroups() | namespaces() | nft_tables() | files()


def left_since(before):
    """What is there now and was not there then, once what is on its way out has had time to go. What comes later is not
    looked at: it is another test session's."""
    end = time.monotonic() + PATIENCE
    left = look() - before
    while left and time.monotonic() < end:
        time.sleep(0.1)
        left &= look()
    return sorted(left)


def main():
    action, path = sys.argv[1], pathlib.Path(sys.argv[2])
    if action == "save":
        path.write_text(json.dumps(sorted(look())))
        return 0
    left = left_since(set(json.loads(path.read_text())))
    for item in left:
        print(f"left behind: {item}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
