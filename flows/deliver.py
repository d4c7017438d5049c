"""Deliver issues: plan → build → {test, review, document} → land, for all issues of one repository side by side.

One thread for each issue reads like a script; the phases that it submits all go to one Dask cluster, whose `agent` resource is
the gate: never more at once than the pool has slots.
"""

import contextvars
import os
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prefect import State, flow
from prefect.exceptions import TerminationSignal
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Completed, Failed
from prefect_dask.task_runners import DaskTaskRunner

from adw import graph, guard, phases, proc, report, results
from adw.config import Config
from adw.errors import AdwError, AgentFailed, Blocked, Conflict, Interrupted, Misuse
from adw.issues import markdown
from adw.journal import Journal
from adw.mirror import Hub, find_hub, sync
from adw.model import Change, Issue, Outcome, Verdict
from adw.phases import Site
from adw.pool import Pool
from flows import blocks
from flows.approval import ask_a_person
from flows.cluster import opened
from flows.delivery import Delivery, configured, new_name, run_name
from flows.maintain import reconcile
from flows.reports import Moving, publish
from flows.watch import Watch
from flows.work import Work, local_cluster, start_cluster
from tasks import phases as tasks

URGENT = 1_000_000  # the Dask priority of what stands before a landing: before any new work


@flow(
    name="deliver",
    flow_run_name=run_name,
    task_runner=DaskTaskRunner(cluster_class=local_cluster, cluster_kwargs={"slots": 1}),  # type: ignore[arg-type]
    description="Land finished, tested changes for issues on a branch of a repository.",
)
def deliver(delivery: Delivery) -> State[Any]:
    """Deliver the issues; the result is how each ended."""
    return delivered(delivery)


def delivered(delivery: Delivery) -> State[Any]:
    """Deliver, in a flow run: the state that it ends in, with its outcomes or with the reason why there are none."""
    try:
        hub = find_hub(Path(delivery.repository), delivery.branch)
    except AdwError as no:
        return Failed(message=str(no), data=no)
    journal = Journal(hub.place.runs / (delivery.run or new_name(flow_run.id)))
    journal.keep(delivery.model_dump(mode="json"))
    state = _delivered_to(hub, journal, delivery)
    if deployment.id:  # else the process that started us says how it ended
        journal.event("run ended", **ended(state))
    return state


def ended(state: State[Any]) -> dict[str, str]:
    """How a run ended, for its journal."""
    if state.is_cancelled():
        return {"state": "interrupted", "reason": ""}
    return {"state": "done", "reason": ""} if state.is_completed() else {"state": "failed", "reason": state.message or ""}


def _delivered_to(hub: Hub, journal: Journal, delivery: Delivery) -> State[Any]:
    try:
        with Watch(flow_run.id).kept():
            outcomes = _deliver(hub, journal, delivery)
    except AdwError as no:
        return Failed(message=str(no), data=no)
    except TerminationSignal:
        proc.end_all()  # the agents first, or their tasks would not end
        outcomes = []
    if proc.stopped():
        return Cancelled(message="interrupted: the same issues again go on where this run was")
    if crashed := next((outcome for outcome in outcomes if outcome.state == "crashed"), None):
        return Failed(message=crashed.reason, data=outcomes)
    return Completed(message=report.summary(outcomes), data=outcomes)


def _deliver(hub: Hub, journal: Journal, delivery: Delivery) -> list[Outcome]:
    asked = [*delivery.issues, *markdown.read_matching(delivery.sources, hub.root)]
    for line in blocks.write(hub, hub.config(), delivery.agents or 0):
        journal.event("note", text=line)
    config = configured(hub, delivery)
    said = reconcile(Pool(hub, config.pool))
    # Only now: till then the journal tells of the process before this one, if there was one, which is to be mended, too.
    journal.event("process started", pid=os.getpid(), birth=proc.born(os.getpid()))
    if said:
        journal.event("note", text=said)
    sync(hub)
    landed = hub.mirror.trailers(hub.tip())
    issues = graph.in_order(asked, frozenset(landed))
    site = Site(run=journal.folder.name, repository=delivery.repository, branch=hub.branch, config=config)
    if delivery.dry_run:
        _begun(journal, issues, guard.slots(config.pool))
        outcomes = foreseen(issues, landed)
        for outcome in outcomes:
            tell(journal, outcome)
    else:
        with opened(site, hub, journal) as cluster:
            _begun(journal, issues, cluster.slots if cluster else start_local(config, journal))
            with Moving(hub, journal).shown():
                outcomes = deliver_all(Work(site, hub, journal, landed, cluster), issues, allow_red_base=delivery.allow_red_base)
    publish(site, issues, outcomes)
    return outcomes


def _begun(journal: Journal, issues: Sequence[Issue], slots: int) -> None:
    journal.event(
        "flow started",
        flow_run=str(flow_run.id),
        ui=str(flow_run.ui_url or ""),
        slots=slots,
        pid=os.getpid(),
        birth=proc.born(os.getpid()),
        issues=[{"id": issue.id, "title": issue.title} for issue in issues],
    )


def foreseen(issues: Sequence[Issue], landed: Mapping[str, str]) -> list[Outcome]:
    """What a delivery would do, in its order."""
    return [Outcome(issue=i.id, title=i.title, state="already landed" if i.id in landed else "to be delivered", sha=landed.get(i.id, "")) for i in issues]


def tell(journal: Journal, outcome: Outcome) -> None:
    """Say in the journal how an issue ended."""
    journal.event("outcome", issue=outcome.issue, title=outcome.title, state=outcome.state, reason=outcome.reason[:4000], sha=outcome.sha)


def start_local(config: Config, journal: Journal) -> int:
    """Make the cluster of threads of this process; returns how many slots it has."""
    slots = guard.slots(config.pool)
    if slots < config.pool.size:
        journal.event("note", text=f"{slots} of {config.pool.size} slots are lent: there is memory for no more ({config.pool.memory_gb:g} GB each)")
    start_cluster(slots)
    return slots


def deliver_all(work: Work, issues: Sequence[Issue], *, allow_red_base: bool) -> list[Outcome]:
    """Deliver the issues side by side, each when those it depends on have landed; outcomes in the order of the issues."""
    work.outcomes = {issue.id: Future() for issue in issues}
    if allow_red_base or all(issue.id in work.landed for issue in issues):
        work.green.set_result(None)
    with ThreadPoolExecutor(len(issues) + 1, thread_name_prefix="issue") as threads:
        try:
            if not work.green.done():
                threads.submit(contextvars.copy_context().run, check_base, work)
            for issue in issues:
                threads.submit(contextvars.copy_context().run, deliver_one, work, issue)
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
    except (Interrupted, Misuse) as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="stopped", reason=str(no))
    except Blocked as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="blocked", reason=str(no))
    except AdwError as no:
        outcome = Outcome(issue=issue.id, title=issue.title, state="refused", reason=str(no))
    except BaseException as no:  # noqa: BLE001 - told apart by the runner: infrastructure, or a bug
        work.journal.event("crash", issue=issue.id, error=type(no).__name__, trace=traceback.format_exc())
        outcome = Outcome(issue=issue.id, title=issue.title, state="crashed", reason=f"{type(no).__name__}: {no}")
    work.outcomes[issue.id].set_result(outcome)  # first: others wait for it, and the journal may find the disk full
    tell(work.journal, outcome)


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
    with work.turn.taken(issue.priority):
        while True:
            tip = work.hub.tip()
            if sha := landed_since(work, issue, change.base, tip):
                return sha
            candidate = phases.candidate(work.site, issue, documented, tip)
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
