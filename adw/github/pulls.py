"""Pull requests: as much of them as is needed to open one, find it again, and keep it up to date."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx

from adw.errors import Blocked, Declined, Misuse
from adw.github.client import Client
from adw.github.forge import ANOTHER_TOKEN

READY = "mutation($pull: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $pull}) { clientMutationId } }"
COLOUR = "ededed"  # of a label, as GitHub gives one by default


@dataclass(frozen=True, slots=True)
class Pull:
    """A pull request."""

    number: int
    url: str
    base: str
    body: str
    open: bool
    merged: str  # the commit that it was merged as; empty if it was not
    draft: bool = False
    node: str = ""  # its id in GraphQL
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, told: Any) -> Self:
        """What GitHub tells of one."""
        merged = told["merge_commit_sha"] or told["head"]["sha"] if told["merged_at"] else ""
        return cls(
            told["number"],
            told["html_url"],
            told["base"]["ref"],
            told["body"] or "",
            told["state"] == "open",
            merged,
            told["draft"],
            told["node_id"],
            tuple(label["name"] for label in told["labels"]),
        )


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

    def draft(self, title: str, body: str, branch: str, base: str) -> Pull | None:
        """Open a draft for a branch; None where the repository may have none, as a private one of a free account."""
        try:
            return Pull.of(self._client.send("POST", "/pulls", {"title": title, "body": body, "head": branch, "base": base, "draft": True}))
        except Declined as no:
            if no.status == httpx.codes.UNPROCESSABLE_ENTITY and "draft" in str(no).lower():
                return None
            raise

    def ready(self, pull: Pull) -> None:
        """Make a draft one that waits for people: REST cannot."""
        if pull.draft:
            self._client.graphql(READY, pull=pull.node)

    def label(self, pull: Pull, wanted: Sequence[str]) -> None:
        """See to it that a pull request has labels. One that is not there is made, or left out where that may not be."""
        missing = [label for label in wanted if label not in pull.labels]
        if not missing:
            return
        try:
            self._label(pull, missing)
        except Declined:
            for label in missing:
                with suppress(Declined):
                    self._client.send("POST", "/labels", {"name": label, "color": COLOUR}, again=True)
            for label in missing:
                with suppress(Declined):
                    self._label(pull, [label])

    def _label(self, pull: Pull, labels: Sequence[str]) -> None:
        self._client.send("POST", f"/issues/{pull.number}/labels", {"labels": list(labels)}, again=True)

    def change(self, pull: Pull, body: str, base: str) -> None:
        """Give a pull request another text and base, where they differ."""
        wanted = {"body": body, "base": base}
        if changed := {name: value for name, value in wanted.items() if value != getattr(pull, name)}:
            self._client.send("PATCH", f"/pulls/{pull.number}", changed)
