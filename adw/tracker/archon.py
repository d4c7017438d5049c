"""Archon's task management (v1), over its REST API: a project for each repository, a task for each issue and each phase.

It has no authentication of its own, no batches and no idempotency: what a lost answer has done is found by looking. It answers 500
to bad input, too. No redirect is followed, so that the token goes where the configuration says, and nowhere else.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx

from adw.errors import TrackerAway, TrackerGone, TrackerRefused
from adw.memory.partition import address, partition
from adw.mirror import Hub
from adw.tracker.model import Task

PATIENCE = 15.0  # seconds for an answer
MAKING = 60.0  # for a new project, for which Archon may ask a model
REACHING = 5.0  # for a connection
FAR = re.compile(r"(?:https?|ssh|git)://|[^/@:]+@[^/:]+:")  # the URL of a remote on another host
WRONG = {httpx.codes.BAD_REQUEST, httpx.codes.CONFLICT, httpx.codes.UNPROCESSABLE_ENTITY}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository's project is found by."""

    title: str
    url: str  # of its remote, as people open it; empty if it has none on another host
    mark: str  # a line in the description of its project

    @classmethod
    def of(cls, hub: Hub) -> Self:
        """Of a repository of the user's, by the address that its clones have in common; without one, by its path."""
        _, origin, _ = hub.git.call("config", "--get", "remote.origin.url")
        known = address(origin.strip()).removeprefix("ssh.")
        return cls(hub.root.name.removesuffix(".git"), f"https://{known}" if FAR.match(origin) else "", f"adw: {partition(hub)}")


class Archon:
    """The API, for the project of one repository."""

    def __init__(self, url: str, token: str, repository: Repository) -> None:
        self._base, self._repository = url.rstrip("/"), repository
        headers = {"User-Agent": "adw", **({"Authorization": f"Bearer {token}"} if token else {})}
        self._client = httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(PATIENCE, connect=REACHING))
        self.forget()

    def forget(self) -> None:
        """Look for the project anew, and at all of its tasks."""
        self._project, self._tag, self._tasks = "", "", list[Task]()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    async def look(self) -> Sequence[Task]:
        """All tasks of the project but those that are archived; asked for only if some have changed."""
        self._project = self._project or await self._found() or await self._made()
        conditional = {"If-None-Match": self._tag} if self._tag else {}
        answer = await self._ask("GET", f"/projects/{self._project}/tasks", params={"exclude_large_fields": "true"}, headers=conditional)
        if answer.status_code != httpx.codes.NOT_MODIFIED:
            self._tasks = self._read(answer, lambda told: [Task.of(one) for one in told])
            self._tag = answer.headers.get("etag", "")
        return self._tasks

    async def make(self, fields: Mapping[str, Any]) -> Task:
        """Make a task, whose status is always `todo`."""
        answer = await self._ask("POST", "/tasks", json={"project_id": self._project, **fields})
        return self._read(answer, lambda told: Task.of({"feature": fields["feature"], **told["task"]}))

    async def change(self, task: Task, fields: Mapping[str, Any]) -> Task:
        """Change some fields of a task."""
        answer = await self._ask("PUT", f"/tasks/{task.id}", json=fields)
        return self._read(answer, lambda told: Task.of(told["task"], task))

    async def drop(self, task: Task) -> None:
        """Archive a task."""
        with suppress(TrackerGone, TrackerRefused):  # it is gone already, or archived
            await self._ask("DELETE", f"/tasks/{task.id}")

    async def _found(self) -> str:
        """The id of the project: the oldest one for the repository's address, or with its mark; empty if there is none."""
        answer = await self._ask("GET", "/projects", params={"include_content": "false"})
        return self._read(
            answer, lambda told: min(((str(one.get("created_at")), str(one["id"])) for one in told["projects"] if self._ours(one)), default=("", ""))[1]
        )

    def _ours(self, project: Mapping[str, Any]) -> bool:
        ours, theirs = self._repository.url, project.get("github_repo") or ""
        return bool(ours and address(theirs) == address(ours)) or self._repository.mark in (project.get("description") or "").splitlines()

    async def _made(self) -> str:
        """The id of a new project. Whoever does not get it in time looks again: it may be there by then."""
        repository = self._repository
        wanted = {"title": repository.title, "description": f"What adw does in {repository.title}.\n\n{repository.mark}"}
        answer = await self._ask("POST", "/projects", json={**wanted, **({"github_repo": repository.url} if repository.url else {})}, timeout=MAKING)
        return self._read(answer, lambda told: str(told["project_id"]))

    async def _ask(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            answer = await self._client.request(method, f"{self._base}/api{path}", **given)
        except httpx.TimeoutException as no:
            msg = f"Archon at {self._base} does not answer in time ({type(no).__name__})"
            raise TrackerAway(msg) from no
        except (httpx.RequestError, httpx.InvalidURL) as no:
            msg = f"Archon at {self._base} cannot be reached: {no or type(no).__name__}"
            raise TrackerAway(msg) from no
        if answer.is_success or answer.status_code == httpx.codes.NOT_MODIFIED:
            return answer
        said = _said(answer)
        if answer.status_code in WRONG or (answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Invalid" in said):
            msg = f"Archon at {self._base} does not take what it is asked for ({answer.status_code}): {said}"
            raise TrackerRefused(msg)
        msg = f"Archon at {self._base} {WORDS.get(answer.status_code, 'is in trouble')} ({answer.status_code}): {said}"
        raise TrackerGone(msg) if answer.status_code == httpx.codes.NOT_FOUND else TrackerAway(msg)

    def _read(self, answer: httpx.Response, how: Callable[[Any], T]) -> T:
        try:
            return how(answer.json())
        except (ValueError, KeyError, TypeError, AttributeError) as no:
            msg = f"Archon at {self._base} answers nonsense, if it is one: {answer.text[:80]!r}"
            raise TrackerAway(msg) from no


WORDS = {
    httpx.codes.UNAUTHORIZED: "wants another token",
    httpx.codes.FORBIDDEN: "wants another token",
    httpx.codes.NOT_FOUND: "does not know what it is asked for",
    httpx.codes.SERVICE_UNAVAILABLE: "is not ready",
    **dict.fromkeys((301, 302, 303, 307, 308), "is somewhere else: set tracker.url to that"),
}


def _said(answer: httpx.Response) -> str:
    """Its own words."""
    if answer.is_redirect:
        return str(answer.headers.get("location", ""))
    try:
        told = answer.json()
        detail = told["detail"] if "detail" in told else told["message"]
        return str(detail["error"] if isinstance(detail, dict) else detail)[:300]
    except (ValueError, KeyError, TypeError):
        return " ".join(answer.text.split())[:120] or "nothing"


def health(url: str, token: str) -> str:
    """What Archon says of itself; TrackerAway if it could not do what adw wants of it."""
    base = url.rstrip("/")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with httpx.Client(headers=headers, timeout=REACHING) as client:
            answer = client.get(f"{base}/health")
            told = answer.json()
            schema = client.get(f"{base}/api/projects/health").json() if told.get("ready") else {}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as no:
        msg = f"Archon at {base} does not answer as it should: {no or type(no).__name__}. Runs go on without it, and tell it later"
        raise TrackerAway(msg) from no
    if told.get("status") == "migration_required":
        msg = f"Archon at {base} lacks a migration of its database: {told.get('message') or 'see its documentation'}"
        raise TrackerAway(msg)
    if not told.get("ready"):
        msg = f"Archon at {base} is not ready: {told.get('status') or f'it answers {answer.status_code}'}"
        raise TrackerAway(msg)
    if schema.get("status") != "healthy":
        msg = f"Archon at {base} cannot keep tasks: {schema.get('error') or schema.get('status') or 'its database has no tables for them'}"
        raise TrackerAway(msg)
    return f"Archon at {base} is {told.get('status', 'ready')}"
