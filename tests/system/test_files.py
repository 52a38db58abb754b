"""Wall 4: what the agent can read, write, publish, and not see."""
import os
import pathlib
import socket
import subprocess

import pytest

from person import PROGRAM


def repository(person):
    """A git repository of the person's, with a hook, as the workspace."""
    def git(*words):
        subprocess.run(person.command("git", "-C", person.work, *words), check=True, capture_output=True,
                       env=person.environment({"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "p", "GIT_AUTHOR_EMAIL": "p@x",
                                               "GIT_COMMITTER_NAME": "p", "GIT_COMMITTER_EMAIL": "p@x"}))
    git("init", "-q")
    person.write(person.work / ".git/hooks/pre-commit", "#!/bin/sh\necho mine\n", 0o755)
    person.write(person.work / "file.txt", "text\n")
    git("add", ".")
    git("commit", "-q", "--no-verify", "-m", "first")
    return person.work


def test_read_mounts_can_be_read_and_not_written(stockade):
    data = stockade.directory("data")
    stockade.write(data / "sub/a.txt", "contents\n")
    done = stockade.sh("""
        cat /data/sub/a.txt
        for attempt in 'echo x > /data/new' 'echo x >> /data/sub/a.txt' 'rm /data/sub/a.txt' 'mv /data/sub /data/bus' \
                       'chmod 777 /data/sub/a.txt' 'touch /data/sub/a.txt' 'ln /data/sub/a.txt /tmp/hard'; do
          sh -c "$attempt" 2>/dev/null && echo "worked: $attempt"
        done; true""", policy=f"files: [{{ host: {data}, at: /data, access: read }}]\nrun: {{ workdir: /tmp }}\n")
    assert done.stdout == "contents\n", done
    assert (data / "sub/a.txt").read_text() == "contents\n" and os.listdir(data) == ["sub"]


@pytest.mark.parametrize("policy", ["", "files: []\n", 'files: [{ host: "**/.env", access: hide }]\n', "network: { allow: [] }\n"])
def test_a_policy_that_mounts_nothing_gives_no_file(stockade, policy):
    stockade.write(stockade.work / "mine", "mine\n")
    done = stockade.sh(f"cat {stockade.work}/mine; echo evil > {stockade.work}/made; pwd", policy=policy)
    assert done.stdout == f"{stockade.home}\n" and "writable" not in done.stderr, done
    assert os.listdir(stockade.work) == ["mine"]


@pytest.mark.parametrize("ceiling, shown", [("files: []", False), ("files: [{ host: /opt, access: write }]", False),
                                            ("files: [{ host: /tmp, access: read }]", True)])
def test_a_ceiling_takes_the_default_directory_away(stockade, ceiling, shown):
    stockade.write(stockade.home / ".config/stockade/policy.yaml", "version: 1\n" + ceiling + "\n")
    stockade.write(stockade.work / "mine", "mine\n")
    done = stockade.sh(f"cat {stockade.work}/mine; echo evil > {stockade.work}/made; true")
    assert done.status == 0 and done.stdout == ("mine\n" if shown else ""), done
    assert "is writable" not in done.stderr and os.listdir(stockade.work) == ["mine"]


def test_write_mounts_write_at_once_as_the_person(stockade):
    done = stockade.sh("echo new > made; mkdir d; echo more >> there; mv d e; ls", policy="files: [{ host: ., access: write }]\n")
    assert done.status == 0, done
    made = stockade.work / "made"
    assert made.read_text() == "new\n" and made.stat().st_uid == stockade.uid
    assert (stockade.work / "e").is_dir()


def test_write_only_shows_nothing_and_publishes_at_the_end(stockade):
    out = stockade.directory("out")
    stockade.write(out / "earlier.txt", "earlier\n")
    os.mkfifo(stockade.work / "fifo")
    os.chown(stockade.work / "fifo", stockade.uid, stockade.uid)
    run = stockade.start("sh", "-c", "ls -A /out; cat /out/earlier.txt 2>/dev/null; mkdir -p /out/deep; echo made > /out/deep/a;"
                         "echo summary > /out/summary.md; touch now; read wait <fifo", name="pub",
                         policy=f"files: [{{ host: {out}, at: /out, access: write-only }}, {{ host: ., access: write }}]\n")
    run.wait_for_file(stockade.work / "now")
    assert sorted(os.listdir(out)) == ["earlier.txt"]  # published when the run ends, not before
    with open(stockade.work / "fifo", "w") as fifo:
        fifo.write("\n")
    done = run.wait()
    assert done.status == 0 and done.stdout == "", done
    assert (out / "summary.md").read_text() == "summary\n" and (out / "deep/a").read_text() == "made\n"
    assert (out / "summary.md").stat().st_uid == stockade.uid
    assert (out / "earlier.txt").read_text() == "earlier\n"


def test_write_only_never_overwrites_and_says_where_the_file_is(stockade):
    out = stockade.directory("out")
    stockade.write(out / "summary.md", "the person's own\n")
    done = stockade.sh("echo agent > /out/summary.md",
                       policy=f"files: [{{ host: {out}, at: /out, access: write-only }}]\nrun: {{ workdir: /tmp }}\n")
    assert done.status == 0, done
    assert (out / "summary.md").read_text() == "the person's own\n"
    assert "summary.md" in done.stderr
    kept = [path for path in stockade.state.rglob("*") if path.is_file() and path.read_bytes() == b"agent\n"] + \
           [path for path in out.iterdir() if path.read_bytes() == b"agent\n"]
    assert len(kept) == 1 and str(kept[0].parent) in done.stderr, (kept, done)


def test_write_only_publishes_no_link_and_no_special_file(stockade):
    out = stockade.directory("out")
    done = stockade.sh("ln -s /etc/shadow /out/link; mkfifo /out/pipe; echo fine > /out/fine; chmod 4755 /out/fine 2>/dev/null; true",
                       policy=f"files: [{{ host: {out}, at: /out, access: write-only }}]\nrun: {{ workdir: /tmp }}\n")
    assert done.status == 0, done
    assert (out / "fine").read_text() == "fine\n" and not (out / "fine").stat().st_mode & 0o6000
    assert not (out / "pipe").exists()
    if (out / "link").is_symlink():
        assert "link" in done.stderr  # a link that points out is at least named


@pytest.mark.parametrize("access", ["read", "write"])
def test_hide_holds_however_the_file_is_reached(stockade, access):
    stockade.write(stockade.work / ".env", "SECRET=1\n")
    stockade.write(stockade.work / "deep/er/.env", "SECRET=2\n")
    os.symlink(".env", stockade.work / "link")
    done = stockade.sh("""
        for path in .env deep/er/.env link /proc/self/cwd/.env /proc/self/root"$PWD"/deep/er/.env; do
          cat "$path" 2>/dev/null
        done
        (cd deep/er && cat ./.env 2>/dev/null; cat ../../.env 2>/dev/null)
        mv deep moved 2>/dev/null; cat moved/er/.env 2>/dev/null
        exec 3<.; cat /proc/self/fd/3/.env 2>/dev/null; rm -f .env deep/er/.env 2>/dev/null; true""",
                       policy=f"files: [{{ host: ., access: {access} }}, {{ host: \"**/.env\", access: hide }}]\n")
    assert done.status == 0, done
    assert "SECRET" not in done.stdout
    found = [path.read_text() for path in stockade.work.rglob(".env")]
    assert sorted(found) == ["SECRET=1\n", "SECRET=2\n"]


def test_git_hooks_are_read_only_and_git_works(stockade):
    work = repository(stockade)
    done = stockade.sh("""
        echo 'evil' > .git/hooks/pre-commit 2>/dev/null && echo overwritten
        echo 'evil' > .git/hooks/post-checkout 2>/dev/null && echo added
        mv .git/hooks .git/away 2>/dev/null && echo moved
        rm -rf .git/hooks 2>/dev/null && echo removed
        mv .git .moved 2>/dev/null && mkdir -p .git/hooks && echo 'evil' > .git/hooks/pre-commit && echo replaced
        chmod -x .git/hooks/pre-commit 2>/dev/null && echo unset
        echo more >> file.txt; git add file.txt && git commit -q --no-verify -m second && git log --oneline | wc -l""",
                       policy="files: [{ host: ., access: write }]\n")
    assert done.stdout == "2\n", done
    assert (work / ".git/hooks/pre-commit").read_text() == "#!/bin/sh\necho mine\n"
    assert not (work / ".git/hooks/post-checkout").exists()


def test_files_that_would_run_later_are_protected_or_named(stockade):
    for name in (".envrc", ".husky/pre-push", ".vscode/tasks.json", ".mcp.json", "Makefile", "package.json"):
        stockade.write(stockade.work / name, "mine\n")
    done = stockade.sh("""
        for path in .envrc .husky/pre-push .vscode/tasks.json .mcp.json; do echo evil 2>/dev/null > $path && echo "wrote $path"; done
        mv .husky .h 2>/dev/null && echo moved; mv .vscode v 2>/dev/null && echo moved; echo '{}' > .vscode/new && mv .vscode/new .vscode/settings.json
        echo evil > Makefile; mkdir -p .github/workflows; echo evil > .github/workflows/ci.yml; echo evil > CLAUDE.md; true""",
                       policy="files: [{ host: ., access: write }]\n")
    assert done.stdout == "", done
    for name in ("Makefile", ".github/workflows/ci.yml", "CLAUDE.md"):
        assert name in done.stderr, done
    assert "package.json" not in done.stderr


@pytest.mark.parametrize("place", ["home", "parent", "/", "/etc", "state"])
def test_a_broad_place_is_no_workspace(stockade, place):
    cwd = {"home": stockade.home, "parent": stockade.folder, "state": stockade.state / "stockade"}.get(place, place)
    stockade.directory("state/stockade", 0o700)
    done = stockade.run("touch", "started", cwd=cwd)
    assert done.status == 125, done
    assert done.stderr.startswith("stockade: ")
    assert not pathlib.Path(cwd, "started").exists()


def test_the_first_run_of_all_sees_nothing_of_our_own_directories(stockade):
    # They do not exist before it.
    def attempt(above):
        return stockade.run("sh", "-c", f"""cd {above}; find . -path '*stockade/*' ! -name policy.yaml; echo x > state/stockade/forged; true""",
                            policy=f"files: [{{ host: {stockade.folder}, access: write, reason: test }}]\n")
    first = attempt(stockade.folder)
    assert "audit-key" not in first.stdout and "control.sock" not in first.stdout and first.status == 0, first
    assert not (stockade.state / "stockade/forged").exists()
    assert stockade.ended_by() == "agent"


def test_many_findings_do_not_hide_a_run(stockade):
    done = stockade.python("""
        import os
        os.mkdir(".vscode")
        for i in range(9000): os.close(os.open(f".vscode/{i:0>240}", os.O_CREAT | os.O_WRONLY))
        """, policy="files: [{ host: ., access: write }]\n", timeout=120)
    assert done.status == 0 and len(done.stderr) < 20_000 and "and 8980 more" in done.stderr, done.stderr[:2000]
    assert stockade.stockade("show", stockade.last_run()["id"]).status == 0
    assert len(stockade.runs()) == 1


def test_a_planted_first_line_or_link_shows_nothing(stockade):
    stockade.write(stockade.home / "private/bin/tool", "#!/bin/sh\ncat ../private/lib/secret\n", 0o755)
    stockade.write(stockade.home / "private/lib/secret", "SECRET\n")
    stockade.write(stockade.work / "script", f"#!{stockade.home}/private/bin/tool\n", 0o755)
    (stockade.work / "link").symlink_to(stockade.home / "private/bin/tool")
    for command in ("./script", "./link"):
        done = stockade.run(command, policy="files: [{ host: ., access: write }]\n")
        assert done.status == 127 and "does not show" in done.stderr and "SECRET" not in done.stdout, done


def test_streams_that_reach_the_hosts_network_are_refused(stockade):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        done = subprocess.run(stockade.command(PROGRAM, *stockade.words_of_run(["true"], "files: []\n")), stdin=datagrams,
                              env=stockade.environment(), cwd=stockade.work, text=True, capture_output=True, timeout=60)
    assert done.returncode == 125 and "stdin" in done.stderr and "socket" in done.stderr, done


def test_the_home_is_a_workspace_when_a_reason_is_given(stockade):
    done = stockade.sh("echo x > made", cwd=stockade.home,
                       policy='files: [{ host: "~", access: write, reason: "a machine of its own" }]\n')
    assert done.status == 0, done
    assert (stockade.home / "made").exists()


def test_our_own_state_is_out_of_reach_even_below_a_mount(stockade):
    stockade.run("true")
    done = stockade.sh(f"find {stockade.state}/stockade {stockade.runtime}/stockade -mindepth 1 2>/dev/null; true", policy=f"""
        files: [{{ host: {stockade.folder}, access: write, reason: test }}]
        run: {{ workdir: /tmp }}
        """)
    assert done.status == 0 and done.stdout == "", done


@pytest.mark.parametrize("access", ["read", "write"])
def test_a_socket_of_the_hosts_cannot_be_connected_to(stockade, access):
    data = stockade.directory("data")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(data / "docker.sock"))
        os.chmod(data / "docker.sock", 0o777)
        server.listen()
        done = stockade.python("""
            import socket, os
            for path in ('/data/docker.sock', '/proc/self/root/data/docker.sock'):
                try:
                    socket.socket(socket.AF_UNIX).connect(path); print('connected', path)
                except OSError: pass
            os.chdir('/tmp')
            server = socket.socket(socket.AF_UNIX); server.bind('own.sock'); server.listen()
            socket.socket(socket.AF_UNIX).connect('own.sock'); print('own works')
            """, policy=f"files: [{{ host: {data}, at: /data, access: {access} }}]\nrun: {{ workdir: /tmp }}\n")
        assert done.stdout == "own works\n", done
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_socket_bound_inside_a_write_mount_works(stockade):
    done = stockade.python("""
        import socket
        server = socket.socket(socket.AF_UNIX); server.bind('watch.sock'); server.listen()
        socket.socket(socket.AF_UNIX).connect('watch.sock'); print('works')
        """, policy="files: [{ host: ., access: write }]\n")
    assert done.stdout == "works\n", done


def test_no_setuid_file_and_no_device_comes_out(stockade):
    done = stockade.python("""
        import os, stat
        for mode in (0o4755, 0o2755):
            try:
                os.close(os.open(f'f{mode:o}', os.O_CREAT | os.O_WRONLY, mode))
            except OSError: pass
            try:
                os.chmod(f'f{mode:o}', mode)
            except OSError: pass
        try: os.mknod('dev', stat.S_IFCHR | 0o666, os.makedev(1, 3))
        except OSError: pass
        """, policy="files: [{ host: ., access: write }]\n")
    assert done.status == 0, done
    for path in stockade.work.iterdir():
        assert path.is_file() and not path.stat().st_mode & 0o6000, path


def test_programs_that_are_not_listed_are_not_there(stockade):
    done = stockade.sh("""
        git --version >/dev/null && echo git
        for program in /usr/bin/perl /usr/bin/python3 /usr/bin/env; do $program -V >/dev/null 2>&1 && echo "$program ran"; done
        for loader in /lib64/ld-linux-x86-64.so.2 /lib/ld-linux-aarch64.so.1; do
          [ -e $loader ] && $loader /usr/bin/perl -e 'print "perl by the loader\n"' 2>/dev/null; done
        cp /bin/sh /tmp/copy && /tmp/copy -c 'echo copied' 2>/dev/null; true""", policy="""
        run: { workdir: /tmp }
        tools: { programs: { allow: [sh, git, cp] } }
        """)
    assert done.stdout == "git\n", done
