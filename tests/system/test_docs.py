"""What the README and the docs show is run: each ```console block whose line before it is `<!-- run -->`."""
import os
import pathlib
import re

import pytest

from person import PATH, PROGRAM, REPOSITORY

BLOCK = re.compile(r"<!-- run -->\s*\n```console\n(.*?)```", re.S)


def examples():
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]:
        if path.exists():
            for number, block in enumerate(BLOCK.findall(path.read_text()), 1):
                yield pytest.param(block, id=f"{path.name}-{number}")


def parts(block):
    """(command, expected output) pairs; a line that is only `…` stands for anything."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
        elif found:
            found[-1][1] += line + "\n"
    return found


@pytest.mark.parametrize("block", list(examples()))
def test_the_docs_show_what_happens(stockade, block):
    import subprocess
    stockade.write(stockade.work / "notes.txt", "notes\n")
    for command, expected in parts(block):
        done = subprocess.run(stockade.command("sh", "-c", command), cwd=stockade.work, text=True, timeout=60, stdin=subprocess.DEVNULL,
                              env=stockade.environment({"PATH": f"{PROGRAM.parent}:{PATH}"}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        pattern = "".join(".*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in expected.splitlines())
        assert re.fullmatch(pattern, done.stdout, re.S), f"$ {command}\n{done.stdout}"


def test_every_policy_in_the_docs_is_valid(stockade):
    for path in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md")), *sorted((REPOSITORY / "examples").glob("*.yaml"))]:
        if not path.exists():
            continue
        text = path.read_text()
        blocks = [text] if path.suffix == ".yaml" else [b for b in re.findall(r"```yaml\n(.*?)```", text, re.S) if b.startswith("version:")]
        for block in blocks:
            done = stockade.stockade("policy", "check", stockade.policy(block))
            assert done.status == 0, f"{path.name}: {done}"


def test_help_names_every_verb(stockade):
    done = stockade.stockade("--help")
    assert done.status == 0
    for verb in ("run", "ps", "show", "logs", "audit", "why", "pause", "resume", "kill", "approvals", "approve", "deny", "policy", "proxy", "attach", "probe", "doctor", "version"):
        assert re.search(rf"^\s+{verb}\s", done.stdout, re.M), verb


@pytest.mark.parametrize("words, said", [
    (["frobnicate"], "there is no verb 'frobnicate'"),
    (["policy", "frob"], "there is no verb 'policy frob'"),
    (["run", "--nosuch", "--", "true"], "stockade run has no option '--nosuch'"),
    (["policy", "init", "codex"], "'codex' is one argument too many for stockade policy init")])
def test_a_mistyped_command_names_the_word(stockade, words, said):
    done = stockade.stockade(*words)
    assert done.status == (125 if words[0] == "run" else 2) and done.stderr.startswith(f"stockade: {said}\n"), done


def test_a_run_in_the_home_says_where_to_go(stockade):
    done = stockade.stockade("run", "--", "true", cwd=stockade.home)
    assert done.status == 125 and "your home directory" in done.stderr and "stockade policy init" in done.stderr, done
