"""A scripted stand-in for the APIs of models, on loopback: Anthropic's Messages, OpenAI's Responses and Chat Completions, Gemini's.

    with serving([{"tools": [{"name": "bash", "input": {"command": "ls"}}]}, {"text": "done"}]) as api:
        …  # api.url; api.requests holds (path, headers, body) of each

The turns may also be those of several prompts: `{"Plan how to": […], "Review the": […]}`, by the first regular expression that is found in
what was said. Turn N answers a conversation with N answers in it; the last one stands for all that follow. A turn is {"text", "tools"}, or
{"status", "headers", "message"} to fail, or {"hang": true}. What comes without tools, as a request for a title does, is answered by a word.
"""

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from tests.fake_anthropic import ERRORS

Json = dict[str, Any]
Turns = list[Json] | dict[str, list[Json]]
IN, OUT, CACHED = 100, 20, 40  # tokens of each answer; those of the cache are part of IN
IDS = itertools.count(1)


class Api(ThreadingHTTPServer):
    """The server; `needs_tools` says whether a request without tools is a side request."""

    daemon_threads = True

    def __init__(self, turns: Turns, *, needs_tools: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.turns, self.needs_tools = turns, needs_tools
        self.requests: list[tuple[str, Json, Json]] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serving(turns: Turns, *, needs_tools: bool = True) -> Iterator[Api]:
    """An API that answers by a script, as long as the block lasts."""
    api = Api(turns, needs_tools=needs_tools)
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.ended.set()
        api.shutdown()
        thread.join()
        api.server_close()


class Handler(BaseHTTPRequestHandler):
    """Finds the protocol by the path."""

    server: Api
    ways: ClassVar[dict[str, str]] = {
        "/responses": "responses",
        "/chat/completions": "chat",
        "/messages": "messages",
        ":streamGenerateContent": "gemini",
        ":generateContent": "gemini",
    }

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        self.server.requests.append((self.path, dict(self.headers), body))
        path = self.path.partition("?")[0]
        way = next((name for end, name in self.ways.items() if path.endswith(end)), None)
        turn: Json = {"status": 404, "message": f"no {path}"}
        if way:
            turn = self.turn(body)
        if turn.get("hang"):
            self.server.ended.wait()
        elif "status" in turn:
            kind = ERRORS.get(turn["status"], "api_error")
            message = {"error": {"type": kind, "message": turn.get("message", "scripted failure"), "code": turn.get("code", turn["status"])}}
            self.reply(turn["status"], "application/json", json.dumps({"type": "error", **message}), turn.get("headers", {}))
        else:
            stream = bool(body.get("stream")) or ":stream" in path
            kind = "text/event-stream" if stream else "application/json"
            self.reply(200, kind, "".join(getattr(self, f"_{way}")(turn, body, stream)), {})

    def turn(self, body: Json) -> Json:
        if self.server.needs_tools and not body.get("tools"):
            return {"text": "A title"}
        said = body.get("messages") or body.get("contents") or body.get("input") or []
        turns = self.server.turns
        if isinstance(turns, dict):
            text = "\n".join(texts(said))
            turns = next((found for pattern, found in turns.items() if re.search(pattern, text)), [{"text": "(no pattern is found in this)"}])
        answers = 0
        mine = False
        for message in said:
            before, mine = mine, message.get("role") in {"assistant", "model"} or str(message.get("type")).endswith("_call")
            answers += mine and not before
        return turns[min(answers, len(turns) - 1)]

    def reply(self, status: int, kind: str, text: str, headers: Json) -> None:
        self.send_response(status)
        for name, value in {"content-type": kind, "content-length": len(text.encode()), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(text.encode())

    def _responses(self, turn: Json, body: Json, stream: bool) -> Iterator[str]:  # noqa: ARG002, FBT001 - it is always a stream
        items: list[Json] = []
        if turn.get("text"):
            items.append(
                {"type": "message", "role": "assistant", "id": f"m{next(IDS)}", "content": [{"type": "output_text", "text": turn["text"], "annotations": []}]}
            )
        for tool in turn.get("tools", []):
            call = {"id": f"i{next(IDS)}", "call_id": f"c{next(IDS)}", "name": tool["name"], "status": "completed"}
            given = tool["input"]
            items.append(
                {"type": "custom_tool_call", **call, "input": given}
                if isinstance(given, str)
                else {"type": "function_call", **call, "arguments": json.dumps(given)}
            )
        usage = {"input_tokens": IN, "input_tokens_details": {"cached_tokens": CACHED}, "output_tokens": OUT, "total_tokens": IN + OUT}
        response = {"id": f"r{next(IDS)}", "created_at": 1, "model": body.get("model", "fake")}
        yield event({"type": "response.created", "response": response})
        for i, item in enumerate(items):
            begun = {"content": []} if item["type"] == "message" else {"arguments": ""} if item["type"] == "function_call" else {}
            yield event({"type": "response.output_item.added", "output_index": i, "item": {**item, **begun}})
            if item["type"] == "message":
                yield event({"type": "response.output_text.delta", "output_index": i, "item_id": item["id"], "content_index": 0, "delta": turn["text"]})
            yield event({"type": "response.output_item.done", "output_index": i, "item": item})
        response |= {"usage": usage, "output": items}
        yield event({"type": "response.completed", "response": response})

    def _chat(self, turn: Json, body: Json, stream: bool) -> Iterator[str]:  # noqa: FBT001
        calls = [
            {"index": i, "id": f"c{next(IDS)}", "type": "function", "function": {"name": tool["name"], "arguments": json.dumps(tool["input"])}}
            for i, tool in enumerate(turn.get("tools", []))
        ]
        message: Json = {"role": "assistant", "content": turn.get("text", "")} | ({"tool_calls": calls} if calls else {})
        ended = "tool_calls" if calls else "stop"
        usage = {"prompt_tokens": IN, "prompt_tokens_details": {"cached_tokens": CACHED}, "completion_tokens": OUT, "total_tokens": IN + OUT}
        head = {"id": f"x{next(IDS)}", "created": 1, "model": body.get("model", "fake")}
        if not stream:
            yield json.dumps({**head, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": ended}], "usage": usage})
            return
        for choice, more in (({"delta": message, "finish_reason": None}, {}), ({"delta": {}, "finish_reason": ended}, {"usage": usage})):
            yield event({**head, "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}], **more})
        yield "data: [DONE]\n\n"

    def _messages(self, turn: Json, body: Json, stream: bool) -> Iterator[str]:  # noqa: FBT001
        blocks: list[Json] = [{"type": "text", "text": turn["text"]}] if turn.get("text") else []
        blocks += [{"type": "tool_use", "id": f"toolu_{next(IDS)}", "name": tool["name"], "input": tool["input"]} for tool in turn.get("tools", [])]
        ended = {"stop_reason": "tool_use" if turn.get("tools") else "end_turn", "stop_sequence": None}
        usage = {"input_tokens": IN - CACHED, "cache_read_input_tokens": CACHED, "cache_creation_input_tokens": 0, "output_tokens": OUT}
        message = {"id": f"msg_{next(IDS)}", "type": "message", "role": "assistant", "model": body.get("model"), "usage": usage}
        if not stream:
            yield json.dumps({**message, "content": blocks, **ended})
            return
        yield event({"type": "message_start", "message": {**message, "content": [], "stop_reason": None}})
        for i, block in enumerate(blocks):
            empty = {"text": ""} if block["type"] == "text" else {"input": {}}
            delta = (
                {"type": "text_delta", "text": block["text"]}
                if block["type"] == "text"
                else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            )
            yield event({"type": "content_block_start", "index": i, "content_block": {**block, **empty}})
            yield event({"type": "content_block_delta", "index": i, "delta": delta})
            yield event({"type": "content_block_stop", "index": i})
        yield event({"type": "message_delta", "usage": usage, "delta": ended})
        yield event({"type": "message_stop"})

    def _gemini(self, turn: Json, body: Json, stream: bool) -> Iterator[str]:  # noqa: ARG002, FBT001
        parts: list[Json] = [{"text": turn["text"]}] if turn.get("text") else []
        parts += [{"functionCall": {"name": tool["name"], "args": tool["input"]}} for tool in turn.get("tools", [])]
        usage = {"promptTokenCount": IN, "candidatesTokenCount": OUT, "totalTokenCount": IN + OUT, "cachedContentTokenCount": CACHED}
        answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        yield event(answer) if stream else json.dumps(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name is the base class's
        pass


def texts(found: Any) -> Iterator[str]:
    """All texts in a piece of JSON."""
    if isinstance(found, str):
        yield found
    for part in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from texts(part)


def event(data: Json) -> str:
    """A server-sent event."""
    return (f"event: {data['type']}\n" if "type" in data else "") + f"data: {json.dumps(data)}\n\n"
