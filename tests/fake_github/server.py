"""The server, its state, and what all answers have in common: login, pages, tags, and the rate limit."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

Json = dict[str, Any]
Said = tuple[int, Any, dict[str, str]]
TOKEN = "ghp_the-token-of-the-tests"
BOB = "bob"  # a person who may write


def no(status: int, message: str, *errors: Json, **headers: str) -> Said:
    """How GitHub says no."""
    return status, {"message": message, **({"errors": list(errors)} if errors else {}), "status": str(status)}, headers


class GitHub(ThreadingHTTPServer):
    """The server; `owner/name` are the last two parts of the repository's path."""

    daemon_threads = True
    accepts = "application/vnd.github+json"

    def __init__(self, bare: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bare, self.repository = bare, f"{bare.parent.name}/{bare.name.removesuffix('.git')}"
        self.pulls: list[Json] = []
        self.issues: list[Json] = []
        self.comments: dict[int, list[Json]] = {}
        self.events: dict[int, list[Json]] = {}
        self.edits: dict[int, list[Json]] = {}
        self.reviews: dict[int, Json] = {}  # of pull requests
        self.statuses: dict[str, list[Json]] = {}  # of commits, all that were ever told
        self.labels: set[str] = set()
        self.login = "ada"  # whose tokens they are
        self.drafts = True  # whether the repository may have any
        self.ids = 0  # of what people say
        self.people = {BOB: "write", "ada": "admin"}  # what they may do here; all others may read
        self.asked: list[tuple[str, str, Json]] = []
        self.tokens = {TOKEN}
        self.may_push = True
        self.page = 100  # entries at most
        self.left, self.reset = 5000, 0.0  # of the rate limit, and when there is more
        self.clock = 1_700_000_000  # the time of what happens here, which goes on by a second each time
        self.upset: Callable[[str, str], Said | None] = lambda _method, _path: None  # before an answer is thought of
        self.dropped: Callable[[str, str], bool] = lambda _method, _path: False  # whether an answer is lost
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, method: str, path: str, query: dict[str, str], given: Json) -> Said:
        """The answer to whoever may have one."""
        from tests.fake_github.routes import routed  # noqa: PLC0415 - they know this

        return routed(self, method, path, query, given)

    def now(self) -> str:
        """The time, as GitHub writes it; later each time."""
        self.clock += 1
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock))

    def number(self) -> int:
        """The next one: issues and pull requests share them."""
        return max((one["number"] for one in [*self.pulls, *self.issues]), default=0) + 1

    def heard(self, method: str, ending: str = "") -> list[str]:
        """The addresses that were asked by a method, by how they end."""
        return [path for how, path, _ in self.asked if how == method and path.endswith(ending)]

    def sha(self, branch: str) -> str:
        done = subprocess.run(["git", "-C", self.bare, "rev-parse", "--verify", "-q", f"refs/heads/{branch}"], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def tell(self, pull: Json) -> Json:
        """A pull request as it is told of now."""
        head = self.sha(pull["head"]["ref"]) if pull["state"] == "open" else pull["head"]["sha"]
        return {**pull, "head": {**pull["head"], "sha": head}}

    def pull(self, branch: str) -> Json:
        """The newest pull request for a branch."""
        return next(pull for pull in reversed(self.pulls) if pull["head"]["ref"] == branch)

    def issue(self, title: str, body: str | None = "", *labels: str, by: str = BOB, comments: int = 0) -> Json:
        """An issue that somebody opens; it is the answer about it, to be changed as is liked. Labels are set by bob."""
        number = self.number()
        issue = {
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "user": person(by),
            "html_url": f"https://github.com/{self.repository}/issues/{number}",
            "labels": [],
            "comments": comments,
            "created_at": self.now(),
            "author_association": "MEMBER",
        }
        self.issues.append(issue)
        for label in labels:
            self.label(issue, label)
        return issue

    def label(self, issue: Json, name: str, by: str = BOB) -> None:
        """Somebody sets a label."""
        issue["labels"] = [*(label for label in issue["labels"] if label["name"] != name), {"name": name}]
        self._happened(issue, "labeled", by, label={"name": name})

    def rename(self, issue: Json, title: str, by: str) -> None:
        """Somebody gives an issue another title."""
        issue["title"] = title
        self._happened(issue, "renamed", by)

    def edit(self, issue: Json, body: str, by: str) -> None:
        """Somebody changes an issue's text."""
        issue["body"] = body
        self.edits.setdefault(issue["number"], []).append({"editedAt": self.now(), "editor": {"login": by}})

    def comment(self, issue: Json, body: str, by: str = BOB, kind: str = "User") -> None:
        """Somebody comments."""
        issue["comments"] += 1
        self.said(issue["number"], body, by, kind)

    def said(self, number: int, body: str, by: str, kind: str = "User") -> Json:
        """Somebody comments on the issue or the pull request of a number."""
        said = {"id": self.next(), "body": body, "user": person(by, kind), "created_at": self.now()}
        self.comments.setdefault(number, []).append(said)
        return said

    def next(self) -> int:
        """The number of what is said next."""
        self.ids += 1
        return self.ids

    def _happened(self, issue: Json, event: str, by: str, **more: Any) -> None:
        self.events.setdefault(issue["number"], []).append({"event": event, "actor": person(by), "created_at": self.now(), **more})

    def handle_error(self, *_: object) -> None:
        """Who asked may have been killed meanwhile."""

    def close(self, branch: str) -> None:
        """What a person's click on *Close* does."""
        pull = self.pull(branch)
        pull.update(self.tell(pull), state="closed")

    def squash(self, branch: str, message: str) -> str:
        """What a person's *Squash and merge* does, with the message that they leave, and *Delete branch*; returns the commit."""
        pull, git = self.pull(branch), ["git", "-C", str(self.bare), "-c", "user.name=Bob", "-c", "user.email=bob@example.invalid"]

        def run(*args: str) -> str:
            return subprocess.run([*git, *args], capture_output=True, text=True, check=True).stdout.strip()

        base = pull["base"]["ref"]
        tree = run("merge-tree", "--write-tree", base, branch).split()[0]
        sha = run("commit-tree", tree, "-p", base, "-m", message)
        pull.update(self.tell(pull), state="closed", merged_at="2026-11-25T02:00:00Z", merge_commit_sha=sha)
        run("update-ref", f"refs/heads/{base}", sha)
        run("update-ref", "-d", f"refs/heads/{branch}")
        for other in self.pulls:
            if other["state"] == "open" and other["base"]["ref"] == branch:
                other["base"]["ref"] = base
        return sha


def person(login: str, kind: str = "User") -> Json | None:
    """A person, as GitHub names one; who has left is none."""
    return {"login": login, "type": kind} if login else None


Server = TypeVar("Server", bound=GitHub)


@contextmanager
def serving(bare: Path) -> Iterator[GitHub]:
    """GitHub, as long as the block lasts."""
    with served(GitHub(bare)) as github:
        yield github


@contextmanager
def served(server: Server) -> Iterator[Server]:
    """A server, as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: GitHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self.server.guard:
            self.server.asked.append((self.command, url.path, given))
            status, told, headers = self.server.upset(self.command, url.path) or self._answer(url.path, query, given)
            if self.server.dropped(self.command, url.path):
                self.close_connection = True
                return
        raw = b"" if status in {204, 304} else told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response_only(status)
        for name, value in {"date": formatdate(usegmt=True), "content-type": "application/json", **headers, "content-length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - the base's names

    def _answer(self, path: str, query: dict[str, str], given: Json) -> Said:
        """What is answered to whom: only those who have a token, and not too much of it, get further."""
        github = self.server
        if self.headers.get("authorization", "").removeprefix("Bearer ") not in github.tokens:
            return no(401, "Bad credentials")
        assert self.headers["accept"] == github.accepts
        if github.left <= 0 and time.time() < github.reset:
            rest = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(github.reset))}
            return no(403, "API rate limit exceeded for user ID 1.", **rest)
        status, told, headers = github.answer(self.command, path, query, given)
        if self.command == "GET" and status == 200:
            told, headers = self._paged(path, query, told, headers)
            headers["etag"] = f'W/"{sha256(json.dumps(told).encode()).hexdigest()}"'
            if self.headers.get("if-none-match") == headers["etag"]:
                return 304, b"", headers
        github.left -= 1
        return status, told, {**headers, "x-ratelimit-remaining": str(github.left)}

    def _paged(self, path: str, query: dict[str, str], told: Any, headers: dict[str, str]) -> tuple[Any, dict[str, str]]:
        """The page that is asked for of a list, with the address of the next one."""
        if not isinstance(told, list):
            return told, dict(headers)
        each, page = min(int(query.get("per_page", 30)), self.server.page), int(query.get("page", 1))
        more = {**query, "page": str(page + 1)}
        link = {"link": f'<{self.server.url}{path}?{urlencode(more)}>; rel="next"'} if len(told) > each * page else {}
        return told[each * (page - 1) : each * page], {**headers, **link}
