"""Issues of a project at GitLab, by its REST API (v4)."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self
from urllib.parse import quote

import httpx

from adw.errors import Declined, Misuse
from adw.github.client import Client
from adw.github.forge import Forge, address
from adw.issues.board import Doing, Remark, Ticket

DEVELOPER = 30  # the access level from which on people may push
PROGRAM = re.compile(r"(project|group)_\d+_bot(_.*)?")  # the accounts of access tokens
CHANGED = ("changed the description", "changed title")  # how GitLab notes that a text was edited


@dataclass(frozen=True, slots=True)
class Project(Forge):
    """A project at GitLab, and where its API is."""

    kind: ClassVar[str] = "GitLab"
    setting: ClassVar[str] = "gitlab.api_url"
    another: ClassVar[str] = "give another one, with the scope read_api: in the Prefect Secret that gitlab.secret names, or in GITLAB_TOKEN"
    needs: ClassVar[str] = "read the project, its issues and its members"
    headers: ClassVar[dict[str, str]] = {"User-Agent": "adw"}

    @classmethod
    def of(cls, url: str, api: str = "") -> Self:
        """What the URL of a remote says; Misuse if that names no project."""
        host, path = address(url)
        found = cls.at(host, path, api)
        if "/" not in path:
            msg = f"{url} is no project at GitLab, as group/project is: name another remote in landing.remote"
            raise Misuse(msg)
        return found

    @classmethod
    def at(cls, host: str, repository: str, api: str = "") -> Self:
        """A project of a host, or of where the API is said to be."""
        found = api.rstrip("/") or f"https://{host}/api/v4"
        return cls(found, httpx.URL(found).host, repository)

    @property
    def url(self) -> str:
        """The project in the REST API."""
        return f"{self.api}/projects/{quote(self.repository, safe='')}"


def is_gitlab(host: str) -> bool:
    """Whether a host is GitLab by its name."""
    return host.startswith("gitlab.")


def own_token(host: str) -> str:
    """The token of the environment; Misuse if there is none."""
    if token := os.environ.get("GITLAB_TOKEN", "").strip():
        return token
    msg = f"there is no token for GitLab at {host}: set GITLAB_TOKEN (its scope read_api is enough), or name a Prefect Secret in gitlab.secret"
    raise Misuse(msg)


class GitLabBoard:
    """The port. Ids have the host before them, so that none is taken for one of GitHub's."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.repository = str(client.get("")["path_with_namespace"])  # as it is called now, whatever it was named
        self._may: dict[str, bool] = {}

    def id(self, number: int) -> str:
        """`gitlab.com/group/project#12`."""
        return f"{self._client.forge.host}/{self.repository}#{number}"

    def ticket(self, number: int) -> Ticket:
        """An issue; Misuse if there is none of that number."""
        try:
            return self._ticket(self._client.get(f"/issues/{number}"))
        except Declined as no:
            if no.status != httpx.codes.NOT_FOUND:
                raise
            msg = f"{self.repository} has no issue {number} at GitLab, or it is confidential, and not shown to this token"
            raise Misuse(msg) from no

    def labelled(self, label: str) -> Sequence[Ticket]:
        """All that are open and have a label, the oldest first."""
        listed = self._client.pages("/issues", labels=label, state="opened", order_by="created_at", sort="asc")
        return [self._ticket(told) for told in {told["iid"]: told for told in listed}.values()]

    def remarks(self, ticket: Ticket) -> Sequence[Remark]:
        """The comments that all may read."""
        return [Remark(_person(note["author"]), note["body"]) for note in self._notes(ticket) if not (note["system"] or note.get("internal"))]

    def may_write(self, person: str) -> bool:
        """Whether a person is a developer at least, by themself or by a group; asked once."""
        if person not in self._may:
            found = self._client.pages("/members/all", query=person) if person else ()
            self._may[person] = any(one["username"] == person and one["access_level"] >= DEVELOPER for one in found)
        return self._may[person]

    def set_by(self, ticket: Ticket, label: str) -> Doing | None:
        """Who set a label last."""
        events = self._client.pages(f"/issues/{ticket.number}/resource_label_events")
        found = [event for event in events if event["action"] == "add" and event["label"] and event["label"]["name"].casefold() == label.casefold()]
        return _doing(found[-1]["user"], found[-1]["created_at"]) if found else None

    def changes(self, ticket: Ticket) -> Sequence[Doing]:
        """New titles and new texts, which GitLab notes among the comments."""
        return [_doing(note["author"], note["created_at"]) for note in self._notes(ticket) if note["system"] and note["body"].startswith(CHANGED)]

    def _notes(self, ticket: Ticket) -> list[Any]:
        return list(self._client.pages(f"/issues/{ticket.number}/notes", order_by="created_at", sort="asc"))

    def _ticket(self, told: Any) -> Ticket:
        return Ticket(
            id=self.id(told["iid"]),
            number=told["iid"],
            title=told["title"] or "",
            body=told["description"] or "",
            author=_person(told["author"]),
            open=told["state"] == "opened",
            labels=tuple(told["labels"]),
            remarks=told["user_notes_count"],
        )


def _person(user: Any) -> str:
    """A person's name; empty for the accounts of tokens, and for none."""
    return user["username"] if user and not PROGRAM.fullmatch(user["username"]) else ""


def _doing(user: Any, when: str) -> Doing:
    return Doing((user or {}).get("username", ""), datetime.fromisoformat(when))
