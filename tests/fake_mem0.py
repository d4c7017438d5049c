"""Stand-ins on loopback for what Mem0 talks to: the embeddings of OpenAI's API, and Mem0's own platform.

    with serving() as api:
        …  # api.url; api.asked is what it was asked; api.late holds answers back while it is not set

A text's embedding counts its words in 256 dimensions, so that texts that share words are near each other. The platform speaks
what `MemoryClient` of mem0ai 2.2 speaks, and filters by `user_id` only.
"""

import json
import math
import re
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

DIMENSIONS = 256
KEY = "m0-the-key-of-the-tests"
Json = dict[str, Any]


class Api(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Json]] = []
        self.kept: dict[str, Json] = {}
        self.late = threading.Event()
        self.late.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Who asked may not have waited."""


@contextmanager
def serving() -> Iterator[Api]:
    """Both, as long as the block lasts."""
    api = Api()
    thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.late.set()
        api.shutdown()
        thread.join()
        api.server_close()


def embedding(text: str) -> list[float]:
    """How often each word is in a text, by the word's place, as a direction."""
    counts = [0.0] * DIMENSIONS
    for word in re.findall(r"\w+", text.lower()):
        counts[zlib.crc32(word.encode()) % DIMENSIONS] += 1.0
    length = math.sqrt(sum(count * count for count in counts)) or 1.0
    return [count / length for count in counts]


def near(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(embedding(one), embedding(other), strict=True))


class Handler(BaseHTTPRequestHandler):
    """Answers both protocols, by the path."""

    server: Api

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        where = urlsplit(self.path)
        self.server.asked.append((self.command, where.path, body))
        self.server.late.wait(60)
        status, said = 404, {"detail": "there is no such thing"}
        if where.path == "/v1/embeddings":
            found = [{"object": "embedding", "index": n, "embedding": embedding(text)} for n, text in enumerate(body["input"])]
            status, said = 200, {"object": "list", "model": body["model"], "data": found, "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        elif self.headers["authorization"] != f"Token {KEY}":
            status, said = 401, {"detail": "Given token not valid for any token type"}
        else:
            status, said = self.platform(where.path, {name: values[0] for name, values in parse_qs(where.query).items()}, body)
        data = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

    def platform(self, path: str, query: dict[str, str], body: Json) -> tuple[int, Json]:  # noqa: PLR0911 - one for each of its paths
        """Mem0's own answers."""
        kept, method = self.server.kept, self.command
        one = path.removeprefix("/v1/memories/").strip("/")
        match method, path:
            case "GET", "/v1/ping/":
                return 200, {"status": "ok", "org_id": "o", "project_id": "p", "user_email": "ada@example.invalid"}
            case "POST", "/v3/memories/add/":
                name = str(uuid.uuid4())
                text = " ".join(message["content"] for message in body["messages"])
                stamp = {"created_at": "2026-11-25T02:00:00Z", "updated_at": "2026-11-25T02:00:00Z"}
                kept[name] = {"id": name, "memory": text, "user_id": body["user_id"], "metadata": body.get("metadata"), "categories": [], **stamp}
                return 200, {"message": "Memory processing has been queued for background execution", "status": "PENDING", "event_id": str(uuid.uuid4())}
            case "POST", "/v3/memories/search/":
                mine = self.mine(body)
                ranked = sorted(({**found, "score": near(body["query"], found["memory"])} for found in mine), key=lambda found: -float(found["score"]))
                return 200, {"results": ranked[: body["top_k"]]}
            case "POST", "/v3/memories/":
                mine, page, size = self.mine(body)[::-1], int(query.get("page", 1)), int(query.get("page_size", 100))
                more = f"{self.server.url}/v3/memories/?page={page + 1}" if len(mine) > page * size else None
                return 200, {"count": len(mine), "next": more, "previous": None, "results": mine[(page - 1) * size : page * size]}
            case "DELETE", "/v1/memories/":
                for found in [found for found in kept.values() if found["user_id"] == query["user_id"]]:
                    del kept[found["id"]]
                return 200, {"message": "Memories deleted successfully!"}
        if one not in kept:
            return 404, {"detail": "No Memory matches the given query."}
        if method == "PUT":
            kept[one] |= {"memory": body.get("text", kept[one]["memory"]), "metadata": body.get("metadata", kept[one]["metadata"])}
        elif method == "DELETE":
            del kept[one]
            return 200, {"message": "Memory deleted successfully!"}
        return 200, kept[one]

    def mine(self, body: Json) -> list[Json]:
        assert set(body["filters"]) == {"user_id"}, "the platform knows no operators on metadata that can be relied on"
        return [found for found in self.server.kept.values() if found["user_id"] == body["filters"]["user_id"]]
