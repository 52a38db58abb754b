"""After a run nothing is left, and the workspace of a run that wrote nothing is as it was."""
import os
import pathlib
import subprocess

import litter

POLICY = """
files: [{ host: ., access: write }, { host: "**/.env", access: hide }]
network: { allow: [{ host: api.test, tls: passthrough }] }
"""


def listing(folder):
    return sorted((str(path), path.lstat().st_mode, path.lstat().st_mtime_ns, path.lstat().st_ino) for path in pathlib.Path(folder).rglob("*"))


def make_repository(person):
    for line in (["git", "init", "-q"], ["git", "add", "."], ["git", "commit", "-q", "-m", "first"]):
        if line[1] == "add":
            person.write(person.work / "file.txt", "text\n")
            person.write(person.work / ".envrc", "export A=1\n")
            person.write(person.work / "sub/.vscode/tasks.json", "{}\n")
        subprocess.run(person.command(*line), cwd=person.work, check=True, capture_output=True, env=person.environment(
            {f"GIT_{who}_{what}": "p@x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}))


def status(person):
    return subprocess.run(person.command("git", "status", "--porcelain", "--ignored"), cwd=person.work, check=True,
                          capture_output=True, text=True, env=person.environment({"GIT_OPTIONAL_LOCKS": "0"})).stdout


def test_git_status_is_clean(stockade):
    make_repository(stockade)
    before = listing(stockade.work)
    done = stockade.sh("ls -la; git --no-optional-locks status --porcelain; true", policy=POLICY)
    assert done.status == 0, done
    assert status(stockade) == ""
    assert listing(stockade.work) == before


def test_nothing_is_left_of_a_run(stockade):
    before = litter.look()
    for script, expected in (("exit 3", 3), ("sleep 60 & setsid sleep 60 & exit 0", 0), ("kill -9 $$", 137)):
        assert stockade.sh(script, policy=POLICY).status == expected
    stockade.sh("sleep 60", policy=POLICY + "limits: { time: 200ms }\n")
    assert litter.left_since(before) == []


def test_nothing_is_left_of_a_run_that_could_not_start(stockade):
    before = litter.look()
    assert stockade.run("no-such-program", policy=POLICY).status == 127
    assert stockade.run("true", policy="files: [{ host: /no/such/place, access: read }]\n").status == 125
    assert litter.left_since(before) == []
    assert listing(stockade.work) == []


def test_only_the_state_remains_and_it_is_named(stockade):
    stockade.run("true", policy=POLICY)
    run = stockade.last_run()["id"]
    assert not (stockade.runtime / "stockade").exists() or list((stockade.runtime / "stockade").iterdir()) == []
    left = sorted(os.listdir(stockade.state / "stockade" / run))
    assert "events.jsonl" in left and "run.json" in left and "work" not in left, left
    assert list(stockade.home.iterdir()) == []


def test_a_hundred_runs_leave_no_mount_and_no_cgroup(stockade):
    before = litter.look()
    for _ in range(100):
        assert stockade.run("true", policy=POLICY, options=["--quiet"]).status == 0
    assert litter.left_since(before) == []
