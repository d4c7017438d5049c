"""Deliver issues: plan → build → {test, review, document} → land, for all issues of one repository side by side.

One thread for each issue reads like a script; the phases that it submits all go to one Dask cluster, whose `agent` resource is
the gate: never more at once than the pool has slots.
"""

import contextvars
import os
import traceback
import uuid
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed
from prefect_dask.task_runners import DaskTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from adw import graph, guard, phases, proc, report, results
from adw.config import Config, override
from adw.errors import AdwError, AgentFailed, Blocked, Conflict, Interrupted, Misuse
from adw.journal import Journal
from adw.mirror import Hub, find_hub, sync
from adw.model import Change, Issue, Outcome, Verdict
from adw.phases import Site
from flows.blocks import CodingAgent, DaskCluster, WorktreePool
from flows.cluster import opened
from flows.reports import publish
from flows.work import Work, local_cluster, start_cluster
from tasks import phases as tasks

URGENT = 1_000_000  # the Dask priority of what stands before a landing: before any new work


class Delivery(BaseModel):
    """What to deliver. Settings that are left out are those of the repository's Blocks and its adw.toml."""

    model_config = ConfigDict(extra="forbid")

    repository: str = Field(description="The path of the git repository.")
    issues: list[Issue] = Field(description="What is wanted, in any order.")
    branch: str = Field("", description="The branch to land on; by default the one that is checked out.")
    agents: int | None = Field(None, ge=1, le=100, description="How many agents and tests work at once.")
    agent: str | None = Field(None, description="The kind of agent.")
    agent_command: str | None = Field(None, description="The command line of the agent `command`.")
    test_command: str | None = Field(None, description="The command that must pass before a change lands.")
    tries: int | None = Field(None, ge=1, le=20, description="How often an issue is built at most.")
    allow_red_base: bool = Field(default=False, description="Go on even if the tests fail on the branch as it is.")
    scheduler: str | None = Field(None, description="The address of a Dask scheduler whose workers do the work.")
    run: str = Field("", description="The name of the run's folder; by default a new one.")

    def overrides(self) -> dict[str, Any]:
        """The settings that this delivery replaces."""
        return {
            "pool__size": self.agents,
            "agent__name": self.agent,
            "agent__command": self.agent_command,
            "test__command": self.test_command,
            "tries": self.tries,
            "cluster__address": self.scheduler,
        }


def configured(hub: Hub, delivery: Delivery) -> Config:
    """The configuration of a delivery: adw.toml, then the repository's Blocks, then what the delivery itself says."""
    config = hub.config()
    pool = cast("WorktreePool", WorktreePool.load(hub.place.slug, _sync=True))  # type: ignore[call-arg]
    agent = cast("CodingAgent", CodingAgent.load(hub.place.slug, _sync=True))  # type: ignore[call-arg]
    cluster = cast("DaskCluster", DaskCluster.load(hub.place.slug, _sync=True))  # type: ignore[call-arg]
    settings = {"pool": pool.settings, "agent": agent.settings, "cluster": cluster.settings}
    return override(config.model_copy(update=settings), **delivery.overrides())


def run_name() -> str:
    """What a run is called in the Prefect UI."""
    delivery = Delivery.model_validate(flow_run.parameters["delivery"])
    number = len(delivery.issues)
    return f"{Path(delivery.repository).name}: {number} {'issue' if number == 1 else 'issues'} {delivery.run}".strip()


@flow(
    name="deliver",
    flow_run_name=run_name,
    task_runner=DaskTaskRunner(cluster_class=local_cluster, cluster_kwargs={"slots": 1}),  # type: ignore[arg-type]
    description="Land finished, tested changes for issues on a branch of a repository.",
)
def deliver(delivery: Delivery) -> State[Any]:
    """Deliver the issues; the result is how each ended."""
    hub = find_hub(Path(delivery.repository), delivery.branch)
    run = delivery.run or uuid.uuid4().hex[:8]
    journal = Journal(hub.place.runs / run)
    journal.keep(delivery.model_dump(mode="json"))
    sync(hub)
    config = configured(hub, delivery)
    site = Site(run=run, repository=delivery.repository, branch=hub.branch, config=config)
    landed = hub.mirror.trailers(hub.tip())
    issues = graph.in_order(delivery.issues, frozenset(landed))
    with opened(site, hub, journal) as cluster:
        journal.event(
            "flow started",
            flow_run=str(flow_run.id),
            ui=str(flow_run.ui_url or ""),
            slots=cluster.slots if cluster else start_local(config, journal),
            pid=os.getpid(),
            birth=proc.born(os.getpid()),
            issues=[{"id": issue.id, "title": issue.title} for issue in issues],
        )
        outcomes = deliver_all(Work(site, hub, journal, landed, cluster), issues, allow_red_base=delivery.allow_red_base)
    publish(hub, journal, issues, outcomes)
    if proc.stopped():
        return Cancelled(message="interrupted: the same issues again go on where this run was")
    return Completed(message=report.summary(outcomes), data=outcomes)


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
        except BaseException:  # Prefect's own way to cancel a flow: the agents first, or their tasks would not end
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
    work.journal.event("outcome", issue=issue.id, title=issue.title, state=outcome.state, reason=outcome.reason[:4000], sha=outcome.sha)


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
    with work.turn.taken(issue.priority):
        while True:
            tip = work.hub.tip()
            if sha := landed_since(work, issue, change.base, tip):
                return sha
            candidate = phases.candidate(work.site, issue, documented, tip)
            insist({f"the tests fail on top of {candidate.onto[:10]}": work.run(tasks.test, issue, candidate, attempt, priority=URGENT)})
            if work.run(tasks.land, issue, candidate, attempt, priority=URGENT):
                return candidate.sha


def landed_since(work: Work, issue: Issue, base: str, tip: str) -> str:
    """The commit by which another run landed the issue after a base, if one did."""
    return work.hub.mirror.trailers(f"{base}..{tip}").get(issue.id, "")


def insist(verdicts: dict[str, Verdict]) -> None:
    """AgentFailed, with their logs, if some verdicts are no."""
    noes = [f"{what}:\n{verdict.log}" for what, verdict in verdicts.items() if not verdict.passed]
    if noes:
        raise AgentFailed("\n\n".join(noes))
