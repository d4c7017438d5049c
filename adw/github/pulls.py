"""Pull requests: as much of them as is needed to open one, find it again, and keep it up to date."""

from dataclasses import dataclass
from typing import Any, Self

from adw.errors import Blocked, Misuse
from adw.github.client import Client
from adw.github.forge import ANOTHER_TOKEN


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


class Pulls:
    """The pull requests of a repository."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def prove_access(self) -> None:
        """Misuse if the token lets us open no pull requests, as far as that shows beforehand."""
        try:
            told = self._client.get("")
        except Blocked as no:
            raise Misuse(str(no)) from no
        if not told.get("permissions", {}).get("push", True):
            msg = f"the token may not write to {self._client.forge.repository} at GitHub: {ANOTHER_TOKEN}"
            raise Misuse(msg)

    def find(self, branch: str) -> Pull | None:
        """The pull request for a branch: the one that is open, else the newest."""
        owner = self._client.forge.repository.partition("/")[0]
        listed = self._client.get("/pulls", head=f"{owner}:{branch}", state="all", per_page=100)
        found = [Pull.of(told) for told in listed if told["head"]["ref"] == branch]  # GitHub lists all where it does not understand the filter
        return max(found, key=lambda pull: (pull.open, pull.number), default=None)

    def open(self, title: str, body: str, branch: str, base: str) -> Pull:
        """Open a pull request for a branch."""
        return Pull.of(self._client.send("POST", "/pulls", {"title": title, "body": body, "head": branch, "base": base}))

    def change(self, pull: Pull, body: str, base: str) -> None:
        """Give a pull request another text and base, where they differ."""
        wanted = {"body": body, "base": base}
        if changed := {name: value for name, value in wanted.items() if value != getattr(pull, name)}:
            self._client.send("PATCH", f"/pulls/{pull.number}", changed)
