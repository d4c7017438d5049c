"""Comments on issues: one by adw on each, found again by its mark and kept up to date."""

from dataclasses import dataclass
from typing import Any

from adw.github.client import Client

MARK = "<!-- adw"  # what every comment of adw's begins with; who has it in them is not heeded


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of adw's."""

    number: int
    text: str


class Comments:
    """The comments of adw's on the issues of a repository."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._login = ""

    def find(self, issue: int) -> Comment | None:
        """The comment of adw's on an issue: the oldest, if there should be several."""
        found = (told for told in self._client.pages(f"/issues/{issue}/comments") if (told["body"] or "").startswith(MARK) and self._ours(told["user"]))
        return next((Comment(told["id"], told["body"]) for told in found), None)

    def put(self, issue: int, there: Comment | None, text: str) -> Comment:
        """Have the comment say something; `there` is the one that was found."""
        if there is None:
            return Comment(self._client.send("POST", f"/issues/{issue}/comments", {"body": text})["id"], text)
        if there.text != text:
            self._client.send("PATCH", f"/issues/comments/{there.number}", {"body": text})
        return Comment(there.number, text)

    def close(self, issue: int) -> None:
        """Close an issue as done."""
        self._client.send("PATCH", f"/issues/{issue}", {"state": "closed", "state_reason": "completed"})

    def _ours(self, author: Any) -> bool:
        """Whether a comment is by whoever the token is of: somebody else may write our mark, too."""
        self._login = self._login or str(self._client.graphql("query { viewer { login } }")["viewer"]["login"])
        return bool(author) and author["login"] == self._login
