"""Client libraries of Python and Node that the tests drive, installed once into build/clients from tests/clients."""
import fcntl
import pathlib
import shutil
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "tests" / "clients"
FOLDER = REPOSITORY / "build" / "clients"
NAMES = ("package.json", "package-lock.json", "requirements.txt")


def install(out=sys.stderr):
    """Installs what the lock files name, unless that is there already. Fails with npm's or pip's own words."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = FOLDER / "installed"
        wanted = b"".join((SOURCE / name).read_bytes() for name in NAMES)
        if installed.exists() and installed.read_bytes() == wanted:
            return FOLDER
        print("installing client libraries (pip and npm, about 30 MB) …", file=out, flush=True)
        for name in NAMES:
            shutil.copy(SOURCE / name, FOLDER / name)
        shutil.rmtree(FOLDER / "python", ignore_errors=True)
        subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "-q", "--no-deps", "--root-user-action=ignore", "--target", "python",
                        "-r", "requirements.txt"], cwd=FOLDER, check=True, stdout=out, stderr=out)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=FOLDER, check=True, stdout=out, stderr=out)
        installed.write_bytes(wanted)
    return FOLDER
