"""A stand-in for GitHub on loopback: its pull requests, by the REST API, of one repository that is a real bare one.

    with serving(bare) as github:
        …  # github.url is for landing.api_url; github.pulls are its pull requests, github.asked what it was asked

Statuses, names and errors are those of its published API description. `github.upset` may stand in the way of an answer.
"""

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Said = tuple[int, Any, dict[str, str]]
TOKEN = "ghp_the-token-of-the-tests"


class GitHub(ThreadingHTTPServer):
    """The server; `owner/name` are the last two parts of the repository's path."""

    daemon_threads = True

    def __init__(self, bare: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bare, self.repository = bare, f"{bare.parent.name}/{bare.name.removesuffix('.git')}"
        self.pulls: list[Json] = []
        self.asked: list[tuple[str, str, Json]] = []
        self.may_push = True
        self.upset: Callable[[str, str], Said | None] = lambda _method, _path: None  # before an answer is thought of
        self.dropped: Callable[[str, str], bool] = lambda _method, _path: False  # whether an answer is lost
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

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


@contextmanager
def serving(bare: Path) -> Iterator[GitHub]:
    """GitHub, as long as the block lasts."""
    github = GitHub(bare)
    thread = threading.Thread(target=github.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield github
    finally:
        github.shutdown()
        thread.join()
        github.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: GitHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        given = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        url = urlsplit(self.path)
        with self.server.guard:
            self.server.asked.append((self.command, url.path, given))
            said = self.server.upset(self.command, url.path) or self._answer(url.path, {k: v[0] for k, v in parse_qs(url.query).items()}, given)
            if self.server.dropped(self.command, url.path):
                self.close_connection = True
                return
        status, told, headers = said
        raw = told if isinstance(told, bytes) else json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers, "content-length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - the base's names

    def _answer(self, path: str, query: dict[str, str], given: Json) -> Said:
        github = self.server
        if self.headers.get("authorization") != f"Bearer {TOKEN}":
            return no(401, "Bad credentials")
        assert self.headers["accept"] == "application/vnd.github+json"
        there = re.fullmatch(rf"/repos/{github.repository}(/pulls(?:/(\d+))?)?", path)
        if not there:
            return no(404, "Not Found")
        if not there[1]:
            return 200, {"full_name": github.repository, "permissions": {"pull": True, "push": github.may_push}}, {}
        if self.command == "POST":
            return self._open(given)
        if self.command == "PATCH":
            pull = github.pulls[int(there[2]) - 1]
            pull.update({name: value for name, value in given.items() if name != "base"})
            pull["base"] = {"ref": given.get("base", pull["base"]["ref"])}
            return 200, github.tell(pull), {}
        owner, _, branch = query["head"].partition(":")
        assert owner == github.repository.partition("/")[0]
        return 200, [github.tell(p) for p in reversed(github.pulls) if p["head"]["ref"] == branch and query["state"] in {p["state"], "all"}], {}

    def _open(self, given: Json) -> Said:
        github, branch = self.server, given["head"]
        if any(pull["state"] == "open" and pull["head"]["ref"] == branch for pull in github.pulls):
            return no(422, "Validation Failed", {"message": f"A pull request already exists for {github.repository.partition('/')[0]}:{branch}."})
        for side in ("head", "base"):
            if not github.sha(given[side]):
                return no(422, "Validation Failed", {"resource": "PullRequest", "field": side, "code": "invalid"})
        if github.sha(branch) == github.sha(given["base"]):
            return no(422, "Validation Failed", {"message": f"No commits between {given['base']} and {branch}"})
        number = len(github.pulls) + 1
        pull = {"number": number, "state": "open", "merged_at": None, "merge_commit_sha": None, "title": given["title"], "body": given["body"]}
        pull |= {
            "html_url": f"{github.url}/{github.repository}/pull/{number}",
            "head": {"ref": branch, "sha": github.sha(branch)},
            "base": {"ref": given["base"]},
        }
        github.pulls.append(pull)
        return 201, github.tell(pull), {}


def no(status: int, message: str, *errors: Json, **headers: str) -> Said:
    """How GitHub says no."""
    return status, {"message": message, **({"errors": list(errors)} if errors else {}), "status": str(status)}, headers
