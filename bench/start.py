"""Start to finish of /bin/true: Stockade with one allowed host, its log and its policy's tests, beside bubblewrap with the
same trees as binds, crun with moby's seccomp profile and limits, and npm's @anthropic-ai/sandbox-runtime."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

USER = 12345
ETC = ("alternatives", "ld.so.cache", "nsswitch.conf", "localtime", "os-release", "services", "protocols", "mime.types",
       "fonts", "ssl", "passwd", "group", "hosts", "resolv.conf")
SECCOMP_PROFILES = ("/usr/share/containers/seccomp.json", "/etc/containers/seccomp.json")
HERE = pathlib.Path(__file__).resolve().parent

POLICY = """version: 1
sandbox: { memory: 512MiB, pids: 256 }
network:
  resolver: 127.0.0.1:53
  allow:
    - { host: api.example.com, ports: [443], tls: passthrough }
files:
  - { host: %s, access: write }
tests:
  - { connect: "api.example.com:443", expect: allow }
  - { connect: "evil.example:443", expect: deny }
  - { read: ~/.ssh/id_ed25519, expect: deny }
"""


def merged_links():
    """/bin, /lib … as they are on this host: links into /usr."""
    return [(name, os.readlink(f"/{name}")) for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32") if os.path.islink(f"/{name}")]


def bubblewrap(work):
    words = ["bwrap", "--unshare-all", "--ro-bind", "/usr", "/usr"]
    for name, target in merged_links():
        words += ["--symlink", target, f"/{name}"]
    for name in ETC:
        if os.path.exists(f"/etc/{name}"):
            words += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    words += ["--tmpfs", "/tmp", "--tmpfs", "/var/tmp", "--tmpfs", "/home/agent", "--proc", "/proc", "--dev", "/dev"]
    return words + ["--bind", str(work), str(work), "--chdir", str(work), "/bin/true"]


def crun_bundle(folder, work):
    """`crun spec`, with the same trees, moby's profile as containers/common ships it, and the limits of the policy."""
    bundle = folder / "bundle"
    (bundle / "rootfs").mkdir(parents=True)
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    config = json.loads((bundle / "config.json").read_text())
    for name, target in merged_links():
        (bundle / "rootfs" / name).symlink_to(target)
    config["process"].update(args=["/bin/true"], terminal=False, cwd="/")
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}]
    config["root"] = {"path": "rootfs", "readonly": False}
    paths = ["/usr", *[f"/etc/{name}" for name in ETC if os.path.exists(f"/etc/{name}")]]
    binds = [{"destination": path, "type": "none", "source": path, "options": ["rbind", "ro"]} for path in paths]
    binds += [{"destination": path, "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev"]}
              for path in ("/tmp", "/var/tmp", "/home/agent")]
    binds.append({"destination": str(work), "type": "none", "source": str(work), "options": ["rbind"]})
    config["mounts"] += binds
    config["linux"]["resources"] = {"memory": {"limit": 512 << 20}, "pids": {"limit": 256}, "cpu": {"quota": 100000, "period": 100000}}
    config["linux"]["seccomp"] = moby_profile(config["process"]["capabilities"]["bounding"])
    (bundle / "config.json").write_text(json.dumps(config))
    return bundle


def moby_profile(capabilities):
    """The profile's rules that hold for x86-64 and these capabilities, in the form of an OCI configuration."""
    path = next((path for path in SECCOMP_PROFILES if os.path.exists(path)), None)
    if path is None:
        raise RuntimeError("no containers seccomp.json (package golang-github-containers-common or containers-common)")
    profile = json.loads(pathlib.Path(path).read_text())
    rules = []
    for rule in profile["syscalls"]:
        include, exclude = rule.get("includes") or {}, rule.get("excludes") or {}
        if include.get("arches") and not {"amd64", "x86"} & set(include["arches"]):
            continue
        if not set(include.get("caps", [])) <= set(capabilities) or set(exclude.get("caps", [])) & set(capabilities):
            continue
        if {"amd64", "x86"} & set(exclude.get("arches", [])):
            continue
        kept = {"names": rule["names"], "action": rule["action"]}
        if rule.get("args"):
            kept["args"] = [{key: value for key, value in argument.items() if value is not None} for argument in rule["args"]]
        if rule.get("errnoRet") is not None:
            kept["errnoRet"] = rule["errnoRet"]
        rules.append(kept)
    return {"defaultAction": profile["defaultAction"], "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": rules}


@contextlib.contextmanager
def without_unified_cgroups():
    """A mount namespace for crun, which refuses hybrid cgroups. Gives the pid of its holder, or None where none is needed."""
    if not os.path.ismount("/sys/fs/cgroup/unified"):
        yield None
        return
    holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c",
                               "umount /sys/fs/cgroup/unified && echo ready && exec cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if holder.stdout.readline().strip() != "ready":
            raise RuntimeError("cannot take the unified cgroups out of crun's sight")
        yield holder.pid
    finally:
        holder.stdin.close()
        holder.wait(timeout=10)


def sandbox_runtime(folder):
    """(command, None) or (None, why not). STOCKADE_BENCH_SRT names one that is installed elsewhere."""
    program = pathlib.Path(os.environ.get("STOCKADE_BENCH_SRT", HERE / "node_modules/.bin/srt"))
    if not program.exists():
        return None, "not installed: npm install --prefix bench"
    missing = [tool for tool in ("socat", "rg", "bwrap") if shutil.which(tool) is None]
    if missing:
        return None, "it needs " + ", ".join(missing)
    settings = folder / "srt.json"
    settings.write_text(json.dumps({
        "network": {"allowedDomains": ["api.example.com"], "deniedDomains": []},
        "filesystem": {"denyRead": [], "allowWrite": [str(folder / "work")], "denyWrite": []}}))
    settings.chmod(0o644)
    return [str(program), "--settings", str(settings), "/bin/true"], None


class Place:
    """A work folder, a policy, and a home for one user."""

    def __init__(self, folder, user):
        self.user = user
        self.work = folder / "work"
        self.home = folder / "home"
        self.policy = folder / "policy.yaml"
        for path in (self.work, self.home):
            path.mkdir()
            os.chown(path, user, user)
        # A login session's: on a tmpfs.
        self.runtime = tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/dev/shm")
        os.chown(self.runtime.name, user, user)
        self.policy.write_text(POLICY % self.work)
        os.chown(self.policy, user, user)
        ripgrep = shutil.which("rg")  # the sandbox-runtime needs it in PATH
        self.ripgrep = ":" + os.path.dirname(ripgrep) if ripgrep else ""

    def environment(self):
        return ["env", "-i", f"PATH=/usr/local/bin:/usr/bin:/bin{self.ripgrep}", f"HOME={self.home}", "LANG=C.UTF-8",
                f"XDG_STATE_HOME={self.home}/state", f"XDG_RUNTIME_DIR={self.runtime.name}"]

    def stockade(self, program, *words):
        return [str(program), "run", "--quiet", "--policy", str(self.policy), *words]


def interleave(tools, place, rounds, commands):
    """{name: {median, p10, p90, min}}; commands: {name: (words, pid of a mount namespace or None)}."""
    words = [*place.environment(), str(tools / "bench_interleave"), str(rounds)]
    for index, (command, namespace) in enumerate(commands.values()):
        if index:
            words.append("---")
        words += ["--user", str(place.user), "--directory", str(place.work)]
        if namespace:
            words += ["--in", str(namespace)]
        words += ["--", *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return dict(zip(commands, map(json.loads, done.stdout.splitlines())))


def measure(program, tools, rounds=200, slow_rounds=20):
    """Peers whose start takes much longer get fewer rounds, interleaved with the same Stockade."""
    result = {"skipped": {}}
    # One folder for both, and nothing in it is removed meanwhile: ext4 looks through every inode that was freed in the last
    # minutes for each file that is made, and thousands of removed records would be counted as a slow start.
    with without_unified_cgroups() as namespace, tempfile.TemporaryDirectory(prefix="stockade-bench-", dir="/srv") as name:
        pathlib.Path(name).chmod(0o755)
        for label, user in (("root", 0), ("user", USER)):
            folder = pathlib.Path(name) / label
            folder.mkdir(mode=0o755)
            place = Place(folder, user)
            ours = {"stockade": (place.stockade(program, "--", "/bin/true"), None)} if program else {}
            result[label] = interleave(tools, place, rounds, {**ours, "bwrap": (bubblewrap(place.work), None)})
            if label == "user":
                continue
            bundle = crun_bundle(folder, place.work)
            crun = ["crun", "run", "-b", str(bundle), f"stockade-bench-{os.getpid()}"]
            result["crun"] = interleave(tools, place, rounds // 2, {**ours, "crun": (crun, namespace)})
            command, why = sandbox_runtime(folder)
            if command:
                result["srt"] = interleave(tools, place, slow_rounds, {**ours, "srt": (command, None)})
            else:
                result["skipped"]["srt"] = why
    return result


if __name__ == "__main__":
    import sys
    given = None if sys.argv[1] == "-" else pathlib.Path(sys.argv[1])
    print(json.dumps(measure(given, pathlib.Path(sys.argv[2]), *map(int, sys.argv[3:])), indent=1))
