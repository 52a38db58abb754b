"""`stockade run`: exit statuses, streams, environment, working directory."""
import os
import pathlib
import shlex
import signal
import subprocess
import tempfile

import pytest

from person import PROGRAM, SANITIZED

WORK = "files: [{ host: ., access: write }]\n"


@pytest.mark.parametrize("status", [0, 1, 42, 124, 125, 126, 255])
def test_the_exit_status_is_the_agents_own(stockade, status):
    done = stockade.sh(f"exit {status}")
    assert done.status == status, done
    assert stockade.ended_by() == "agent"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_signal_gives_128_and_its_number(stockade, number):
    done = stockade.python(f"import os; os.kill(os.getpid(), {int(number)})")
    assert done.status == 128 + number, done
    assert stockade.ended_by() == "signal"


def test_a_command_that_is_not_there_gives_127(stockade):
    done = stockade.run("no-such-program")
    assert done.status == 127, done
    assert "no-such-program" in done.stderr


def test_a_file_that_is_no_program_gives_126(stockade):
    stockade.write(stockade.work / "data.txt", "text\n", 0o644)
    done = stockade.run("./data.txt")
    assert done.status == 126, done


def test_what_cannot_be_started_gives_125_with_what_and_what_to_do(stockade):
    done = stockade.run("true", options=["--policy", stockade.policies / "absent.yaml"])
    assert done.status == 125, done
    lines = done.stderr.splitlines()
    assert lines and all(line.startswith("stockade: ") for line in lines)
    assert "absent.yaml" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", [["exec", "x", "true"], ["diff", "x"], ["mcp", "review", "x"],
                                   ["run", "--runtime", "gvisor", "--", "true"], ["run", "--apply", "all", "--", "true"]])
def test_what_is_not_built_is_refused(stockade, words):
    done = stockade.stockade(*words)
    assert done.status == 125, done
    assert done.stderr.startswith("stockade: ")
    assert done.stdout == ""


def test_stdout_and_stderr_belong_to_the_agent(stockade):
    done = stockade.python(r"""
        import sys
        sys.stdout.buffer.write(bytes(range(32)) + b'\x1b]52;c;aGk=\x07 end')
        sys.stderr.write('agent says\n')
        """, options=["--quiet"])
    assert done.status == 0, done
    assert done.stdout == "".join(map(chr, range(32))).replace("\r", "\n") + "\x1b]52;c;aGk=\x07 end"
    assert done.stderr == "agent says\n"


def test_stdin_reaches_the_agent(stockade):
    done = stockade.run("sh", "-c", "wc -c", input="x" * 300_000)
    assert done.stdout.strip() == "300000", done


def test_what_stockade_says_is_on_stderr_with_its_name(stockade):
    done = stockade.run("echo", "hi")
    assert done.stdout == "hi\n"
    assert done.stderr and all(line.startswith("stockade: ") for line in done.stderr.splitlines()), done
    assert "writ" in done.stderr  # the default lets the agent write in the current directory, and says so


def test_quiet_says_nothing(stockade):
    done = stockade.run("echo", "hi", options=["--quiet"])
    assert (done.status, done.stdout, done.stderr) == (0, "hi\n", "")


def test_nothing_is_inherited_from_the_environment(stockade):
    secrets = {"AWS_SECRET_ACCESS_KEY": "do-not-pass", "SSH_AUTH_SOCK": "/run/agent.sock", "EDITOR": "vi",
               "LD_PRELOAD": "/nonexistent.so", "HTTPS_PROXY": "http://127.0.0.1:1", "GIT_DIR": "/x"}
    done = stockade.run("env", env=secrets)
    assert done.status == 0, done
    names = {line.split("=", 1)[0] for line in done.stdout.splitlines()}
    assert not names & set(secrets), names
    assert {"HOME", "PATH"} <= names


def test_a_variable_passes_when_the_policy_says_so(stockade):
    done = stockade.run("sh", "-c", 'echo "$EDITOR $CI ${OTHER-none}"', env={"EDITOR": "vi", "OTHER": "x"},
                        policy='sandbox: { env: { pass: [EDITOR], set: { CI: "1" } } }\nrun: { workdir: /tmp }\n')
    assert done.stdout == "vi 1 none\n", done


def test_what_looks_like_a_credential_passes_only_with_a_reason(stockade):
    refused = stockade.run("env", env={"API_TOKEN": "t"}, policy="sandbox: { env: { pass: [API_TOKEN] } }\n")
    assert refused.status == 125, refused
    passed = stockade.run("sh", "-c", "echo $API_TOKEN", env={"API_TOKEN": "t"}, policy="""
        run: { workdir: /tmp }
        sandbox: { env: { pass: [{ name: API_TOKEN, reason: test }] } }
        """)
    assert passed.stdout == "t\n", passed


def test_the_working_directory_is_the_current_one(stockade):
    deep = stockade.directory("work/some/where")
    done = stockade.run("pwd", cwd=deep, policy=WORK)
    assert done.stdout == f"{deep}\n", done


@pytest.mark.parametrize("place", ["/tmp", "/var/tmp"])
@pytest.mark.parametrize("sandbox", ["", "sandbox: { memory: 128MiB, disk: 1GiB }\n"])  # scratch in memory, and on disk
def test_work_home_and_programs_may_lie_in_a_temporary_directory(stockade, place, sandbox):
    with tempfile.TemporaryDirectory(dir=place, prefix="stockade-test-") as folder:
        os.chmod(folder, 0o755)
        for name in ("work/deep", "home", "tools/bin"):
            stockade.directory(f"{folder}/{name}")
        stockade.write(f"{folder}/tools/bin/my-tool", "#!/bin/sh\necho tool\n", 0o755)
        stockade.write(f"{folder}/other/file", "x")
        script = f"pwd; my-tool; echo x > made; echo x > ~/kept-not; echo x > {place}/neither; ls {folder}"
        done = stockade.sh(script, cwd=f"{folder}/work/deep", policy=WORK + sandbox if sandbox else None,
                           env={"HOME": f"{folder}/home", "PATH": f"{folder}/tools/bin:/usr/bin:/bin"})
        assert done.status == 0 and done.stdout.split() == [f"{folder}/work/deep", "tool", "home", "tools", "work"], done
        assert os.listdir(f"{folder}/work/deep") == ["made"] and not os.listdir(f"{folder}/home")
        assert not os.path.exists(f"{place}/neither")


def test_the_home_is_there_and_empty(stockade):
    stockade.write(stockade.home / ".ssh/id_ed25519", "private")
    done = stockade.sh('echo "$HOME"; ls -A "$HOME"; echo new > "$HOME/file"; cat "$HOME/file"')
    assert done.stdout == f"{stockade.home}\nnew\n", done
    assert not (stockade.home / "file").exists()


def test_the_agent_sees_only_its_own_processes_and_no_descriptor_of_ours(stockade):
    done = stockade.python("""
        import os
        print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[-1] < 20)
        print(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd')))
        """)
    assert done.stdout == "True\n[0, 1, 2] 4\n", done


def test_the_agent_is_an_ordinary_user_without_capabilities(stockade):
    done = stockade.sh("id -u; grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp:' /proc/self/status | tr -d '\\t'")
    zeros = "".join(f"Cap{kind}:{'0' * 16}\n" for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
    uid = 1000 if stockade.is_root else stockade.uid
    assert done.stdout == f"{uid}\n{zeros}NoNewPrivs:1\nSeccomp:2\n", done


def test_a_name_finds_the_run_again(stockade):
    stockade.run("true", options=["--name", "first"])
    record = stockade.show("first")
    assert record["command"] == ["true"] and record["exit_code"] == 0 and record["ended_by"] == "agent"


def test_a_name_that_could_be_anything_is_refused(stockade):
    for name in ("../up", "UPPER", "a b", "-x"):
        done = stockade.run("true", options=[f"--name={name}"])
        assert done.status == 125, (name, done)


def test_the_policys_command_runs_where_none_is_given(stockade):
    done = stockade.stockade("run", "--policy", stockade.policy("run: { command: [echo, from, policy], workdir: /tmp }\n"))
    assert done.stdout == "from policy\n", done


def test_the_policys_tests_run_before_the_start(stockade):
    done = stockade.run("echo", "started", policy=WORK + 'tests: [{ connect: "evil.example:443", expect: allow }]\n')
    assert done.status == 125, done
    assert "started" not in done.stdout and "evil.example" in done.stderr


def test_the_streams_have_paths(stockade):
    """/dev/stdin and its like, where they are pipes of the person's."""
    script = "cat /dev/stdin; echo out > /dev/stdout; echo err > /dev/stderr; echo fd >> /proc/self/fd/1"
    words = stockade.command(PROGRAM, "run", "--quiet", "--policy", stockade.policy("run: { workdir: /tmp }\n"), "--", "sh", "-c", script)
    line = " ".join(shlex.quote(word) for word in words[words.index(str(PROGRAM)):])
    piped = [*words[:words.index(str(PROGRAM))], "bash", "-c", f"echo in | {{ {line} 2>&1 >&3 | sed 's/^/E /' >&4; }} 3>&1 4>&1 | sort"]
    done = subprocess.run(piped, cwd=stockade.work, env=stockade.environment(), text=True, capture_output=True, timeout=60)
    assert done.stdout.split("\n") == ["E err", "fd", "in", "out", ""], done


def test_the_supervisor_confines_itself_once_the_agent_runs(stockade):
    run = stockade.start("sh", "-c", "touch ready; exec sleep 30", policy=WORK)
    run.wait_for_file(stockade.work / "ready")
    status = pathlib.Path(f"/proc/{run.show()['supervisor_pid']}/status")
    run.wait_until(lambda: "NoNewPrivs:\t1\n" in status.read_text(), "no new privileges")
    if not SANITIZED:  # it looks for leaks by ptrace
        run.wait_until(lambda: "Seccomp:\t2\n" in status.read_text(), "the supervisor's filter")
    stockade.stockade("kill", "it")
    run.wait()
