"""Deliver issues: plan → build → {test, review, document} → land, for all issues of one repository side by side.

One thread for each issue reads like a script; the phases that it submits all go to one Dask cluster, whose `agent` resource is
the gate: never more at once than the pool has slots.
"""

import contextvars
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from prefect import State, flow
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Completed, Failed

from adw import phases, proc, report, results
from adw.errors import AdwError, AgentFailed, Blocked, Conflict, Halted, Interrupted, Misuse
from adw.model import Change, Issue, Outcome, Verdict
from flows.approval import ask_a_person
from flows.delivery import Delivery, run_name
from flows.reports import publish
from flows.start import begun
from flows.work import Work, threads
from tasks import phases as tasks

URGENT = 1_000_000  # the Dask priority of what stands before a landing: before any new work


@flow(
    name="deliver",
    flow_run_name=run_name,
    task_runner=threads(),
    description="Land finished, tested changes for issues on a branch of a repository.",
)
def deliver(delivery: Delivery) -> State[Any]:
    """Deliver the issues; the result is how each ended."""
    return delivered(delivery)


def delivered(delivery: Delivery) -> State[Any]:
    """Deliver, in a flow run: the state that it ends in, with its outcomes or with the reason why there are none."""
    outcomes: list[Outcome] = []
    try:
        with begun(delivery) as work:
            outcomes = foreseen(work) if delivery.dry_run else deliver_all(work, work.issues, allow_red_base=delivery.allow_red_base)
            publish(work.site, work.issues, outcomes)
    except AdwError as no:
        return Failed(message=str(no), data=no)
    except TerminationSignal:
        proc.end_all()  # the agents first, or their tasks would not end
    if proc.stopped():
        return Cancelled(message="interrupted: the same issues again go on where this run was")
    if crashed := next((outcome for outcome in outcomes if outcome.state == "crashed"), None):
        return Failed(message=crashed.reason, data=outcomes)
    return Completed(message=report.summary(outcomes), data=outcomes)


def foreseen(work: Work) -> list[Outcome]:
    """What a delivery would do, in its order."""
    outcomes = [
        Outcome(issue=i.id, title=i.title, state="already landed" if i.id in work.landed else "to be delivered", sha=work.landed.get(i.id, ""))
        for i in work.issues
    ]
    for outcome in outcomes:
        work.tell(outcome)
    return outcomes


def deliver_all(work: Work, issues: Sequence[Issue], *, allow_red_base: bool) -> list[Outcome]:
    """Deliver the issues side by side, each when those it depends on have landed; outcomes in the order of the issues."""
    work.outcomes = {issue.id: Future() for issue in issues}
    if allow_red_base or all(issue.id in work.landed for issue in issues):
        work.green.set_result(None)
    with ThreadPoolExecutor(len(issues) + 1, thread_name_prefix="issue") as workers:
        try:
            if not work.green.done():
                workers.submit(contextvars.copy_context().run, check_base, work)
            for issue in issues:
                workers.submit(contextvars.copy_context().run, deliver_one, work, issue)
            return [work.outcomes[issue.id].result() for issue in issues]
        except BaseException:  # as when a worker cancels the flow: the agents first, or their tasks would not end
            proc.end_all()
            raise


def check_base(work: Work) -> None:
    """Test the branch as it is, so that no agent is paid for work that could not land."""
    issue = phases.base_issue(work.hub.branch)
    try:
        work.run(tasks.test_base, issue, phases.base_candidate(work.site, work.hub.tip()), priority=URGENT)
        work.green.set_result(None)
    except BaseException as no:  # noqa: BLE001 - whatever it is, all issues wait for it
        work.green.set_exception(no)


def deliver_one(work: Work, issue: Issue) -> None:
    """Deliver one issue, whatever comes: its failure never is another's."""
    try:
        outcome = _delivered(work, issue)
    except (Interrupted, Misuse, Halted) as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="stopped", reason=str(no))
    except Blocked as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="blocked", reason=str(no))
    except AdwError as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="refused", reason=str(no))
    except BaseException as no:  # noqa: BLE001 - told apart by the runner: infrastructure, or a bug
        work.journal.event("crash", issue=issue.id, error=type(no).__name__, trace=traceback.format_exc())
        outcome = Outcome(issue=issue.id, title=issue.title, state="crashed", reason=f"{type(no).__name__}: {no}")
    work.outcomes[issue.id].set_result(outcome)  # first: others wait for it, and the journal may find the disk full
    work.tell(outcome)


def _delivered(work: Work, issue: Issue) -> Outcome:
    """How an issue ends that goes through its phases; what stops it is raised."""
    if sha := work.landed.get(issue.id):
        return Outcome(issue=issue.id, title=issue.title, state="already landed", sha=sha)
    for needed in issue.depends_on:
        if needed in work.outcomes and not (ended := work.outcomes[needed].result()).good:
            state = "stopped" if ended.state == "stopped" else "refused"
            return Outcome(issue=issue.id, title=issue.title, state=state, reason=f"it depends on {needed}, which is {ended.state}")
    tries = results.attempts(work.hub, issue) or [results.begin(work.hub, issue, 1, work.hub.tip())]
    attempt = tries[-1]
    if not work.hub.mirror.is_ancestor(attempt.base, work.hub.tip()):
        attempt = results.begin(work.hub, issue, attempt.number + 1, work.hub.tip(), attempt.feedback)
    plan = work.run(tasks.plan, issue, tries[0], priority=issue.priority)
    work.green.result()
    noes = 0
    while True:
        change = None
        try:
            change = work.run(tasks.build, issue, plan, attempt, priority=issue.priority)
            sha = check_and_land(work, issue, change, attempt.number)
            return Outcome(issue=issue.id, title=issue.title, state="landed", sha=sha, tries=attempt.number)
        except (AgentFailed, Conflict) as no:
            if isinstance(no, Conflict):
                work.journal.event("overtaken", issue=issue.id, **{"try": attempt.number})
            noes += isinstance(no, AgentFailed)  # a conflict is no fault of the change: somebody else was faster
            feedback = f"{no}\n\nThe earlier change is commit {change.sha} (`git show {change.sha}`)." if change else str(no)
            # Begun even if it is for a later run: what is refused goes on from here when it is asked for again.
            attempt = results.begin(work.hub, issue, attempt.number + 1, work.hub.tip(), feedback)
            if noes == work.site.config.tries:
                msg = f"refused after {noes} {'try' if noes == 1 else 'tries'}: {no}"
                raise AdwError(msg) from no


def check_and_land(work: Work, issue: Issue, change: Change, attempt: int) -> str:
    """Test, review and document a change at once, in slots of their own; then, in turn, land what was tested. Returns its SHA.

    Conflict or AgentFailed, with the log, if it is not fit to land.
    """
    tip = work.hub.tip()
    if sha := landed_since(work, issue, change.base, tip):
        return sha
    first = phases.candidate(work.site, issue, change, tip)
    soon = issue.priority + 1  # before new builds of the same priority
    calls = [
        work.submit(tasks.test, issue, first, attempt, priority=soon),
        work.submit(tasks.review, issue, change, attempt, priority=soon),
        work.submit(tasks.document, issue, change, attempt, priority=soon),
    ]
    tested, reviewed, documented = work.results(calls)
    insist({"the tests fail": tested, "the review found the change unfit to land": reviewed})
    if work.site.config.approve:
        approved(work, issue, documented)
    return land_in_turn(work, issue, documented, attempt)


def land_in_turn(work: Work, issue: Issue, change: Change, attempt: int) -> str:
    """When it is this issue's turn, test the change on the tip of then, and land it; from the start again if the branch moved. Returns its SHA.

    Conflict if it no longer merges, AgentFailed if the tests fail there.
    """
    with work.turn.taken(issue.priority):
        while True:
            tip = work.hub.tip()
            if sha := landed_since(work, issue, change.base, tip):
                return sha
            candidate = phases.candidate(work.site, issue, change, tip)
            insist({f"the tests fail on top of {candidate.onto[:10]}": work.run(tasks.test, issue, candidate, attempt, priority=URGENT)})
            if work.run(tasks.land, issue, candidate, attempt, priority=URGENT):
                return candidate.sha


def approved(work: Work, issue: Issue, change: Change) -> None:
    """Ask a person whether a change may land, unless one has said so before. AgentFailed, with what was said, if it may not."""
    if results.is_approved(work.hub, issue, change):
        return
    work.journal.event("approval", issue=issue.id, state="wanted")
    with work.asking:  # a flow run is paused for one question at a time
        answer = ask_a_person(issue, report.question(work.hub, issue, change))
    work.journal.event("approval", issue=issue.id, state="given" if answer.approve else "refused")
    if not answer.approve:
        msg = f"a person did not approve the change: {answer.feedback or 'no reason was given'}"
        raise AgentFailed(msg)
    results.approve(work.hub, issue, change)


def landed_since(work: Work, issue: Issue, base: str, tip: str) -> str:
    """The commit by which another run landed the issue after a base, if one did."""
    return work.hub.mirror.trailers(f"{base}..{tip}").get(issue.id, "")


def insist(verdicts: dict[str, Verdict]) -> None:
    """AgentFailed, with their logs, if some verdicts are no."""
    noes = [f"{what}:\n{verdict.log}" for what, verdict in verdicts.items() if not verdict.passed]
    if noes:
        raise AgentFailed("\n\n".join(noes))
