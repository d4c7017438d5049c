"""Deliver issues: plan → build → {test, review, document} → land, for all issues of one repository side by side.

Each issue has a thread, which takes it through its phases (`flows/issues.py`). All phases go to one Dask cluster, when the gate
(`flows/places.py`) lets them.
"""

import contextvars
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from prefect import State, flow
from prefect.exceptions import TerminationSignal
from prefect.states import Cancelled, Completed, Failed

from adw import proc, report
from adw.errors import AdwError, Blocked, Halted, Interrupted, Misuse, Skipped
from adw.model import Issue, Outcome
from adw.partition import Partition
from flows import issues
from flows.adding import take_up
from flows.delivery import Delivery, run_name
from flows.reports import publish
from flows.shards import base_tested
from flows.start import begun
from flows.threads import threads
from flows.work import Work

MOST = 10_000  # issues at once: each has a thread, made when it is needed
LOOK_EACH = 0.5  # seconds between looks at what was added
How = Callable[[Work, Issue], Outcome]  # an issue goes through its phases


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
            outcomes = worked_on(work, delivery)
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


def worked_on(work: Work, delivery: Delivery) -> list[Outcome]:
    """How the issues end, by what is asked for."""
    if delivery.dry_run:
        return foreseen(work)
    if delivery.only == "plan":
        return deliver_all(work, issues.planned_only, allow_red_base=True)
    if any(issue.id not in work.landed for issue in work.issues):
        work.checks.begin()
    return deliver_all(work, issues.delivered, allow_red_base=delivery.allow_red_base)


def foreseen(work: Work) -> list[Outcome]:
    """What a delivery would do, in its order."""
    outcomes = [
        Outcome(issue=i.id, title=i.title, state="already landed" if i.id in work.landed else "to be delivered", sha=work.landed.get(i.id, ""))
        for i in work.issues
    ]
    for outcome in outcomes:
        work.tell(outcome)
    return outcomes


def deliver_all(work: Work, how: How, *, allow_red_base: bool) -> list[Outcome]:
    """Deliver the issues side by side, each when those it depends on have landed, with those that are added meanwhile; outcomes in their order."""
    work.partition = Partition()
    if allow_red_base or all(issue.id in work.landed for issue in work.issues):
        work.green.set_result(None)
    with ThreadPoolExecutor(MOST, thread_name_prefix="issue") as workers:
        try:
            if not work.green.done():
                workers.submit(contextvars.copy_context().run, check_base, work)
            new = work.issues
            while new or wait(work.outcomes.values(), LOOK_EACH).not_done:
                work.outcomes |= {issue.id: Future() for issue in new}
                work.partition.join([issue.id for issue in new], [issue.id for issue in new if not set(issue.depends_on) & work.outcomes.keys()])
                for issue in new:
                    workers.submit(contextvars.copy_context().run, deliver_one, work, issue, how)
                new = take_up(work)
            outcomes = [work.outcomes[issue.id].result() for issue in work.issues]
            work.checks.settle()
        except BaseException:  # as when a worker cancels the flow: the agents first, or their tasks would not end
            proc.end_all()
            raise
    return outcomes


def check_base(work: Work) -> None:
    """Test the branch as it is, so that no agent is paid for work that could not land."""
    try:
        base_tested(work)
        work.green.set_result(None)
    except BaseException as no:  # noqa: BLE001 - whatever it is, all issues wait for it
        work.green.set_exception(no)


def deliver_one(work: Work, issue: Issue, how: How) -> None:
    """Deliver one issue, whatever comes: its failure never is another's."""
    try:
        outcome = how(work, issue)
    except (Interrupted, Misuse, Halted) as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="stopped", reason=str(no))
    except Blocked as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="blocked", reason=str(no))
    except Skipped as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="skipped", reason=str(no))
    except AdwError as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="refused", reason=str(no))
    except BaseException as no:  # noqa: BLE001 - told apart by the runner: infrastructure, or a bug
        work.say(issue, "crash", error=type(no).__name__, trace=traceback.format_exc())
        outcome = Outcome(issue=issue.id, title=issue.title, state="crashed", reason=f"{type(no).__name__}: {no}")
    work.outcomes[issue.id].set_result(outcome)  # first: others wait for it, and the journal may find the disk full
    work.partition.left(issue.id)
    if not outcome.good:
        work.train.lose(issue.id, issues.unmet(issue.id, outcome))
    work.tell(outcome)
