"""Issues that are added to a run while it is under way: noted in its folder by `adw add`, and taken up from there."""

from collections.abc import Sequence

from adw import graph
from adw.errors import Misuse
from adw.model import Issue
from flows.labels import label
from flows.work import Work


def take_up(work: Work) -> list[Issue]:
    """What was noted since the last look, in order, and is part of the run from now on. What does not fit is told, and its note goes."""
    found: list[Issue] = []
    for note, issues in work.journal.notes().items():
        if note in work.noted:
            continue
        work.noted.add(note)
        work.landed.update(work.hub.mirror.trailers(work.hub.tip()))
        try:
            new = fitting(work.issues, issues, frozenset(work.landed))
        except Misuse as no:
            work.journal.event("not added", note=note, reason=str(no))
            work.journal.forget(note)
            continue
        work.include(new)
        label(work.hub.place.slug, work.issues)
        work.journal.event("added", note=note, issues=[{"id": issue.id, "title": issue.title} for issue in new])
        found += new
    return found


def fitting(there: Sequence[Issue], added: Sequence[Issue], landed: frozenset[str]) -> list[Issue]:
    """Those of some issues that are new to a run, each behind what it depends on; Misuse if they do not fit to what is there."""
    known = {issue.id: issue for issue in there}
    for issue in added:
        if issue.id in known and known[issue.id].digest != issue.digest:
            msg = f"the run has an issue {issue.id!r} already, with another text ({known[issue.id].title!r}): give this one another `id` in its front matter"
            raise Misuse(msg)
    new = [issue for issue in added if issue.id not in known]
    return [issue for issue in graph.in_order([*there, *new], landed) if issue.id not in known]
