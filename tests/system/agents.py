"""The real agents, installed once into build/agents from tests/agents/package-lock.json."""
import fcntl
import pathlib
import shutil
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "build" / "agents"
CODEX = FOLDER / "node_modules" / ".bin" / "codex"
CLAUDE = FOLDER / "node_modules" / ".bin" / "claude"


def install(out=sys.stderr):
    """Installs what the lock file names, unless that is there already. Fails with npm's own words."""
    source = REPOSITORY / "tests" / "agents"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = FOLDER / "installed.json"
        wanted = (source / "package-lock.json").read_bytes()
        if CODEX.exists() and installed.exists() and installed.read_bytes() == wanted:
            return CODEX
        print("installing the agents (npm ci, about 200 MB) …", file=out, flush=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, FOLDER / name)
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=FOLDER, check=True, stdout=out, stderr=out)
        # Claude Code's own installer, which links the binary of its platform's package; nobody else's script is run.
        subprocess.run(["node", FOLDER / "node_modules/@anthropic-ai/claude-code/install.cjs"], check=True, stdout=out, stderr=out)
        installed.write_bytes(wanted)
    return CODEX


def codex_command(base_url, prompt="go"):
    """Codex as anybody starts it, with a model provider given by options; no configuration file is needed."""
    provider = f'{{ name = "scripted", base_url = "{base_url}", wire_api = "responses" }}'
    return ["codex", "exec", "-c", 'model="scripted"', "-c", 'model_provider="scripted"', "-c",
            f"model_providers.scripted={provider}", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check", prompt]


def claude_command(prompt="go"):
    """Claude Code, without a question to a person; where its model is, its environment says (claude_environment)."""
    return ["claude", "-p", prompt, "--dangerously-skip-permissions"]


def claude_environment(base_url):
    return {"ANTHROPIC_BASE_URL": base_url, "ANTHROPIC_API_KEY": "none", "IS_SANDBOX": "1", "DISABLE_TELEMETRY": "1"}


if __name__ == "__main__":
    print(install())
