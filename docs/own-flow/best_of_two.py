"""Two agents build the same issue side by side; the tests and a review of each choose, and the better change lands."""

from dataclasses import dataclass

from prefect import flow

from adw import phases
from adw.errors import AgentFailed
from adw.model import Change, Issue, Outcome, Verdict
from flows.delivery import Delivery
from flows.issues import land_in_turn
from flows.reports import publish
from flows.start import begun
from flows.threads import threads
from flows.work import Work
from tasks import build, document, plan, review, test


@dataclass(frozen=True)
class Entry:
    """What one of the agents made of an issue."""

    number: int
    change: Change
    tested: Verdict
    reviewed: Verdict
    lines: int  # of its diff

    @property
    def fit(self) -> bool:
        """Whether it may land."""
        return self.tested.passed and self.reviewed.passed


@flow(name="best of two", task_runner=threads())
def best_of_two(delivery: Delivery, agents: list[str]) -> list[Outcome]:
    """Deliver each issue by the better of the agents; `agents` are their command lines."""
    with begun(delivery) as work:
        outcomes = [deliver_better(work, issue, agents) for issue in work.issues if issue.id not in work.landed]
        publish(work.site, [issue for issue in work.issues if issue.id not in work.landed], outcomes)
    return outcomes


def deliver_better(work: Work, issue: Issue, agents: list[str]) -> Outcome:
    """How an issue ends; its plan is made once, by the repository's own agent."""
    the_plan = work.run(plan, issue, work.begin(issue))
    tries = [work.begin(issue, number) for number in range(1, len(agents) + 1)]  # each has logs and a row of its own
    sides = [work.using(agent__command=agent) for agent in agents]
    builds = [side.submit(build, issue, the_plan, attempt) for side, attempt in zip(sides, tries, strict=True)]
    entries = []
    for number, (side, call) in enumerate(zip(sides, builds, strict=True), start=1):
        try:
            entries.append(judged(work, side, issue, number, side.result(call)))
        except AgentFailed as no:
            work.journal.event("note", text=f"agent {number} is out: {no}")
    fit = sorted((entry for entry in entries if entry.fit), key=lambda entry: entry.lines)
    if not fit:
        outcome = Outcome(issue=issue.id, title=issue.title, state="refused", reason="no agent made a change that is fit to land")
    else:
        best = fit[0]
        work.journal.event("note", text=f"{issue.id}: agent {best.number} was chosen, with {best.lines} lines")
        documented = work.run(document, issue, best.change, best.number)
        sha = land_in_turn(work, issue, documented, best.number)
        outcome = work.through(issue, sha, best.number)
    work.tell(outcome)
    return outcome


def judged(work: Work, side: Work, issue: Issue, number: int, change: Change) -> Entry:
    """The change with its verdicts: what would land is tested, while the repository's own agent reviews it."""
    candidate = phases.candidate(side.site, issue, change, work.foundation(issue))
    calls = [work.submit(test, issue, candidate, number), work.submit(review, issue, change, number)]
    tested, reviewed = (work.result(call) for call in calls)
    return Entry(number, change, tested, reviewed, work.hub.mirror.diff(change.base, change.sha).count("\n"))
