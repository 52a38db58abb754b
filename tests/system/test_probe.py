"""stockade probe: all attacks hold, as root and as an ordinary user, and the right ones succeed without each wall."""
import json
import os
import shutil
import subprocess
import tempfile

import pytest
from person import ORDINARY_UID, PROGRAM

BUILD = PROGRAM.parent
LIMITS = {"fill_disk", "fill_inodes", "take_memory"}
SECCOMP = {"keyctl_session", "add_key_user", "int80", "name_to_handle", "setuid_chmod", "vmsplice", "mptcp", "socket_filter"}
FILES = {"read_outside", "write_outside", "write_read_only", "read_output", "list_output", "read_hidden", "write_git_hook",
         "socket_below_read", "socket_below_write"}
NETWORK = {"raw_address", "ipv6_literal", "metadata_address", "udp_packet", "dns_tunnel", "other_host", "abstract_socket"}
WITHOUT = {
    "tools": {"memfd_exec", "run_unlisted", "run_by_loader", "run_copy"},
    "seccomp": SECCOMP,
    "capabilities": {"capabilities", "new_privileges"},
    "mounts": {"kallsyms", "proc_keys"},
    "process": {"core_dump", "inherited_signals"},
    "limits": LIMITS,
    "sandbox": SECCOMP | LIMITS | {"capabilities", "kallsyms", "core_dump"},
    "network": NETWORK,
    "data": FILES,
    "monitor": {"read_state", "write_state", "outlast_time"},
}


@pytest.fixture
def home():
    with tempfile.TemporaryDirectory() as path:
        os.chown(path, ORDINARY_UID, -1)
        # A place that the other user can reach, whatever the modes above the build folder are.
        for name in ("stockade", "stockade-worker", "stockade-probe-victims"):
            shutil.copy(BUILD / name, path)
        os.chmod(path, 0o755)
        yield path


def probe(home, uid, *arguments):
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home}
    become = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
    done = subprocess.run([f"{home}/stockade", "probe", "--json", *arguments], cwd=home, env=variables, capture_output=True,
                          text=True, timeout=120, **become)
    assert done.stdout, done.stderr
    rows = json.loads(done.stdout)["rows"]
    return done.returncode, {row["attack"]: row for row in rows}


def test_all_attacks_hold(home, uid):
    status, rows = probe(home, uid)
    assert [row for row in rows.values() if row["verdict"] == "broken"] == []
    assert sum(row["verdict"] == "not-applicable" for row in rows.values()) <= 12
    assert len(rows) >= 130 and status == 0
    assert {row["wall"] for row in rows.values()} == {"tools", "sandbox", "network", "data", "monitor"}


@pytest.mark.parametrize("wall", WITHOUT)
def test_the_right_attacks_succeed_without_a_wall(home, uid, wall):
    status, rows = probe(home, uid, "--without", wall)
    broken = {name for name, row in rows.items() if row["verdict"] == "broken"}
    assert status == 1
    assert WITHOUT[wall] <= broken
    if wall in ("tools", "network", "data", "monitor"):
        assert broken <= WITHOUT[wall] | {name for name, row in rows.items() if row["wall"] == wall}


def test_without_landlock_an_attack_on_init_succeeds_where_it_has_the_agents_uid(home, uid):
    """Landlock is a second wall behind the mounts. As an ordinary user it is the only one between the agent and signals to
    init; as root init has another uid, and nothing depends on Landlock alone."""
    status, rows = probe(home, uid, "--without", "landlock")
    broken = {name for name, row in rows.items() if row["verdict"] == "broken"}
    assert (status, broken) == ((1, {"signal_init"}) if uid else (0, set()))


def test_nothing_is_left(home):
    before = set(os.listdir("/tmp"))
    probe(home, ORDINARY_UID)
    assert not [name for name in set(os.listdir("/tmp")) - before if name.startswith("stockade-probe-")]


def test_an_unknown_wall_is_refused(home):
    done = subprocess.run([f"{home}/stockade", "probe", "--without", "roof"], env={"HOME": home}, capture_output=True, text=True)
    assert done.returncode == 2 and "there is no wall 'roof'" in done.stderr
