"""Something that runs already, for `stockade attach`: a network namespace with a way into the miniature internet, and a
puppet in it (bare, or in a container that crun made) that does what a test tells it, so that one process lives through
attach and detach."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

PUPPET = """
import json, os, socket, sys
kept = {}
def get(host, port=80, path="/", timeout=30):
    with socket.create_connection((host, port), timeout) as s:
        s.settimeout(timeout)
        s.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
        data = b""
        while chunk := s.recv(65536):
            data += chunk
    return data.decode(errors="replace")
for line in sys.stdin:
    try:
        answer = eval(json.loads(line))
    except BaseException as error:
        answer = "raised " + repr(error)
    print(json.dumps(answer if isinstance(answer, (str, int, list)) else repr(answer)), flush=True)
"""
# As a container engine leaves a process: no capability, and none to be had by executing something.
WITHOUT_PRIVILEGES = ["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--clear-groups"]
UID = 64322


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True)


class Puppet:
    def __init__(self, process):
        self.process = process
        self.pid = process.pid

    def do(self, expression):
        """Evaluates a Python expression in the puppet; an exception becomes the text "raised …"."""
        self.process.stdin.write(json.dumps(expression) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the puppet is dead: {self.process.poll()} {self.process.stderr.read()}"
        return json.loads(line)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


class Town:
    """A network namespace beside the miniature internet's host, which forwards for it: 10.66.0.2 and 2a00:66::2."""

    def __init__(self, internet):
        self.internet = internet
        self.name = f"stk-town-{os.getpid()}"
        self.path = f"/run/netns/{self.name}"
        self.folder = internet.path
        self.puppets = []

    def __enter__(self):
        host = self.internet.host
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")
        ip("-n", self.name, "link", "add", "eth0", "type", "veth", "peer", "name", "town0", "netns", host)
        ip("-n", host, "addr", "add", "10.66.0.1/24", "dev", "town0")
        ip("-n", host, "addr", "add", "2a00:66::1/64", "dev", "town0", "nodad")
        ip("-n", host, "link", "set", "town0", "up")
        ip("-n", self.name, "addr", "add", "10.66.0.2/24", "dev", "eth0")
        ip("-n", self.name, "addr", "add", "2a00:66::2/64", "dev", "eth0", "nodad")
        ip("-n", self.name, "link", "set", "eth0", "up")
        ip("-n", self.name, "route", "add", "default", "via", "10.66.0.1")
        ip("-n", self.name, "-6", "route", "add", "default", "via", "2a00:66::1")
        # What detaching must not lose: routes of every kind, a rule, a table of somebody's own.
        ip("-n", self.name, "route", "add", "20.9.0.0/16", "via", "10.66.0.1", "metric", "50")
        ip("-n", self.name, "route", "add", "20.9.9.9/32", "dev", "eth0", "scope", "link")
        ip("-n", self.name, "route", "add", "default", "via", "10.66.0.1", "table", "77")
        ip("-n", self.name, "rule", "add", "fwmark", "7", "lookup", "77")
        self.inside("nft", "add table ip mine; add chain ip mine out { type filter hook output priority 0; }; "
                           "add rule ip mine out ip daddr 192.0.2.1 counter drop")
        self.internet.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        ip("-n", self.internet.inet, "route", "add", "10.66.0.0/24", "via", "20.0.0.2")
        (self.folder / "resolv.conf").write_text("nameserver 20.0.0.1\n")
        (self.folder / "resolv.conf").chmod(0o644)
        self.settle()
        return self

    def settle(self):
        """Until the kernel has given its link-local addresses, and nothing of it changes by itself any more."""
        end = time.monotonic() + 60
        while "tentative" in self.look() or "fe80" not in self.look():
            assert time.monotonic() < end, self.look()
            time.sleep(0.05)

    def __exit__(self, *_):
        for puppet in self.puppets:
            puppet.close()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        subprocess.run(["ip", "-n", self.internet.inet, "route", "del", "10.66.0.0/24"], capture_output=True)
        subprocess.run(["ip", "-n", self.internet.host, "link", "del", "town0"], capture_output=True)

    def inside(self, *command):
        return subprocess.run(["nsenter", f"--net={self.path}", *command], check=True, capture_output=True, text=True).stdout

    def look(self):
        """All that a namespace's network is made of, as text."""
        texts = [self.inside("ip", "-d", *words) for words in (
            ["addr"], ["link"], ["route", "show", "table", "all"], ["-6", "route", "show", "table", "all"], ["rule"],
            ["-6", "rule"], ["netns", "list-id"])]
        texts.append(self.inside("nft", "list", "ruleset"))
        done = subprocess.run(["nsenter", f"--net={self.path}", "sysctl", "-a", "-r", r"^net\."], capture_output=True, text=True)
        texts.append("\n".join(line for line in done.stdout.splitlines() if "nf_conntrack_count" not in line))
        return "\n".join(texts)

    def wait_until_as(self, before, deadline=60.0):
        end = time.monotonic() + deadline
        while self.look() != before and time.monotonic() < end:
            time.sleep(0.02)
        assert self.look() == before

    def start(self, privileges=None, wrapper=(), uid=UID):
        """A puppet with its own resolv.conf; `privileges`: setpriv's words instead of none at all."""
        words = WITHOUT_PRIVILEGES if privileges is None else privileges
        if uid is not None and words and words[0] == "setpriv":
            words = [*words, f"--reuid={uid}", f"--regid={uid}"]
        script = f"mount --bind {self.folder}/resolv.conf /etc/resolv.conf; exec \"$@\""
        return self.adopt(["nsenter", f"--net={self.path}", "unshare", "-m", "sh", "-c", script, "sh", *wrapper, *words,
                           sys.executable, "-c", PUPPET])

    def adopt(self, command):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        puppet = Puppet(process)
        self.puppets.append(puppet)
        assert puppet.do("1 + 1") == 2
        return puppet

    def start_container(self, name):
        """The same puppet in a container of crun's, in this network. crun 1.8 refuses hybrid cgroups, so it sees v1 alone."""
        bundle = self.folder / name
        rootfs = bundle / "rootfs"
        for folder in ("usr", "proc", "etc", "dev", "tmp"):
            (rootfs / folder).mkdir(parents=True)
        for link in ("bin", "lib", "lib64", "sbin"):
            (rootfs / link).symlink_to(f"usr/{link}")
        shutil.copy(self.folder / "resolv.conf", rootfs / "etc/resolv.conf")
        subprocess.run(["crun", "spec"], cwd=bundle, check=True)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"].update(terminal=False, args=["/usr/bin/python3", "-c", PUPPET], rlimits=[])
        spec["root"] = {"path": "rootfs", "readonly": False}
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] in ("/proc", "/dev")]
        spec["mounts"].append({"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]})
        for space in spec["linux"]["namespaces"]:
            if space["type"] == "network":
                space["path"] = self.path
        spec["linux"].pop("resources", None)
        (bundle / "config.json").write_text(json.dumps(spec))
        hide = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\""
        puppet = self.adopt(["unshare", "-m", "--propagation", "private", "sh", "-c", hide, "sh", "crun", "run", "-b", str(bundle),
                             name])
        return puppet


def processes_of(supervisor):
    """The attachment's own processes by name: supervisor and workers, whose parent it is."""
    found = {"supervisor": supervisor}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
        if int(rest[1]) == supervisor and rest[0] != "Z":
            found[name] = int(entry.name)
    return found
