"""A stand-in for Archon on loopback: projects and tasks, by the REST API of its version 1.

    with serving() as archon:
        …  # archon.url is for tracker.url; archon.tasks and archon.projects are what it holds, archon.asked what it was asked

Statuses, names and errors are those of its source (`projects_api.py`, `task_service.py`): a new task is always `todo`, bad values
are 400 when a task is made and 500 when it is changed, what is archived is in no list. `upset` may stand in the way of an answer,
`dropped` loses one whose work is done, `seconds` is how long each takes.
"""

import hashlib
import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Said = tuple[int, Any, dict[str, str]]
STATUSES = ("todo", "doing", "review", "done")
PRIORITIES = ("low", "medium", "high", "critical")
FIELDS = ("title", "description", "status", "assignee", "task_order", "priority", "feature")
LISTED = ("id", "project_id", *FIELDS, "created_at", "updated_at", "archived")  # with exclude_large_fields
MADE = ("id", "project_id", "title", "description", "status", "assignee", "task_order", "priority", "created_at")  # what the making of a task answers


@dataclass
class Book:
    """What the database holds."""

    projects: list[Json] = field(default_factory=list)
    tasks: list[Json] = field(default_factory=list)
    moment: int = 0

    def now(self) -> str:
        """A time that was never before."""
        self.moment += 1
        return f"2026-11-25T00:00:00.{self.moment:06d}"


class Archon(ThreadingHTTPServer):
    """The server."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, book: Book) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.book = book
        self.asked: list[tuple[str, str, Json]] = []
        self.answered: list[int] = []
        self.seconds = 0.0
        self.token = ""  # asks for none
        self.health: Json = {"status": "healthy", "ready": True}
        self.upset: Callable[[str, str], Said | None] = lambda _method, _path: None
        self.dropped: Callable[[str, str], bool] = lambda _method, _path: False
        self.busy: list[str] = []  # the paths that are being answered
        self.most = 0  # of them at once
        self.twice: list[str] = []  # tasks that were asked about while they still were
        self.connected: list[socket.socket] = []
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def tasks(self) -> list[Json]:
        """All that are not archived."""
        return [task for task in self.book.tasks if not task["archived"]]

    @property
    def listed(self) -> list[tuple[str, str]]:
        """What adw calls each task, and its status."""
        return sorted((re.findall(r"^adw: (\S+) \(", task["description"], re.MULTILINE)[-1], task["status"]) for task in self.tasks)

    @property
    def states(self) -> dict[str, str]:
        """The status of each, by what adw calls it; fails if one is there twice."""
        found = self.listed
        assert len(dict(found)) == len(found), f"some are there twice: {found}"
        return dict(found)

    def task(self, name: str) -> Json:
        """The task that adw calls so."""
        return next(task for task in self.tasks if f"\nadw: {name} (" in f"\n{task['description']}")

    def every_third_fails(self) -> None:
        """From now on each third request is answered with 500."""
        count = iter(range(1, 1_000_000))
        self.upset = lambda _method, _path: no(500, "connection to the database lost") if next(count) % 3 == 0 else None

    def wanted(self, method: str) -> list[str]:
        """The paths of all requests of a kind."""
        return [path for how, path, _ in self.asked if how == method]

    def end(self) -> None:
        """Be gone: also for those who are connected."""
        self.shutdown()
        for connection in self.connected:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Who asked may have been killed meanwhile."""


@contextmanager
def serving(port: int = 0, book: Book | None = None) -> Iterator[Archon]:
    """Archon, as long as the block lasts; with what it held before, if that is given."""
    archon = Archon(port, book or Book())
    thread = threading.Thread(target=archon.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield archon
    finally:
        archon.end()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Archon
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connected.append(self.connection)

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        url, archon = urlsplit(self.path), self.server
        with archon.guard:
            archon.asked.append((self.command, url.path, given))
            archon.twice += [url.path] if url.path in archon.busy and "/tasks/" in url.path else []
            archon.busy.append(url.path)
            archon.most = max(archon.most, len(archon.busy))
        time.sleep(archon.seconds)
        with archon.guard:
            said = archon.upset(self.command, url.path) or self._answer(url.path, {k: v[0] for k, v in parse_qs(url.query).items()}, given)
            lost = archon.dropped(self.command, url.path)
            archon.busy.remove(url.path)
            archon.answered.append(said[0])
        if lost:
            self.close_connection = True
            return
        status, told, headers = said
        raw = told if isinstance(told, bytes) else json.dumps(told).encode() if told is not None else b""
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base's names

    def _answer(self, path: str, query: dict[str, str], given: Json) -> Said:  # noqa: PLR0911 - a route each
        archon, book = self.server, self.server.book
        if archon.token and self.headers.get("authorization") != f"Bearer {archon.token}":
            return no(401, "Invalid token")
        if path in {"/health", "/api/health"}:
            return (200 if archon.health["ready"] else 503), archon.health, {}
        if not archon.health["ready"]:
            return 503, archon.health, {}
        if path == "/api/projects/health":
            return 200, {"status": "healthy", "service": "projects", "schema": {"valid": True}}, {}
        if path == "/api/projects":
            return self._make_project(given) if self.command == "POST" else self._cached({"projects": book.projects, "count": len(book.projects)})
        if path == "/api/tasks":
            return self._make_task(given) if self.command == "POST" else self._page(query)
        if found := re.fullmatch(r"/api/projects/([^/]+)/tasks", path):
            return self._cached([{name: task[name] for name in LISTED} for task in self._sorted() if task["project_id"] == found[1]])
        if found := re.fullmatch(r"/api/projects/([^/]+)", path):
            return self._project(found[1])
        if found := re.fullmatch(r"/api/tasks/([^/]+)", path):
            return self._task(found[1], given)
        return no(404, "Not Found")

    def _sorted(self) -> list[Json]:
        return sorted(self.server.tasks, key=lambda task: (task["task_order"], task["created_at"]))

    def _cached(self, told: Any) -> Said:
        tag = f'"{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]}"'
        return (304, None, {"etag": tag}) if self.headers.get("if-none-match") == tag else (200, told, {"etag": tag})

    def _page(self, query: dict[str, str]) -> Said:
        found = [task for task in self._sorted() if query.get("project_id") in {None, task["project_id"]}]
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        return 200, {"tasks": found[(page - 1) * size : page * size], "pagination": {"total": len(found), "page": page, "per_page": size}}, {}

    def _make_project(self, given: Json) -> Said:
        if not str(given.get("title") or "").strip():
            return no(422, "Title is required")
        book = self.server.book
        project = {"id": str(uuid.uuid4()), "description": "", "github_repo": None, "pinned": False, **given, "created_at": book.now()}
        book.projects.append(project)
        return 200, {"project_id": project["id"], "project": project, "status": "completed", "message": "Project created"}, {}

    def _project(self, name: str) -> Said:
        book = self.server.book
        project = next((project for project in book.projects if project["id"] == name), None)
        if project is None:
            return no(404, {"error": f"Project with ID {name} not found"})
        if self.command == "DELETE":
            book.projects.remove(project)
            book.tasks = [task for task in book.tasks if task["project_id"] != name]
        return 200, project, {}

    def _make_task(self, given: Json) -> Said:
        book = self.server.book
        if not isinstance(given.get("title"), str) or not isinstance(given.get("project_id"), str):
            return 422, {"detail": [{"type": "missing", "loc": ["body", "title"], "msg": "Field required"}]}, {}
        if given["project_id"] not in {project["id"] for project in book.projects}:
            return no(400, {"error": "Error creating task: insert violates foreign key constraint"})
        task = {"assignee": "User", "task_order": 0, "priority": "medium", "feature": None, "description": "", **given, "status": "todo", "archived": False}
        if wrong := invalid(task):
            return no(400, {"error": wrong})
        if task["task_order"] > 0:
            for other in self.server.tasks:
                if (other["project_id"], other["status"]) == (task["project_id"], "todo") and other["task_order"] >= task["task_order"]:
                    other["task_order"] += 1
        task |= {"id": str(uuid.uuid4()), "created_at": book.now(), "updated_at": book.now()}
        book.tasks.append(task)
        return 200, {"message": "Task created successfully", "task": {name: task[name] for name in MADE}}, {}

    def _task(self, name: str, given: Json) -> Said:  # noqa: PLR0911 - an answer each
        try:
            uuid.UUID(name)
        except ValueError:
            return no(500, {"error": f'Error updating task: invalid input syntax for type uuid: "{name}"'})
        task = next((task for task in self.server.book.tasks if task["id"] == name), None)
        if task is None:
            return no(404, f"Task with ID {name} not found")
        if self.command == "DELETE":
            if task["archived"]:
                return no(409, f"Task with ID {name} is already archived")
            task["archived"] = True
            return 200, {"message": "Task archived successfully"}, {}
        if self.command == "GET":
            return 200, task, {}
        changed = {key: value for key, value in given.items() if key in FIELDS and value is not None}
        if wrong := invalid({**task, **changed}):
            return no(500, {"error": wrong})
        task.update(changed, updated_at=self.server.book.now())
        return 200, {"message": "Task updated successfully", "task": task}, {}


def invalid(task: Json) -> str:
    """What is wrong with the fields of a task, in Archon's words."""
    if not task["title"].strip():
        return "Task title is required and must be a non-empty string"
    if not task["assignee"].strip():
        return "Assignee must be a non-empty string"
    for name, known in (("status", STATUSES), ("priority", PRIORITIES)):
        if task[name] not in known:
            return f"Invalid {name} '{task[name]}'. Must be one of: {', '.join(known)}"
    return ""


def no(status: int, detail: Any, **headers: str) -> Said:
    """How Archon says no."""
    return status, {"detail": detail}, headers
