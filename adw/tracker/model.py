"""The port to a tracker: a card is a task as adw wants it, the newest state of an issue or of one of its phases.

A task is known by its mark, a line of its description, whatever else is lost: it says whose task it is, and the status and the
place that adw has given it. What differs from those has been changed by a person.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, cast

Status = Literal["todo", "doing", "review", "done"]
MARK = re.compile(r"^adw: ([\w-]+)(?:/([\w-]+))? \((todo|doing|review|done)(?:, (\d+))?\)$", re.MULTILINE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What adw has said of a task."""

    issue: str  # its key
    phase: str  # empty: the task is the issue's own
    status: Status
    place: int = 0  # in the order of the project's tasks; 0: none was given

    def __str__(self) -> str:
        place = f", {self.place}" if self.place else ""
        return f"adw: {named(self.issue, self.phase)} ({self.status}{place})"


def named(issue: str, phase: str = "") -> str:
    """What a task of ours is called: the issue's key, and its phase."""
    return f"{issue}/{phase}" if phase else issue


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A task as adw wants it."""

    issue: str  # its key
    phase: str = ""  # empty: the task is the issue's own
    title: str
    text: str
    status: Status
    assignee: str
    last: str  # the last line of the description: what happens to it, and since when
    place: int = 0  # in the order of the project's tasks
    priority: str = "medium"  # to begin with

    @property
    def name(self) -> str:
        """What it is known by."""
        return named(self.issue, self.phase)

    def described(self, status: Status, place: int = 0) -> str:
        """The description, with the mark of what the task is given."""
        mark = Mark(issue=self.issue, phase=self.phase, status=status, place=place)
        return "\n\n".join([*([self.text] if self.text else []), f"{mark}\n{self.last}"])

    def fresh(self) -> dict[str, Any]:
        """The fields of a task that is not there yet: any tracker's new task is still to be done."""
        common = {"title": self.title, "assignee": self.assignee, "feature": self.issue}
        return {**common, "description": self.described("todo"), "task_order": 0, "priority": self.priority}

    def differs(self, there: "Task") -> dict[str, Any]:
        """The fields in which the task that is there is to be changed. A place that a person has given it stays."""
        place = (there.mark.place if there.mark else 0) or there.place or self.place
        wanted = {
            "title": self.title,
            "description": self.described(self.status, place),
            "status": self.status,
            "assignee": self.assignee,
            "feature": self.issue,
            **({"task_order": place} if not there.place else {}),
        }
        # The status that adw gave it last is left alone: where another one is there, a person has changed it.
        said = there.mark.status if there.mark else there.status
        if self.status == said:
            del wanted["status"]
        return {name: value for name, value in wanted.items() if value != there.fields[name]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task as it is in the tracker."""

    id: str
    fields: Mapping[str, Any]  # title, description, status, assignee, feature, task_order
    created: str

    @classmethod
    def of(cls, told: Any, known: "Task | None" = None) -> Self:
        """What a tracker tells of one; TypeError, KeyError or ValueError if that is nonsense. What it leaves out is as it was."""
        before = known.fields if known else {"feature": None}
        fields = {name: told[name] if name in told else before[name] for name in ("title", "description", "status", "assignee", "feature", "task_order")}
        fields["description"] = fields["description"] or ""
        fields["task_order"] = int(fields["task_order"] or 0)
        if not all(isinstance(fields[name], str) for name in ("title", "description", "status", "assignee")):
            raise TypeError(told)
        return cls(id=str(told["id"]), fields=fields, created=str(told.get("created_at") or (known.created if known else "")))

    @property
    def mark(self) -> Mark | None:
        """What adw has said of it; None if it is no task of adw's."""
        found = MARK.findall(self.fields["description"])
        if not found:
            return None
        issue, phase, status, place = found[-1]  # the text before it is anybody's
        return Mark(issue=issue, phase=phase, status=cast("Status", status), place=int(place or 0))

    @property
    def place(self) -> int:
        """Where it stands in the order of the project's tasks."""
        return int(self.fields["task_order"])

    @property
    def status(self) -> str:
        """How far it is, as whoever has said so last."""
        return str(self.fields["status"])


class Tracker(Protocol):
    """A tracker, for one repository. TrackerAway while it does not do what it is asked for; TrackerRefused if it never will."""

    async def look(self) -> Sequence[Task]:
        """All tasks of the repository's project, which is made if there is none."""

    async def make(self, fields: Mapping[str, Any]) -> Task:
        """Make a task. After TrackerAway it may be there, or be there soon."""

    async def change(self, task: Task, fields: Mapping[str, Any]) -> Task:
        """Change some fields of a task; as it then is."""

    async def drop(self, task: Task) -> None:
        """Take a task away."""

    def forget(self) -> None:
        """Take nothing for granted that was looked up before."""

    async def close(self) -> None:
        """Let go of all connections."""
