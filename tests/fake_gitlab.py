"""A stand-in for GitLab on loopback: the issues of one project, as the published description of its REST API (v4) has them.

    with serving("group/project") as gitlab:
        …  # f"{gitlab.url}/api/v4" is for gitlab.api_url

Logins, pages, lost answers and the like are as GitHub's stand-in has them; what is answered is GitLab's.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.fake_github.server import GitHub, Json, Said, served

TOKEN = "glpat-the-token-of-the-tests"
DEVELOPER, REPORTER = 30, 20


class GitLab(GitHub):
    """The server. It knows people by what they may do; issues, their notes, and the events of their labels."""

    accepts = "*/*"

    def __init__(self, project: str) -> None:
        super().__init__(Path("/", project))
        self.project, self.tokens = project, {TOKEN}
        self.members = {"bob": DEVELOPER, "bobby": REPORTER}
        self.notes: dict[int, list[Json]] = {}

    def open(self, title: str, text: str | None = "", *labels: str, by: str = "bob") -> Json:
        """An issue that somebody opens; labels are set by bob."""
        iid = len(self.issues) + 1
        issue: Json = {"iid": iid, "title": title, "description": text, "state": "opened", "author": {"username": by}, "labels": [], "user_notes_count": 0}
        self.issues.append(issue)
        for label in labels:
            self.mark(issue, label)
        return issue

    def mark(self, issue: Json, label: str, by: str = "bob") -> None:
        """Somebody sets a label."""
        issue["labels"] = [*issue["labels"], label]
        event = {"action": "add", "label": {"name": label}, "user": {"username": by}, "created_at": self.now()}
        self.events.setdefault(issue["iid"], []).append(event)

    def note(self, issue: Json, text: str, by: str = "bob", **more: Any) -> None:
        """Somebody comments; or GitLab itself does, with `system=True`."""
        issue["user_notes_count"] += not more.get("system")
        note = {"body": text, "author": {"username": by}, "system": False, "internal": False, "created_at": self.now(), **more}
        self.notes.setdefault(issue["iid"], []).append(note)

    def answer(self, method: str, path: str, query: dict[str, str], _given: Json) -> Said:
        """What is below a project whose name is quoted in the path."""
        there = re.fullmatch(r"/api/v4/projects/([^/]+)(/.*)?", path)
        if method != "GET" or not there or "/" in there[1] or unquote(there[1]) != self.project:
            return 404, {"message": "404 Project Not Found"}, {}
        below = there[2] or ""
        if not below:
            return 200, {"path_with_namespace": self.project}, {}
        if below == "/issues":
            return 200, [one for one in self.issues if query["labels"] in one["labels"] and one["state"] == query["state"]], {}
        if below == "/members/all":
            found = [{"username": name, "access_level": level} for name, level in self.members.items() if query["query"] in name]
            return 200, found, {}
        issue = re.fullmatch(r"/issues/(\d+)(/notes|/resource_label_events)?", below)
        if not issue or int(issue[1]) > len(self.issues):
            return 404, {"message": "404 Not found"}, {}
        number = int(issue[1])
        kept: dict[str | None, Any] = {
            None: self.issues[number - 1],
            "/notes": self.notes.get(number, []),
            "/resource_label_events": self.events.get(number, []),
        }
        return 200, kept[issue[2]], {}


@contextmanager
def serving(project: str) -> Iterator[GitLab]:
    """GitLab, as long as the block lasts."""
    with served(GitLab(project)) as gitlab:
        yield gitlab
