"""The few questions that the command line asks Prefect itself: importing Prefect would take longer than the answers."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from adw import server
from adw.server import Server

TIMEOUT = 10.0  # seconds


@contextmanager
def joined(tell: Callable[[str], None] = lambda _text: None) -> Iterator[Server]:
    """A server that answers, for the block; Prefect may be imported in it, and then uses this server."""
    with server.in_use(tell) as prefect:
        os.environ.update(prefect.environment())  # Prefect reads its settings when it is imported
        yield prefect


def ask(prefect: Server, method: str, path: str, **given: Any) -> Any:
    """The answer of the server's API; httpx.HTTPError if there is none."""
    answer = httpx.request(method, f"{prefect.api}{path}", headers=server.credentials(prefect.login), timeout=TIMEOUT, **given)
    return answer.raise_for_status().json()


def how_it_ended(flow_run: str) -> tuple[str, str] | None:
    """The name of the final state of a flow run, and its message; None if it has not ended, or the server cannot be asked."""
    prefect = server.running()
    if prefect is None:
        return None
    try:
        state = ask(prefect, "get", f"/flow_runs/{flow_run}")["state"]
    except httpx.HTTPError:
        return None
    return (state["name"], state["message"] or "") if state["type"] in {"COMPLETED", "CANCELLED", "FAILED", "CRASHED"} else None


def cancel(flow_run: str) -> bool:
    """Cancel a flow run that nobody has begun; whether the server could be told."""
    prefect = server.running()
    if prefect is None:
        return False
    try:
        ask(prefect, "post", f"/flow_runs/{flow_run}/set_state", json={"state": {"type": "CANCELLED", "name": "Cancelled"}})
    except httpx.HTTPError:
        return False
    return True
