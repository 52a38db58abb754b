"""`make demo`: the real Codex, hijacked, does its task while every one of its attacks is stopped."""
import os
import re
import subprocess

from person import PROGRAM, REPOSITORY, SLOWNESS


def test_every_attack_of_the_demo_is_stopped_and_the_task_is_done(uid):
    done = subprocess.run([REPOSITORY / "tests/demo/run", *(["--user"] if uid else [])], capture_output=True, text=True,
                          timeout=120 * SLOWNESS, env=dict(os.environ, STOCKADE=str(PROGRAM)))
    assert done.returncode == 0, done.stdout + done.stderr
    stopped, tried = map(int, re.search(r"(\d+) of (\d+) attacks stopped in", done.stdout).groups())
    assert stopped == tried >= 40
