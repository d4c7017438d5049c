"""What the gateway costs: `make bench-gateway`.

The same request, as large as a CLI's, goes to an API on loopback directly and through the gateway, in turn, so that both meet the
same machine. The API answers at once: what is left is the gateway's own. Exit status 1 if a limit is not met.
"""

import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from adw.agents.base import ANTHROPIC
from adw.config import BudgetConfig, GatewayConfig
from adw.gateway.client import Access, Gateway
from adw.model import Order
from adw.money import Ledger, Prices
from benchmarks.small import MB, Figure

ROUNDS, WARM = 400, 20
BODY = json.dumps({"model": "claude-x", "stream": True, "messages": [{"role": "user", "content": "word " * 24_000}]})  # 120 KB, as CLIs send
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"model": "claude-x", "usage": {"input_tokens": 9, "output_tokens": 1}}},
    *[{"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word "}}] * 20,
    {"type": "message_delta", "usage": {"output_tokens": 20}},
    {"type": "message_stop"},
]


async def api() -> None:
    """An API that answers every request with the same stream, at once, on a port that it prints."""
    text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS).encode()
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(text) + text

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(length)
                writer.write(answer)
        except asyncio.IncompleteReadError:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def upstream() -> Iterator[str]:
    """That API, in a process of its own; its URL."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.gateway", "api"], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip() if process.stdout else ''}"
        finally:
            process.kill()


class Asker:
    """An agent with a connection that it keeps."""

    def __init__(self, url: str, token: str = "") -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc)
        self._headers = {"x-api-key": token, "content-type": "application/json"}

    def ask(self) -> tuple[float, float]:
        """Ask once: milliseconds to the first byte of the answer, and to its last."""
        began = time.perf_counter()
        self._connection.request("POST", "/v1/messages", BODY, self._headers)
        answer = self._connection.getresponse()
        answer.read(1)
        first = time.perf_counter()
        answer.read()
        if answer.status != 200:  # noqa: PLR2004 - OK
            sys.exit(f"the answer is {answer.status}")
        return (first - began) * 1000, (time.perf_counter() - began) * 1000


def side_by_side(direct: Asker, through: Asker) -> Iterator[Figure]:
    """The same request both ways, in turn."""
    pairs = [(direct.ask(), through.ask()) for _ in range(ROUNDS + WARM)][WARM:]
    for number, what in enumerate(("first", "last")):
        plain, ours = (statistics.median(pair[way][number] for pair in pairs) for way in (0, 1))
        print(f"    to the {what} byte: {plain:.2f} ms direct, {ours:.2f} ms through the gateway, {ours / plain:.1f} times")
        yield Figure(f"to the {what} byte, added by the gateway (median of {ROUNDS})", ours - plain, "ms", 5)
    late = statistics.quantiles((pair[1][0] - pair[0][0] for pair in pairs), n=20)[-1]
    yield Figure("to the first byte, added (19 of 20 are below; noisy on a busy machine)", late, "ms", 20)


def kept_up(gateway: Gateway, access: Access) -> Iterator[Figure]:
    """What it weighs, and how long a request waits for one that was killed."""
    yield Figure("memory of the gateway", psutil.Process(gateway.pid).memory_info().rss / MB, "MB", 70)
    times = []
    for _ in range(5):
        os.kill(gateway.pid, signal.SIGKILL)
        times.append(Asker(access.url, access.token).ask()[0] / 1000)
    yield Figure("a request right after the gateway was killed (median of 5)", statistics.median(times), "s", 3)


def measured(folder: Path) -> Iterator[Figure]:
    """All of it."""
    os.environ["ADW_HOME"] = str(folder / "home")
    order = Order(run="bench", issue="b", issue_key="b", phase="build")
    gateway = Gateway(GatewayConfig(), Ledger(BudgetConfig()), Prices({}), lambda _: None, folder)
    with upstream() as url, gateway.opened(), gateway.lease(ANTHROPIC, "the key", url, order) as access:
        yield from side_by_side(Asker(url), Asker(access.url, access.token))
        yield from kept_up(gateway, access)


def main() -> int:
    """Measure and print."""
    if sys.argv[1:] == ["api"]:
        asyncio.run(api())
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for figure in measured(Path(folder)):
            print(figure, flush=True)
            figures.append(figure)
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
