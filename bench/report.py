"""Turns what was measured into docs/benchmarks.md: ratios first, beside the targets, met or not."""
import datetime
import os
import pathlib
import platform
import subprocess


def version(*words):
    try:
        return (subprocess.run(words, capture_output=True, text=True, timeout=20).stdout.strip().splitlines() or ["?"])[0]
    except (OSError, subprocess.TimeoutExpired):
        return "not installed"


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = next((line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")), platform.machine())
    memory = int(pathlib.Path("/proc/meminfo").read_text().split()[1]) / (1 << 20)
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, measured, target=None, met=None):
        verdict = "" if met is None else ("yes" if met else "**no**")
        self.rows.append((what, measured, target or "", verdict))

    def markdown(self):
        lines = ["| what | measured | target | met |", "| --- | --- | --- | --- |"]
        return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in self.rows])


def start_rows(table, start):
    targets = {"root": ("bwrap", 1.0), "user": ("bwrap", 1.0), "crun": ("crun", 1 / 3), "srt": ("srt", 1 / 25)}
    names = {"bwrap": "`bwrap --unshare-all`", "crun": "`crun run`", "srt": "`@anthropic-ai/sandbox-runtime`"}
    for key, (peer, target) in targets.items():
        if key not in start:
            table.add(f"start to finish, beside {names[peer]}", f"not measured: {start['skipped'].get(peer, '')}", f"≤ {target:.2f}×")
            continue
        ours, theirs = start[key]["stockade"], start[key][peer]
        ratio = ours["median"] / theirs["median"]
        who = "as a user" if key == "user" else "as root"
        table.add(f"start to finish, beside {names[peer]}, {who}",
                  f"{ratio:.2f}× ({ours['median']:.1f} / {theirs['median']:.1f} ms, n = {ours['rounds']}; fastest {ours['min']:.1f} / {theirs['min']:.1f})",
                  f"≤ {target:.2f}×", ratio <= target)


def egress_rows(table, egress):
    for connections in (1, 64):
        pair = egress[f"stream_{connections}"]
        ratio = pair["stockade"] / pair["haproxy"]
        table.add(f"passthrough, {connections} connection{'s' if connections > 1 else ''}, beside HAProxy with splice",
                  f"{ratio:.2f}× ({pair['stockade'] / 1e6:.0f} / {pair['haproxy'] / 1e6:.0f} MB/s)", "≥ 0.90×", ratio >= 0.9)
    rate = egress["rate"]
    for key, label, target in (("stockade", "new connections", 0.5), ("programs", "new connections, with a `programs` rule", 0.4)):
        ratio = rate[key] / rate["haproxy"]
        table.add(f"{label}, beside HAProxy", f"{ratio:.2f}× ({rate[key]:.0f} / {rate['haproxy']:.0f} a second)", f"≥ {target:.2f}×", ratio >= target)
    for side in ("stockade", "haproxy"):
        idle = egress["idle"][side]
        each = (idle["processes"] + idle["kernel"]) / 1024
        met = each <= 12 and idle["taken"] == 9000 if side == "stockade" else None
        table.add(f"an idle connection of {idle['taken']:,}, {side}", f"{each:.1f} KiB (processes {idle['processes'] / 1024:.1f}, kernel {idle['kernel'] / 1024:.1f})",
                  "≤ 12 KiB" if side == "stockade" else None, met)


def inspection_rows(table, search):
    table.add(f"search for secrets, {search['rules']} rules: process start to first clean request",
              f"median {search['first_ms']:.1f} ms, least {search['first_least_ms']:.1f}; processor time {search['first_processor_ms']:.1f}", "< 10 ms", search["first_ms"] < 10)
    table.add("memory of its own that it takes for that", f"{search['first_kib']} KiB")
    for kind, label in (("answer", "a model's answer"), ("source", "source code")):
        rate = search[f"prefilter_{kind}_gbs"]
        table.add(f"search for secrets, first stage, {label}", f"{rate:.2f} GB/s", "≥ 1 GB/s", rate >= 1)
    table.add("search for secrets, clean answer of 1 and 100 kB", f"{search['answer_1k_us']:.1f}, {search['answer_100k_us']:.0f} µs")
    for kind, label in (("answer", "a model's answer"), ("source", "source code")):
        cost = search[f"{kind}_10k_us"]
        table.add(f"search for secrets, clean 10 kB of {label}", f"{cost:.1f} µs", "≤ 40 µs", cost <= 40)


def control_rows(table, control):
    parts = control["pss_kib"]
    total = sum(parts.values()) / 1024
    table.add("supervisor, inspector and dialer, proportional set size",
              f"{total:.1f} MiB (" + ", ".join(f"{name} {value / 1024:.1f}" for name, value in parts.items()) + ")", "≤ 12 MiB", total <= 12)
    kill = control["kill"]
    ten, bomb, command, podman = kill["ten"], kill["bomb"], kill["ten_by_command"], control["podman"]
    table.add("kill, ten processes", f"median {ten['median']:.1f} ms, worst {ten['worst']:.1f} (n = {ten['rounds']})", "median < 3 ms", ten["median"] < 3)
    table.add("kill, fork bomb at 256", f"median {bomb['median']:.1f} ms, worst {bomb['worst']:.1f} (n = {bomb['rounds']})",
              "median < 40, worst < 100 ms", bomb["median"] < 40 and bomb["worst"] < 100)
    for label, key in (("ten processes", "ten"), ("fork bomb at 256", "bomb")):
        one = control["kill_user"][key]
        table.add(f"kill, {label}, ordinary user without a cgroup", f"median {one['median']:.1f} ms, worst {one['worst']:.1f} (n = {one['rounds']})")
    beside = podman.get("skipped") or f"median {podman['median']:.1f} ms, worst {podman['worst']:.1f} (n = {podman['rounds']})"
    table.add("`stockade kill`, ten processes, with the command's own start", f"median {command['median']:.1f} ms")
    table.add("`podman kill`, ten processes, with the command's own start", beside)


def tick_rows(table, ticks):
    for label, tick in ticks.items():
        table.add(f"1 ms timer outside, inside: {label}", f"p99 {tick['p99']:.1f} ms, worst {tick['max']:.1f} ({tick['ticks']} ticks)",
                  None if label == "nothing" else "p99 < 50 ms", None if label == "nothing" else tick["p99"] < 50)


def scale_rows(table, scale):
    time_ratio, memory_ratio = scale["last_ms"] / scale["first_ms"], scale["last_kib"] / scale["first_kib"]
    count = scale["count"]
    table.add(f"{count} sandboxes at once: failures", str(scale["failures"]), "0", scale["failures"] == 0)
    table.add(f"start to ready, last ten of {count} beside the first ten", f"{time_ratio:.2f}× ({scale['last_ms']:.1f} / {scale['first_ms']:.1f} ms)", "≤ 1.50×", time_ratio <= 1.5)
    table.add(f"proportional set size, last ten of {count} beside the first ten",
              f"{memory_ratio:.2f}× ({scale['last_kib'] / 1024:.1f} / {scale['first_kib'] / 1024:.1f} MiB)", "≤ 1.50×", memory_ratio <= 1.5)
    table.add(f"end of all {count}", f"{scale['end_all_seconds']:.1f} s")


COUNTED = """## What was counted

- **Start**: fork to wait of the whole command, stdout and stdin to /dev/null, each side once a round, in turn. Stockade has one allowed
  host, its log on, and its policy's three tests run; bubblewrap has the same trees of /usr and /etc as binds, crun the same
  and moby's seccomp profile (as containers-common ships it), memory, pids and cpu limits.
- **Orders to a model** (`inspect/injection.h`): 1,800 orders of templates held out, 12 classes in 12 languages, and 11,337 harmless
  texts of packages held out: 83.1 % on average over the classes, least 70.7 % (secrecy), at 1.2 % false positives (target 95 %, 70 %,
  1 %: **the average is missed**); of 118 attacks of another author 81.4 %. Commands, classes and how far to believe it:
  `tests/corpora/injection/README.md`.
- **Network**: one client and one server of our own (`bench/traffic.cc`), each one thread. Stockade's client runs inside `stockade run`
  and looks its name up through the inspector; HAProxy's runs in a namespace with nothing but lo, in which HAProxy (one thread,
  TCP mode, `splice-auto`) listens; both connect on from the same namespace over the same veth. Close is a reset on both sides.
  Medians of rounds that take turns.
- **Idle connections**: growth of the proportional set size of our processes (inspector, dialer and whoever holds the log; here
  `bench/egress_bench.cc`, the same workers without the sandbox), and half of the growth of the kernel's socket caches
  (of four sockets a connection two are the proxy's), read from /proc/slabinfo.
- **Search for secrets** (`bench/inspect_bench.cc`): from the spawn of a static process to its end; it makes the engine with 20 known
  values and inspects path, a field and a body of 1 kB. Its own memory is what it wrote to (Anonymous); the compiled rules
  are constant data of the program, mapped from its file and shared by all runs. The others are processor time, best of many
  rounds; the first stage is all patterns at once, over 1 MiB.
- **Kill**: from the request on an open control socket to the end of the sandbox's init, which the kernel reports only when every
  process of its pid namespace was reaped. An ordinary user without a cgroup of their own has no cgroup.kill: init is
  killed, and with it, one by one, all of its namespace; the bomb forks on until then. What was measured is written down.
- **Timer**: how late a 1 ms timer of an ordinary process outside was, from arming to waking, while one run did its worst.
- **Many sandboxes**: each prints a line when it runs; from `fork` of `stockade run` to that line, with all earlier ones alive.
"""


def write(path, start, egress, search, control, scale, notes):
    table = Table()
    start_rows(table, start)
    egress_rows(table, egress)
    inspection_rows(table, search)
    control_rows(table, control)
    tick_rows(table, control["ticks"])
    scale_rows(table, scale)
    peers = ", ".join([version("bwrap", "--version"), version("crun", "--version"), version("haproxy", "-v"), version("podman", "--version")])
    load = " ".join(note.rstrip(".") + "." for note in notes)
    text = f"""# Benchmarks

Written by `make bench` (`bench/run`) on {datetime.date.today()}. {machine()}. Peers: {peers}.
{load}

{table.markdown()}

{COUNTED}"""
    path.write_text(text)
    return table
