import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from deployments.serving import RetrySoon


def answered(status: int) -> list[Message]:
    """What a client gets of an application that answers with a status."""
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(RetrySoon(app)({"type": "http"}, receive, send))
    return sent


def test_who_met_a_busy_database_is_told_to_come_back_soon() -> None:
    start, body = answered(503)
    assert start["headers"] == [(b"a", b"b"), (b"retry-after", b"0.1")]
    assert body == {"type": "http.response.body", "body": b"x"}


@pytest.mark.parametrize("status", [200, 404, 429, 500])
def test_another_answer_is_passed_on_as_it_is(status: int) -> None:
    assert answered(status)[0]["headers"] == [(b"a", b"b")]
