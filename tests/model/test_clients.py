"""What Stockade edits and refuses, as the real client libraries of the model APIs read it (openai, @anthropic-ai/sdk,
@google/genai, ollama from npm), over a server on loopback.

    mkdir -p build/model_clients && npm --prefix build/model_clients install openai ws @anthropic-ai/sdk @google/genai ollama
    cmake --build build --target model_edit
    python3 -m pytest -q tests/model

STOCKADE_MODEL_CLIENTS names another folder with node_modules, STOCKADE_MODEL_EDIT another program."""
import json
import os
import pathlib
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TRANSCRIPTS = ROOT / "src" / "model" / "transcripts"
PACKAGES = pathlib.Path(os.environ.get("STOCKADE_MODEL_CLIENTS", ROOT / "build" / "model_clients"))
PROGRAM = pathlib.Path(os.environ.get("STOCKADE_MODEL_EDIT", ROOT / "build" / "tests" / "model" / "model_edit"))
PACKAGE = {"openai-responses": "openai", "openai-chat": "openai", "anthropic-messages": "@anthropic-ai/sdk",
           "gemini": "@google/genai", "ollama-chat": "ollama"}
NOTICE = "Stockade refused a call."
READ, RUN = ["read_file", {"path": "a"}], ["run", {"cmd": "ls"}]
SEARCH = ["web_search", {"query": "w"}]

# API, framing, transcript, content type, the calls of it, the stop reasons with calls and without
STREAMS = [
    ("openai-responses", "sse", "responses_sse", "text/event-stream", [READ, RUN], "completed", "completed"),
    ("openai-chat", "sse", "chat_sse", "text/event-stream", [READ, RUN], "tool_calls", "stop"),
    ("anthropic-messages", "sse", "anthropic_sse", "text/event-stream", [READ, SEARCH, RUN], "tool_use", "end_turn"),
    ("gemini", "sse", "gemini_sse", "text/event-stream", [READ, RUN], "STOP", "STOP"),
    ("ollama-chat", "lines", "ollama_lines", "application/x-ndjson", [READ, RUN], "stop", "stop"),
]
BODIES = [
    ("openai-chat", "body", "chat_body", "application/json", [READ, RUN], "tool_calls", "stop"),
    ("openai-responses", "body", "responses_body", "application/json", [READ], "completed", "completed"),
    ("anthropic-messages", "body", "anthropic_body", "application/json", [READ, RUN], "tool_use", "end_turn"),
    ("gemini", "body", "gemini_body", "application/json", [READ, RUN], "STOP", "STOP"),
    ("ollama-chat", "body", "ollama_body", "application/json", [READ, RUN], "stop", "stop"),
]


def needs(api):
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (PACKAGES / "node_modules" / PACKAGE[api]).exists():
        pytest.skip(f"the npm package {PACKAGE[api]} is not in {PACKAGES.name}")
    if not PROGRAM.exists():
        pytest.skip("model_edit is not built")


def edit(*arguments, stdin=b""):
    done = subprocess.run([PROGRAM, *arguments], input=stdin, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read_by_client(tmp_path, api, framing, data, status=200, content_type="text/event-stream"):
    file = tmp_path / "response"
    file.write_bytes(data)
    client = api + {"body": "", "messages": " websocket"}.get(framing, " stream")
    done = subprocess.run(["node", HERE / "clients.mjs", PACKAGES, client, file, str(status), content_type],
                          capture_output=True, timeout=60, env={**os.environ, "NO_PROXY": "127.0.0.1"})
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("row", STREAMS + BODIES, ids=lambda row: row[2])
def test_a_client_reads_the_transcript_itself(tmp_path, row):
    api, framing, name, content_type, calls, stop, _ = row
    needs(api)
    made = read_by_client(tmp_path, api, framing, (TRANSCRIPTS / name).read_bytes(), 200, content_type)
    assert made["error"] is None
    assert made["calls"] == calls
    assert made["stop"] == stop


@pytest.mark.parametrize("notice", ["", NOTICE], ids=["dropped", "with_notice"])
@pytest.mark.parametrize("refused", ["read_file", "run", "all"])
@pytest.mark.parametrize("row", STREAMS + BODIES, ids=lambda row: row[2])
def test_a_client_reads_an_answer_without_the_refused_calls(tmp_path, row, refused, notice):
    api, framing, name, content_type, calls, stop, stop_without = row
    needs(api)
    names = [call[0] for call in calls] if refused == "all" else [refused]
    left = [call for call in calls if call[0] not in names]
    edited = edit("calls", api, framing, notice, *names, stdin=(TRANSCRIPTS / name).read_bytes())
    made = read_by_client(tmp_path, api, framing, edited, 200, content_type)
    assert made["error"] is None
    assert made["calls"] == left
    assert made["stop"] == (stop if left else stop_without)
    if len(left) < len(calls):
        assert (NOTICE in made["text"]) == bool(notice)


@pytest.mark.parametrize("framing", ["body", "sse"])
@pytest.mark.parametrize("api", PACKAGE)
def test_a_client_shows_a_refusal_and_does_not_try_again(tmp_path, api, framing):
    needs(api)
    made = read_by_client(tmp_path, api, framing, edit("refuse", api), 403, "application/json")
    assert "Stockade blocked this: a key in the prompt" in made["error"]
    assert made["status"] == 403
    assert made["requests"] == 1


@pytest.mark.parametrize("count", ["1", "2"])
@pytest.mark.parametrize("row", STREAMS, ids=lambda row: row[2])
def test_a_client_shows_a_refusal_within_a_stream(tmp_path, row, count):
    api, framing, name, content_type = row[:4]
    needs(api)
    cut = edit("cut", api, framing, count, stdin=(TRANSCRIPTS / name).read_bytes())
    made = read_by_client(tmp_path, api, framing, cut, 200, content_type)
    assert "Stockade blocked this: a key in the prompt" in made["error"]


def messages():
    lines = (TRANSCRIPTS / "responses_sse").read_bytes().splitlines()
    return b"".join(line[len(b"data: "):] + b"\n" for line in lines if line.startswith(b"data: "))


@pytest.mark.parametrize("notice", ["", NOTICE], ids=["dropped", "with_notice"])
@pytest.mark.parametrize("refused", [[], ["read_file"], ["read_file", "run"]], ids=len)
def test_a_websocket_client_reads_an_answer_without_the_refused_calls(tmp_path, refused, notice):
    needs("openai-responses")
    edited = edit("calls", "openai-responses", "messages", notice, *refused, stdin=messages())
    made = read_by_client(tmp_path, "openai-responses", "messages", edited)
    assert made["error"] is None
    assert made["calls"] == [call for call in [READ, RUN] if call[0] not in refused]
    assert (NOTICE in made["text"]) == bool(notice and refused)


def test_a_websocket_client_shows_a_refusal(tmp_path):
    needs("openai-responses")
    cut = edit("cut", "openai-responses", "messages", "2", stdin=messages())
    made = read_by_client(tmp_path, "openai-responses", "messages", cut)
    assert "Stockade blocked this: a key in the prompt" in made["error"]
