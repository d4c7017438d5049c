"""Where a repository is at GitHub, and the token that the user of this machine has for it."""

import os
import re
from dataclasses import dataclass
from typing import ClassVar, Self

import httpx

from adw import proc
from adw.errors import Misuse

PUBLIC = "https://api.github.com"
PATIENCE = 30.0  # seconds for `gh`
ANOTHER_TOKEN = "give another one: in the Prefect Secret that github.secret names, in GITHUB_TOKEN, or by `gh auth login`"  # noqa: S105 - words
REMOTE = re.compile(r"(?:https?|ssh|git)://(?:[^@/]*@)?([^/:]+)(?::\d+)?/(.+)|(?:[^@/:]+@)?([^/:]+):(?!//)(.+)")


def address(url: str) -> tuple[str, str]:
    """The host of a remote, empty if the URL names none, and the path of the repository there."""
    far = REMOTE.fullmatch(url)
    host, path = (str(far[1] or far[3]).removeprefix("ssh."), str(far[2] or far[4])) if far else ("", url)
    return host.lower(), path.strip("/").removesuffix(".git")


@dataclass(frozen=True, slots=True)
class Forge:
    """A repository at GitHub, and where its API is."""

    kind: ClassVar[str] = "GitHub"
    setting: ClassVar[str] = "github.api_url"
    another: ClassVar[str] = ANOTHER_TOKEN
    needs: ClassVar[str] = "read and write pull requests, contents and issues"
    headers: ClassVar[dict[str, str]] = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28", "User-Agent": "adw"}

    api: str
    host: str
    repository: str  # owner/name

    @classmethod
    def of(cls, url: str, api: str = "") -> Self:
        """What the URL of a remote says; Misuse if that is no repository at GitHub."""
        host, path = address(url)
        *above, owner, name = ["", "", *path.split("/")]
        if not (owner and name) or (not api and (any(above) or not host)):
            msg = f"{url} is no repository at GitHub: name another remote in landing.remote, or where GitHub's API is for this one in github.api_url"
            raise Misuse(msg)
        return cls.at(host, f"{owner}/{name}", api)

    @classmethod
    def at(cls, host: str, repository: str, api: str = "") -> Self:
        """A repository of a host, or of where the API is said to be."""
        found = api.rstrip("/") or (PUBLIC if host == "github.com" else f"https://{host}/api/v3")
        return cls(found, "github.com" if found == PUBLIC else httpx.URL(found).host, repository)

    @property
    def url(self) -> str:
        """The repository in the REST API."""
        return f"{self.api}/repos/{self.repository}"

    @property
    def graphql(self) -> str:
        """The GraphQL API."""
        return f"{self.api.removesuffix('/v3')}/graphql"


def own_token(host: str) -> str:
    """The token that the user of this machine has: GITHUB_TOKEN, or what `gh` knows; Misuse if there is none."""
    if token := os.environ.get("GITHUB_TOKEN", "").strip():
        return token
    try:
        status, said = proc.heard(["gh", "auth", "token", *(["--hostname", host] if host else [])], PATIENCE)
    except FileNotFoundError:
        status, said = 1, ""
    if status or not said.strip():
        msg = "there is no token for GitHub: set GITHUB_TOKEN, log in with `gh auth login`, or name a Prefect Secret in github.secret"
        raise Misuse(msg)
    return said.strip()
