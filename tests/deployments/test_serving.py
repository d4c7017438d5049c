import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import APIWebSocketRoute
from prefect.server.api.server import API_ROUTERS
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, PREFECT_UI_ENABLED, temporary_settings
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import Pool
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from deployments.serving import LOCK_LIMIT, Patient, create_app, give_up_soon


def answered(*statuses: int) -> tuple[list[Message], list[bytes]]:
    """What a client gets of an application that answers with these statuses in turn, and the bodies that it was asked with."""
    left, sent, heard = list(statuses), list[Message](), list[bytes]()
    parts: list[Message] = [
        {"type": "http.request", "body": b"a question", "more_body": True},
        {"type": "http.request", "body": b" in two parts", "more_body": False},
    ]

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        heard.append((await receive())["body"])
        status = left.pop(0)
        await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})
        if status == 503 and left:
            raise OSError  # as Prefect does, for its log

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(Patient(app, pauses=[0, 0])({"type": "http"}, receive, send))
    return sent, heard


def test_a_busy_database_is_asked_again_with_the_same_body_and_the_client_sees_one_answer() -> None:
    sent, heard = answered(503, 503, 201)
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 201
    assert heard == [b"a question in two parts"] * 3


def test_who_met_a_busy_database_to_the_end_is_told_to_come_back_soon() -> None:
    (start, body), _ = answered(503, 503, 503)
    assert (start["status"], start["headers"]) == (503, [(b"a", b"b"), (b"retry-after", b"0.1")])
    assert body == {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize("status", [200, 404, 429, 500])
def test_another_answer_is_passed_on_as_it_is(status: int) -> None:
    sent, heard = answered(status)
    assert (sent[0]["status"], sent[0]["headers"], len(heard)) == (status, [(b"a", b"b")], 1)


def test_a_connection_waits_for_the_lock_of_sqlite_only_a_few_seconds_whatever_was_set_when_it_was_made(tmp_path: Path) -> None:
    async def found() -> list[int]:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
        event.listen(engine.sync_engine, "connect", lambda connection, _: connection.cursor().execute("PRAGMA busy_timeout = 60000"))
        event.listen(engine.sync_engine.pool, "checkout", give_up_soon)
        limits = []
        for _ in range(2):
            async with engine.connect() as connection:
                limits.append((await connection.execute(text("PRAGMA busy_timeout"))).scalar_one())
        await engine.dispose()
        return limits

    assert asyncio.run(found()) == [LOCK_LIMIT] * 2


@pytest.fixture(scope="module")
def stranger() -> Iterator[TestClient]:
    """Who asks the application without its login."""
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "adw:quite-secret", PREFECT_UI_ENABLED: False}):
        yield TestClient(create_app())
    event.remove(Pool, "checkout", give_up_soon)


def filled(path: str) -> str:
    return re.sub(r"{.*?}", "x", path)


def test_of_all_that_the_api_can_be_asked_only_whether_it_is_there_is_answered_without_the_login(stranger: TestClient) -> None:
    known = [(method.upper(), path) for path, methods in stranger.get("/openapi.json").json()["paths"].items() for method in methods]
    answers = {(method, path): stranger.request(method, f"/api{filled(path)}") for method, path in known}
    assert ("GET", "/block_documents/{id}") in answers
    assert {asked: answer.json() for asked, answer in answers.items() if answer.status_code != 401} == {
        ("GET", "/health"): True,
        ("GET", "/ready"): {"message": "OK"},
    }


@pytest.mark.parametrize("path", [filled(route.path) for router in API_ROUTERS for route in router.routes if isinstance(route, APIWebSocketRoute)])
def test_no_websocket_tells_anything_without_the_login(stranger: TestClient, path: str) -> None:
    for protocols, said in ([], {}), (["prefect"], {"type": "filter", "filter": {}}), (["prefect"], {"type": "auth", "token": "adw:another"}):
        with pytest.raises(WebSocketDisconnect), stranger.websocket_connect(f"/api{path}", subprotocols=protocols) as socket:  # noqa: PT012 - any of these
            socket.send_json(said)
            socket.receive_json()
