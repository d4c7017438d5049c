"""Pull requests on GitHub, by its REST API: as much of it as is needed to open one, find it again, and keep it up to date."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import httpx

from adw import proc
from adw.errors import Blocked, HubAway, Misuse

PUBLIC = "https://api.github.com"
PATIENCE = 30.0  # seconds for an answer
ANOTHER_TOKEN = "give another one: in the Prefect Secret that landing.secret names, in GITHUB_TOKEN, or by `gh auth login`"  # noqa: S105 - words


@dataclass(frozen=True, slots=True)
class Forge:
    """A repository at GitHub, and where its API is."""

    api: str
    host: str
    repository: str  # owner/name

    @classmethod
    def of(cls, url: str, api: str = "") -> Self:
        """What the URL of a remote says; Misuse if that is no repository at GitHub."""
        far = re.fullmatch(r"(?:https?|ssh|git)://(?:[^@/]*@)?([^/:]+)(?::\d+)?/(.+)|(?:[^@/:]+@)?([^/:]+):(?!//)(.+)", url)
        host, path = (str(far[1] or far[3]).removeprefix("ssh."), str(far[2] or far[4])) if far else ("", url)
        *above, owner, name = ["", "", *path.strip("/").removesuffix(".git").split("/")]
        if not (owner and name) or (not api and (any(above) or not host)):
            msg = f"{url} is no repository at GitHub: landing.mode = 'pull-request' needs a remote there (landing.remote), or landing.api_url"
            raise Misuse(msg)
        found = api.rstrip("/") or (PUBLIC if host == "github.com" else f"https://{host}/api/v3")
        return cls(found, "github.com" if found == PUBLIC else httpx.URL(found).host, f"{owner}/{name}")


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request."""

    number: int
    url: str
    base: str
    body: str
    open: bool
    merged: str  # the commit that it was merged as; empty if it was not

    @classmethod
    def of(cls, told: Any) -> Self:
        """What GitHub tells of one."""
        merged = told["merge_commit_sha"] or told["head"]["sha"] if told["merged_at"] else ""
        return cls(told["number"], told["html_url"], told["base"]["ref"], told["body"] or "", told["state"] == "open", merged)


class GitHub:
    """The API, for one repository. HubAway while it does not answer, or has too much to do; Blocked, in its own words, if it says no."""

    def __init__(self, forge: Forge, client: httpx.Client) -> None:
        self._forge, self._client = forge, client

    def prove_access(self) -> None:
        """Misuse if the token lets us open no pull requests, as far as that shows beforehand."""
        try:
            told = self._ask("GET", "")
        except Blocked as no:
            raise Misuse(str(no)) from no
        if not told.get("permissions", {}).get("push", True):
            msg = f"the token may not write to {self._forge.repository} at GitHub: {ANOTHER_TOKEN}"
            raise Misuse(msg)

    def find(self, branch: str) -> Pull | None:
        """The pull request for a branch: the one that is open, else the newest."""
        owner = self._forge.repository.partition("/")[0]
        listed = self._ask("GET", "/pulls", params={"head": f"{owner}:{branch}", "state": "all", "per_page": 100})
        found = [Pull.of(told) for told in listed if told["head"]["ref"] == branch]  # GitHub lists all where it does not understand the filter
        return max(found, key=lambda pull: (pull.open, pull.number), default=None)

    def open(self, title: str, body: str, branch: str, base: str) -> Pull:
        """Open a pull request for a branch."""
        return Pull.of(self._ask("POST", "/pulls", json={"title": title, "body": body, "head": branch, "base": base}))

    def change(self, pull: Pull, body: str, base: str) -> None:
        """Give a pull request another text and base, where they differ."""
        wanted = {"body": body, "base": base}
        if changed := {name: value for name, value in wanted.items() if value != getattr(pull, name)}:
            self._ask("PATCH", f"/pulls/{pull.number}", json=changed)

    def _ask(self, method: str, path: str, **given: Any) -> Any:
        url = f"{self._forge.api}/repos/{self._forge.repository}{path}"
        try:
            answer = self._client.request(method, url, **given)
        except (httpx.RequestError, httpx.InvalidURL) as no:
            msg = f"GitHub cannot be reached at {self._forge.api}: {no or type(no).__name__}"
            raise HubAway(msg) from no
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or _too_much(answer):
            msg = f"GitHub is in trouble, or has had too much of us ({answer.status_code}): {_said(answer)}"
            raise HubAway(msg)
        try:
            told = answer.json()
        except ValueError as no:
            msg = f"what answers at {url} is not GitHub's API ({answer.status_code}): check landing.api_url"
            raise Blocked(msg) from no
        if not answer.is_success:
            raise Blocked(self._in_words(answer, method))
        return told

    def _in_words(self, answer: httpx.Response, method: str) -> str:
        """What a no means."""
        name, said = self._forge.repository, f"(GitHub says: {_said(answer)})"
        return {
            401: f"GitHub does not take the token, it may have expired: {ANOTHER_TOKEN} {said}",
            403: f"the token may not do this in {name} at GitHub: it needs to read and write pull requests and contents; {ANOTHER_TOKEN} {said}",
            404: f"GitHub shows this token no repository {name}: it is named otherwise, or private, and the token is not for it; "
            f"check `git remote -v`, or {ANOTHER_TOKEN} {said}",
            422: f"GitHub takes no such pull request in {name} {said}",
        }.get(answer.status_code, f"GitHub answers {method} for {name} with {answer.status_code} {said}")


def _too_much(answer: httpx.Response) -> bool:
    """Whether it is a rate limit, of which GitHub has several."""
    limited = "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    return answer.status_code == httpx.codes.TOO_MANY_REQUESTS or (answer.status_code == httpx.codes.FORBIDDEN and limited)


def _said(answer: httpx.Response) -> str:
    """GitHub's own words."""
    try:
        told = answer.json()
        errors = [error if isinstance(error, str) else error.get("message") or f"{error['field']}: {error['code']}" for error in told.get("errors", [])]
        return "; ".join([told["message"], *errors])
    except (ValueError, KeyError, TypeError, AttributeError):
        return answer.text[:200] or "nothing"


@contextmanager
def reached(forge: Forge, token: str) -> Iterator[GitHub]:
    """The API, for the block."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "adw"}
    with httpx.Client(headers=headers, timeout=PATIENCE, follow_redirects=True) as client:
        yield GitHub(forge, client)


def own_token(host: str) -> str:
    """The token that the user of this machine has: GITHUB_TOKEN, or what `gh` knows; Misuse if there is none."""
    if token := os.environ.get("GITHUB_TOKEN", "").strip():
        return token
    try:
        status, said = proc.heard(["gh", "auth", "token", *(["--hostname", host] if host else [])], PATIENCE)
    except FileNotFoundError:
        status, said = 1, ""
    if status or not said.strip():
        msg = "there is no token for GitHub, which landing.mode = 'pull-request' needs: set GITHUB_TOKEN, log in with `gh auth login`, or name a Secret in landing.secret"
        raise Misuse(msg)
    return said.strip()
