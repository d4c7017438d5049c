"""A gateway with all around it, for tests: the agent's side, and an API that answers with what it is given."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from adw.agents.base import ANTHROPIC
from adw.config import BudgetConfig, GatewayConfig, Price
from adw.gateway.client import Access, Gateway
from adw.model import Order
from adw.money import Ledger, Prices
from tests.adw.tools import until

KEY = "sk-ant-the-key-of-the-user"
PRICE = {"claude-": Price(input=1.0, output=10.0), "gpt-": Price(input=1.0, output=10.0, cache_read=0.1)}


def order(issue: str = "i1") -> Order:
    return Order(run="r1", issue=issue, issue_key=issue, phase="build", attempt=2)


@dataclass
class Heard:
    """The events of a gateway."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def wait(self, kind: str, number: int = 1) -> list[dict[str, Any]]:
        """The events of a kind, once there are so many."""
        return until(lambda: found if len(found := self.of(kind)) >= number else [])


@dataclass
class Opened:
    gateway: Gateway
    ledger: Ledger
    heard: Heard
    folder: Path


@contextmanager
def opened(folder: Path, budget: BudgetConfig | None = None, ledger: Ledger | None = None, **settings: Any) -> Iterator[Opened]:
    heard, ledger = Heard(), ledger or Ledger(budget or BudgetConfig())
    gateway = Gateway(GatewayConfig(**settings), ledger, Prices(PRICE), heard.events.append, folder)
    with gateway.opened():
        yield Opened(gateway, ledger, heard, folder)


@contextmanager
def lent(folder: Path, upstream: str, **settings: Any) -> Iterator[tuple[Opened, Access]]:
    """A gateway, and a lease of it."""
    with opened(folder, **settings) as around, around.gateway.lease(ANTHROPIC, KEY, upstream, order()) as access:
        yield around, access


def question(text: str, *, stream: bool = True) -> dict[str, Any]:
    return {"model": "claude-x", "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": text}]}


def ask(access: Access, text: str, *, stream: bool = True) -> httpx.Response:
    """Ask as an agent does, and wait for the whole answer."""
    headers = {"x-api-key": access.token, "anthropic-version": "2023-06-01"}
    return httpx.post(f"{access.url}/v1/messages?beta=true", headers=headers, json=question(text, stream=stream), timeout=60, trust_env=False)


def sent(access: Access, text: str) -> HTTPConnection:
    """A connection on which a request was sent, whose answer nobody waits for yet."""
    connection = HTTPConnection(access.url.removeprefix("http://"), timeout=60)
    connection.request("POST", "/v1/messages", json.dumps(question(text)), {"x-api-key": access.token, "content-type": "application/json"})
    return connection


class Canned(BaseHTTPRequestHandler):
    """Answers with what its server holds for the path, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "CannedServer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.seen.append((self.path, dict(self.headers.items()), json.loads(body)))
        status, headers, answer = self.server.answers[self.path]
        self.send_response(status)
        for name, value in {"content-length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_args: object) -> None:
        pass


class CannedServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answers: Mapping[str, tuple[int, dict[str, str], bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), Canned)
        self.answers = answers
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def canned(**answers: tuple[int, dict[str, str], bytes]) -> Iterator[CannedServer]:
    """An API whose paths (a `__` in a name is a slash) have each one answer: status, headers, body."""
    with CannedServer({path.replace("__", "/"): answer for path, answer in answers.items()}) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
