"""A scripted stand-in for Anthropic's Messages API, to drive real CLIs and the gateway offline.

    python tests/fake_anthropic.py --script script.json [--port 0] [--log requests.jsonl] [--key KEY]...

Prints `listening 127.0.0.1:PORT`. The script is a list of rules; the first one whose regular expression `match` is found in the
newest prompt that a user wrote is used:

    [{"match": "add a file", "turns": [
        {"tools": [{"name": "Write", "input": {"file_path": "{cwd}/a.py", "content": "A = 1\\n"}}],
         "usage": {"input_tokens": 900, "output_tokens": 40}},
        {"text": "done"}]},
     {"match": "flaky", "fail": {"status": 429, "times": 2, "headers": {"retry-after": "1"}}, "turns": [{"text": "ok"}]}]

Turn N answers a conversation with N messages of the assistant since that prompt (at the end, the last repeats). `{cwd}` becomes
the working directory that the CLI names. A turn may also have

    sleep        seconds before the answer
    rate         words a second: the text comes slowly, a word at a time
    hold         wait for `Server.go` behind so many events of the stream (0: before the answer)
    cut          drop the connection in the middle of the stream
    stop_reason

With `--key`, a request with any other key gets a 401; with a `limits` of a key (`Server.limits`), so does each beyond that many.
`GET /stats` tells how many requests came, how many at once at most, and how many by key.
"""

import argparse
import itertools
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
USAGE = {"input_tokens": 100, "output_tokens": 20}
NO_RULE: dict[str, Any] = {"match": "", "turns": [{"text": "(no rule of the script matches)"}]}
IDS = itertools.count(1)
HELD = 60  # seconds that a turn is held at most

Json = dict[str, Any]


def prompt_text(content: str | list[Json]) -> str:
    """The text of a message that a user wrote, without the CLI's own reminders."""
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    joined = "\n".join(block["text"] for block in blocks if block.get("type") == "text")
    return re.sub(r"<system-reminder>.*?</system-reminder>", "", joined, flags=re.DOTALL)


def choose(rules: list[Json], body: Json) -> tuple[Json, int]:
    """The rule of a conversation, and the number of the assistant's messages since its prompt."""
    turns = 0
    for message in reversed(body.get("messages", [])):
        if message["role"] == "assistant":
            turns += 1
        elif message["role"] == "user" and (text := prompt_text(message["content"])).strip():
            for rule in rules:
                if re.search(rule["match"], text):
                    return rule, turns
    return NO_RULE, turns


def message_for(turn: Json, body: Json) -> Json:
    """The message that a turn answers with."""
    if cwd := re.search(r"(?:working directory|CWD): ([^\s\"\\]+)", json.dumps(body)):
        turn = json.loads(json.dumps(turn).replace("{cwd}", cwd.group(1)))
    text = [{"type": "text", "text": turn["text"]}] if turn.get("text") else []
    tools = [{"type": "tool_use", "id": f"toolu_{next(IDS):08d}", **tool} for tool in turn.get("tools", [])]
    return {
        "id": f"msg_{next(IDS):08d}",
        "type": "message",
        "role": "assistant",
        "content": [*text, *tools],
        "model": body.get("model", "fake"),
        "stop_reason": turn.get("stop_reason") or ("tool_use" if tools else "end_turn"),
        "stop_sequence": None,
        "usage": {**USAGE, **turn.get("usage", {})},
    }


def deltas(block: Json, rate: float) -> Iterator[Json]:
    """A block's content in pieces; a text word by word if it comes slowly."""
    if block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        return
    for piece in re.findall(r"\S+\s*|\s+", block["text"]) if rate else [block["text"]]:
        time.sleep(1 / rate if rate else 0)
        yield {"type": "text_delta", "text": piece}


def events(message: Json, rate: float) -> Iterator[Json]:
    """The events of a message that is streamed."""
    start: Json = {"content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    yield {"type": "message_start", "message": {**message, **start}}
    for index, block in enumerate(message["content"]):
        empty: Json = {"text": ""} if block["type"] == "text" else {"input": {}}
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
        for delta in deltas(block, rate):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "usage": {"output_tokens": message["usage"]["output_tokens"]}, "delta": end}
    yield {"type": "message_stop"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the headers wait for the body
    server: "Server"

    def reply(self, status: int, payload: Json, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(data)

    def fail(self, status: int, message: str = "scripted failure", headers: dict[str, str] | None = None) -> None:
        self.reply(status, {"type": "error", "error": {"type": ERRORS.get(status, "api_error"), "message": message}}, headers)

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.reply(200, self.server.stats)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        with self.server.counted(key, self.path, body) as allowed:
            if allowed:
                self.answer(body)
            else:
                self.fail(401, "invalid x-api-key")

    def answer(self, body: Json) -> None:
        if self.path.startswith("/v1/messages/count_tokens"):
            self.reply(200, {"input_tokens": len(json.dumps(body)) // 4})
            return
        rule, number = choose(self.server.rules, body)
        if failure := self.server.failure(rule):
            self.fail(failure["status"], failure.get("message", "scripted failure"), failure.get("headers"))
            return
        turns = rule.get("turns") or NO_RULE["turns"]
        turn = turns[min(number, len(turns) - 1)]
        time.sleep(turn.get("sleep", 0))
        if body.get("stream"):
            self.stream(turn, message_for(turn, body))
        else:
            self.server.held(turn, 0)
            self.reply(200, message_for(turn, body))

    def stream(self, turn: Json, message: Json) -> None:
        self.server.held(turn, 0)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for number, event in enumerate(itertools.islice(events(message, turn.get("rate", 0)), 2 if turn.get("cut") else None), 1):
            try:
                self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
            except OSError:  # the client went away
                self.server.dropped.set()
                return
            self.server.held(turn, number)

    def log_message(self, *_args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """The API. What tests look at: `seen`, `stats`; what they set: `rules`, `keys`, `limits`, `go`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, rules: list[Json], port: int = 0, log: str | None = None, keys: tuple[str, ...] = ()) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.rules, self.log, self.keys = rules, log, set(keys)  # no keys: any is right
        self.limits: dict[str, int] = {}  # of a key → how many requests it is good for
        self.seen: list[Json] = []  # the requests, in the order that they came in: time, key, path, body
        self.go = threading.Event()  # what held turns wait for
        self.dropped = threading.Event()  # whether a client left in the middle of a stream
        self.now = self.peak = 0
        self._by_key: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def stats(self) -> Json:
        with self._guard:
            return {"requests": len(self.seen), "peak": self.peak, "now": self.now, "by_key": dict(self._by_key)}

    @contextmanager
    def counted(self, key: str, path: str, body: Json) -> Iterator[bool]:
        """Count a request while it is at work; whether its key is right."""
        request = {"t": time.time(), "key": key, "path": path, "body": body}
        with self._guard:
            self.seen.append(request)
            self._by_key[key] += 1
            self.now += 1
            self.peak = max(self.peak, self.now)
            allowed = (not self.keys or key in self.keys) and self._by_key[key] <= self.limits.get(key, len(self.seen))
            if self.log:
                with Path(self.log).open("a") as out:
                    out.write(json.dumps(request) + "\n")
        try:
            yield allowed
        finally:
            with self._guard:
                self.now -= 1

    def failure(self, rule: Json) -> Json | None:
        """The rule's `fail` while it still applies."""
        fail: Json | None = rule.get("fail")
        with self._guard:
            self._failed[rule["match"]] += 1
            return fail if fail and self._failed[rule["match"]] <= fail.get("times", float("inf")) else None

    def held(self, turn: Json, number: int) -> None:
        """Wait to be told to go on, if a turn is held behind so many events."""
        if turn.get("hold") == number:
            self.go.wait(HELD)

    def handle_error(self, *_about: object) -> None:
        """A client that went away is no error."""


@contextmanager
def serving(rules: list[Json], **about: Any) -> Iterator[Server]:
    """An API on loopback, for the block."""
    with Server(rules, **about) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.go.set()
            server.shutdown()
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", required=True, type=Path)
    parser.add_argument("--log", help="append each request, as a line of JSON")
    parser.add_argument("--key", action="append", default=[], help="a key that is right; by default any is")
    args = parser.parse_args()
    server = Server(json.loads(args.script.read_text()), args.port, args.log, tuple(args.key))
    print(f"listening 127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201 - it is what it says
    server.serve_forever()


if __name__ == "__main__":
    main()
