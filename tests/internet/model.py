"""A scripted model: OpenAI Responses and Anthropic Messages, streamed. The script is a list of turns:

    {"run": "shell command"}           the model calls the agent's shell tool
    {"call": NAME, "arguments": {…}}   the model calls any tool
    {"say": "text"}                    the model's answer; ends the run

One turn a request; after the last the model says "done". Which shell tool the agent offers is read from its request."""
import json

SHELL_TOOLS = ("exec_command", "shell_command", "shell", "local_shell", "Bash", "run_shell_command")


def sse(name, data):
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


class Model:
    def __init__(self, script):
        self.script = script
        self.turn = 0

    def next_turn(self):
        turn = self.script[self.turn] if self.turn < len(self.script) else {"say": "done"}
        self.turn += 1
        return turn

    def answer(self, path, body, writer):
        request = json.loads(body)
        stream = self.responses if path == "/v1/responses" else self.messages
        chunks = stream(request)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for chunk in chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
        writer.write(b"0\r\n\r\n")

    def tool_call(self, request, turn):
        """(name, arguments) of the call that this turn makes, in the shape that the agent offers."""
        if "call" in turn:
            return turn["call"], turn["arguments"]
        offered = [tool.get("name") or tool.get("type") for tool in request.get("tools", [])]
        name = next((tool for tool in SHELL_TOOLS if tool in offered), "exec_command")
        if name == "exec_command":
            return name, {"cmd": turn["run"], "yield_time_ms": turn.get("wait", 20000)}
        if name == "shell":
            return name, {"command": ["bash", "-c", turn["run"]]}
        return name, {"command": turn["run"]}

    def responses(self, request):
        if not request.get("tools"):  # a side request (a title, a summary): no turn of the script
            turn = {"say": "ok"}
        else:
            turn = self.next_turn()
        identity = f"resp_{self.turn}"
        yield sse("response.created", {"response": {"id": identity}})
        if "say" in turn:
            item = {"type": "message", "role": "assistant", "id": f"msg_{self.turn}",
                    "content": [{"type": "output_text", "text": turn["say"]}]}
        else:
            name, arguments = self.tool_call(request, turn)
            item = {"type": "function_call", "call_id": f"call_{self.turn}", "name": name,
                    "arguments": json.dumps(arguments)}
        yield sse("response.output_item.done", {"item": item})
        usage = {"input_tokens": 1, "input_tokens_details": None, "output_tokens": 1, "output_tokens_details": None,
                 "total_tokens": 2}
        yield sse("response.completed", {"response": {"id": identity, "usage": usage}})

    def messages(self, request):
        turn = self.next_turn() if request.get("tools") else {"say": "ok"}
        yield sse("message_start", {"message": {"id": f"msg_{self.turn}", "type": "message", "role": "assistant",
                                                "model": request.get("model", "scripted"), "content": [],
                                                "stop_reason": None, "stop_sequence": None,
                                                "usage": {"input_tokens": 1, "output_tokens": 1}}})
        if "say" in turn:
            yield sse("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
            yield sse("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": turn["say"]}})
            reason = "end_turn"
        else:
            name, arguments = self.tool_call(request, turn)
            yield sse("content_block_start", {"index": 0, "content_block": {
                "type": "tool_use", "id": f"toolu_{self.turn}", "name": name, "input": {}}})
            yield sse("content_block_delta", {"index": 0, "delta": {"type": "input_json_delta",
                                                                    "partial_json": json.dumps(arguments)}})
            reason = "tool_use"
        yield sse("content_block_stop", {"index": 0})
        yield sse("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None},
                                    "usage": {"output_tokens": 1}})
        yield sse("message_stop", {})
