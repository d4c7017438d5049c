"""Issues of a repository at GitHub."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from adw.errors import Declined, Misuse
from adw.github.client import Client
from adw.github.people import People
from adw.issues.board import Doing, Remark, Ticket

GONE = {404, 410}
EDITS = """
query($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    issue(number: $number) { userContentEdits(first: 100) { totalCount nodes { editedAt editor { login } } } }
  }
}
"""


class GitHubBoard:
    """The port, by GitHub's REST API; and by GraphQL where only that knows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.repository = str(client.get("")["full_name"])  # as it is called now, whatever it was named
        self._people = People(client)

    def id(self, number: int) -> str:
        """`owner/name#12`."""
        return f"{self.repository}#{number}"

    def ticket(self, number: int) -> Ticket:
        """An issue; Misuse, with what is the matter, if it is none."""
        try:
            told = self._client.get(f"/issues/{number}")
        except Declined as no:
            if no.status not in GONE:
                raise
            msg = f"{self.repository} has no issue {number} at GitHub{': it was deleted, or issues are switched off there' if no.status == 410 else ''}"  # noqa: PLR2004
            raise Misuse(msg) from no
        if "pull_request" in told:
            msg = f"{self.id(number)} is a pull request at GitHub, and no issue: name the issue that it is for"
            raise Misuse(msg)
        if not f"/{told['html_url']}".casefold().endswith(f"/{self.repository}/issues/{number}".casefold()):
            msg = f"{self.id(number)} was moved at GitHub: name {told['html_url']} instead, in its own repository"
            raise Misuse(msg)
        return self._ticket(told)

    def labelled(self, label: str) -> Sequence[Ticket]:
        """All that are open and have a label, the oldest first; GitHub lists pull requests among them."""
        listed = self._client.pages("/issues", labels=label, state="open", sort="created", direction="asc")
        return [
            self._ticket(told) for told in {told["number"]: told for told in listed}.values() if "pull_request" not in told
        ]  # pages may shift while they are read

    def remarks(self, ticket: Ticket) -> Sequence[Remark]:
        """The comments of people."""
        return [Remark(_name(told["user"]), told["body"] or "") for told in self._client.pages(f"/issues/{ticket.number}/comments")]

    def may_write(self, person: str) -> bool:
        """Whether a person may write, asked once."""
        return self._people.may_write(person)

    def set_by(self, ticket: Ticket, label: str) -> Doing | None:
        """Who set a label last."""
        events = [event for event in self._events(ticket) if event["event"] == "labeled" and event["label"]["name"].casefold() == label.casefold()]
        return _doing(events[-1]["actor"], events[-1]["created_at"]) if events else None

    def changes(self, ticket: Ticket) -> Sequence[Doing]:
        """New titles, which REST tells, and new texts, which only GraphQL does."""
        owner, _, name = self.repository.partition("/")
        told = self._client.graphql(EDITS, owner=owner, name=name, number=ticket.number)["repository"]["issue"]["userContentEdits"]
        if told["totalCount"] > len(told["nodes"]):
            msg = f"{ticket.id} was edited more than {len(told['nodes'])} times"
            raise Declined(msg, 200)
        edits = [_doing(edit["editor"], edit["editedAt"]) for edit in told["nodes"]]
        return [*(_doing(event["actor"], event["created_at"]) for event in self._events(ticket) if event["event"] == "renamed"), *edits]

    def _events(self, ticket: Ticket) -> list[Any]:
        return list(self._client.pages(f"/issues/{ticket.number}/events"))

    def _ticket(self, told: Any) -> Ticket:
        return Ticket(
            id=self.id(told["number"]),
            number=told["number"],
            title=told["title"] or "",
            body=told["body"] or "",
            author=(told["user"] or {}).get("login", ""),
            open=told["state"] == "open",
            labels=tuple(label if isinstance(label, str) else label["name"] for label in told["labels"]),
            remarks=told["comments"],
        )


def _name(user: Any) -> str:
    """A person's name; empty for bots, and for those whose account is gone."""
    return user["login"] if user and user.get("type") != "Bot" else ""


def _doing(user: Any, when: str) -> Doing:
    return Doing((user or {}).get("login", ""), datetime.fromisoformat(when))
