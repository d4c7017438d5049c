"""The application that adw's own Prefect server serves."""

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect.server.api.server import create_app as prefect_app
from sqlalchemy import event
from sqlalchemy.pool import Pool
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adw import server

SOON = (b"retry-after", b"0.1")
BUSY = 503
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)  # seconds between tries, each half as long again at most
LOCK_LIMIT = 1000  # milliseconds
LOGOS = Path(__file__).with_name("logos")  # a picture for each kind of Block, by its slug


class Patient:
    """Asks the application again when its SQLite was busy.

    Two transactions that write at once make Prefect answer 503: what one of them wanted has not happened, and may be asked for
    again. Its client would wait for two seconds and more, and a person in the UI would see an error. Nearly every task run with
    a tag limit meets this, as taking a slot reads before it writes. Who is still refused in the end is told to come back soon.
    """

    def __init__(self, app: ASGIApp, pauses: Sequence[float] = PAUSES) -> None:
        self._app, self._pauses = app, pauses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, more than once if need be."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        for pause in self._pauses:
            if await self._answered(dict(scope), body, receive, send):
                return
            await asyncio.sleep(pause * random.uniform(1, 1.5))  # noqa: S311 - those who met are not to meet again
        await self._app(scope, _again(body, receive), _soon(send))

    async def _answered(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> bool:
        """Whether the application had another answer than that it is busy, which is then on its way."""
        busy = False

        async def unless_busy(message: Message) -> None:
            nonlocal busy
            busy = busy or (message["type"] == "http.response.start" and message["status"] == BUSY)
            if not busy:
                await send(message)

        try:
            await self._app(scope, _again(body, receive), unless_busy)
        except Exception:  # Prefect answers 503 and raises what it was about, too
            if not busy:
                raise
        return not busy


async def _whole(receive: Receive) -> bytes:
    """The body of a request."""
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read before, and then whatever else comes."""
    given: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return given.pop() if given else await receive()

    return give


def _soon(send: Send) -> Send:
    """What adds to an answer that says busy when to come back."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == BUSY:
            message["headers"] = [*message["headers"], SOON]
        await send(message)

    return answer


def give_up_soon(_connection: Any, record: Any, _proxy: Any) -> None:
    """Wait a second for SQLite's lock, and not Prefect's minute, before `Patient` asks again.

    Where many write at once, a transaction keeps the lock while it waits for a connection, and all connections wait for the lock: for
    so long nothing happens. (Seen in 2 of 12 runs of benchmarks, where five or ten plans end together.)
    """
    if not record.info.get("adw"):
        record.info["adw"] = "has given it its limit"
        cursor = record.dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {LOCK_LIMIT}")
        cursor.close()


def create_app() -> Any:
    """Prefect's application, as a factory for uvicorn."""
    if server.database() == "SQLite":
        event.listen(Pool, "checkout", give_up_soon)  # "connect" would be too early: there Prefect sets it
    app = prefect_app()
    app.add_middleware(Patient)
    app.router.routes.insert(0, Mount("/adw", StaticFiles(directory=LOGOS)))  # first: the UI takes all that is left
    return app
