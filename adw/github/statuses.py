"""Statuses of commits: a line for each phase beside a pull request's commit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from adw.github.client import Client

LONGEST = 140  # characters that GitHub takes


@dataclass(frozen=True, slots=True)
class Status:
    """What is said of a commit in one context."""

    state: Literal["pending", "success", "failure", "error"]
    text: str


class Statuses:
    """The statuses of commits of a repository."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, sha: str, wanted: Mapping[str, Status], page: str) -> None:
        """Have a commit's statuses be these, by context; those that are so already are not sent again. `page` is where more is to be read."""
        told = self._client.get(f"/commits/{sha}/status", per_page=100)
        there = {one["context"]: (one["state"], one["description"] or "", one["target_url"] or "") for one in told["statuses"]}
        for context, status in wanted.items():
            text = status.text[:LONGEST]
            if there.get(context) != (status.state, text, page):
                given = {"state": status.state, "context": context, "description": text, **({"target_url": page} if page else {})}
                self._client.send("POST", f"/statuses/{sha}", given)
