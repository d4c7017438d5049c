"""Building one issue's change: by one agent, or in parts side by side where the plan allows it."""

import threading
from collections.abc import Sequence
from typing import cast

from adw import parts, results
from adw.errors import AgentFailed
from adw.model import Attempt, Change, Issue, Plan
from adw.parts import Part
from adw.sessions import Shelf
from flows.pieces import gathered, whole
from flows.work import Call, Work
from tasks import phases as tasks


def built(work: Work, issue: Issue, plan: Plan, attempt: Attempt) -> Change:
    """The change of a try. One that goes on from an earlier one, or from what was said of it, is one agent's."""
    fresh = not (attempt.feedback or attempt.change)
    if fresh and plan.items and results.find(work.hub, "build", work.key(Call(tasks.build, (issue, plan, attempt))), Change) is None:
        division = parts.divide(plan, work.site.config.build, work.most)
        told = [[part.title, list(part.files)] for part in division.parts]
        work.say(issue, "divided", **{"try": attempt.number}, parts=told, reason=division.reason)
        if division.parts:
            return in_parts(work, issue, plan, attempt, division.parts)
    return cast("Change", work.run(tasks.build, issue, plan, attempt))


def in_parts(work: Work, issue: Issue, plan: Plan, attempt: Attempt, divided: Sequence[Part]) -> Change:
    """The change that parts are together, by git and, where that is not all, by an agent. AgentFailed, with its log, if a part fails: the others end."""
    order, over = work.site.order(issue, "build", attempt.number), threading.Event()
    with whole(work, order, len(divided)):
        calls = [work.submit(tasks.part.with_options(name=part.phase), issue, plan, attempt, part, unwanted=over.is_set) for part in divided]
        found, noes = gathered(work, calls, over, lambda came: isinstance(came, AgentFailed))
        if noes:
            for part in divided:  # the next try is one agent's: nobody goes on with what was ended
                Shelf.of(work.hub.place, work.site.order(issue, part.phase)).forget()
            raise AgentFailed("\n\n".join(f"{divided[number].title}: {no}" for number, no in sorted(noes.items())))
        changes = [cast("Change", found[number]) for number in range(len(divided))]
        merged = parts.merged(work.site, plan, attempt, divided, changes)
        if merged.left:
            work.say(issue, "integrated", **{"try": attempt.number}, left=list(merged.left))
            change = cast("Change", work.run(tasks.integrate, issue, plan, attempt, divided, changes))
        else:
            change = parts.one(work.site, issue, attempt, changes, merged.tree)
        results.record(work.hub, order, work.key(Call(tasks.build, (issue, plan, attempt))), change, change.sha)
        return change
