"""What people have changed in the tracker, for a run that is to heed it.

Whatever reaches the tracker can say such things, as Archon asks nobody who they are: it is heeded only with `tracker.read`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from adw.errors import Skipped
from adw.model import URGENT, Issue, one_line
from adw.tracker.model import Task

OURS = "adw"  # a person's task that is assigned to this name is to become an issue


class People:
    """What they have said, for the threads of a run; nothing, where nobody listens."""

    def __init__(self) -> None:
        self._skipped: Mapping[str, str] = {}
        self._priorities: Mapping[str, int] = {}

    def go_on(self, issue: Issue) -> None:
        """Skipped if a person does not want an issue worked on any more."""
        if why := self._skipped.get(issue.id):
            raise Skipped(why)

    def ranked(self, issue: Issue) -> Issue:
        """An issue with the priority that people have given it."""
        return replace(issue, priority=self._priorities[issue.id]) if issue.id in self._priorities else issue

    def hear(self, issues: Sequence[Issue], there: Mapping[str, Task], gone: Collection[str]) -> None:
        """Take in what the tasks of a run's issues are now, by the issues' keys."""
        tasks = {issue: there[issue.key] for issue in issues if issue.key in there}
        skipped = {issue.id: "a person has taken its task from the tracker" for issue in issues if issue.key in gone}
        for issue, task in tasks.items():
            if task.status == "done" and task.mark and task.mark.status != "done":
                skipped[issue.id] = "a person has set its task to done in the tracker: set it back, and `adw resume` goes on with it"
        self._skipped = skipped
        self._priorities = priorities(tasks)


def priorities(tasks: Mapping[Issue, Task]) -> dict[str, int]:
    """Priorities that have issues go in the order of their tasks; none if that is as adw has put them. One that is urgent stays so, unless it was moved."""
    moved = {issue for issue, task in tasks.items() if task.mark and task.mark.place and task.place != task.mark.place}
    if not moved:
        return {}
    order = sorted(tasks, key=lambda issue: (tasks[issue].place, tasks[issue].created))
    return {issue.id: len(order) - number for number, issue in enumerate(order) if issue in moved or issue.priority < URGENT}


def wanted(strangers: Sequence[Task], known: Collection[str]) -> list[Issue]:
    """The issues that people's own tasks ask for: still to be done, assigned to adw, and not known yet by their ids."""
    found = [
        Issue(id=f"archon-{task.id[:8]}", title=one_line(str(task.fields["title"])), body=str(task.fields["description"]).strip())
        for task in strangers
        if task.status == "todo" and str(task.fields["assignee"]).strip().lower() == OURS and re.match(r"[0-9a-f]{8}", task.id)
    ]
    return [issue for issue in found if issue.id not in known and issue.title]
