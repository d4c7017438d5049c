"""The few questions that the command line asks Prefect itself: importing Prefect would take longer than the answers."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from adw import server
from adw.errors import AdwError
from adw.login import credentials
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
    answer = httpx.request(method, f"{prefect.api}{path}", headers=credentials(prefect.login), timeout=TIMEOUT, **given)
    return answer.raise_for_status().json()


def secret(name: str) -> str:
    """What a Prefect Secret holds; AdwError if there is none, or the server cannot be asked."""
    prefect = server.running()
    try:
        if prefect is None:
            msg = f"the Prefect Secret {name!r} cannot be read: the server does not run"
            raise AdwError(msg)
        document = ask(prefect, "get", f"/block_types/slug/secret/block_documents/name/{name}", params={"include_secrets": True})
    except httpx.HTTPStatusError as no:
        msg = f"there is no Prefect Secret {name!r}: make it in the Prefect UI under Blocks, or set the environment variable that goes with it when you call adw (status {no.response.status_code})"
        raise AdwError(msg) from no
    except httpx.HTTPError as no:
        msg = f"the Prefect Secret {name!r} cannot be read: {no or type(no).__name__}"
        raise AdwError(msg) from no
    return str(document["data"]["value"])


@dataclass(frozen=True, slots=True)
class Question:
    """What a paused flow run asks."""

    flow_run: str
    key: str  # another one each time
    text: str  # Markdown
    plan: str | None  # the plan that is asked about, to be edited; None if it is about a change


def question(flow_run: str) -> Question | None:
    """What a flow run asks now; None if it asks nothing, or the server cannot be asked."""
    prefect = server.running()
    if prefect is None:
        return None
    try:
        keys = _keys(prefect, flow_run)
        if not keys:
            return None
        text = ask(prefect, "get", f"/flow_runs/{flow_run}/input/{keys['description']}")  # there last: a moment after the pause
        form = ask(prefect, "get", f"/flow_runs/{flow_run}/input/{keys['schema']}")["properties"]
    except httpx.HTTPError:
        return None
    return Question(flow_run, keys["schema"], text, form["plan"]["default"] if "plan" in form else None)


def _keys(prefect: Server, flow_run: str) -> dict[str, str] | None:
    """Under which names the server has what a paused flow run asks; None if it is not paused."""
    state = ask(prefect, "get", f"/flow_runs/{flow_run}")["state"]
    return state["state_details"]["run_input_keyset"] if state["type"] == "PAUSED" else None


def is_open(question: Question) -> bool:
    """Whether nobody has answered, as far as is known."""
    prefect = server.running()
    try:
        return prefect is None or (_keys(prefect, question.flow_run) or {}).get("schema") == question.key
    except httpx.HTTPError:
        return True


def answer(question: Question, **values: Any) -> bool:
    """Answer what a flow run asks, as Prefect's own client does; False if somebody else was first. httpx.HTTPError if the server is away."""
    prefect = server.running()
    if prefect is None:
        msg = "the Prefect server does not run"
        raise httpx.ConnectError(msg)
    return is_open(question) and ask(prefect, "post", f"/flow_runs/{question.flow_run}/resume", json={"run_input": values})["status"] == "ACCEPT"


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
