"""What the threads of one delivery share, and how they have phases run: on the Dask cluster, each with a slot."""

import inspect
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, cast

import dask
import dask.config
from distributed import LocalCluster
from prefect import Task, tags
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.context import FlowRunContext
from prefect_dask.task_runners import DaskTaskRunner

from adw import branches, proc, results, siding
from adw.config import override
from adw.errors import AgentFailed, Blocked, Conflict
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import Arrival, Attempt, Candidate, Change, Issue, Outcome, Plan, Verdict
from adw.partition import Partition
from adw.phases import Site
from adw.siding import Siding
from adw.train import Train
from flows.cluster import QUIET, Cluster, Sent
from tasks import phases as tasks

SPARE_THREADS = 4  # for what needs no slot
URGENT = 1_000_000  # the Dask priority of what stands before a landing: before any new work
KINDS: dict[str, Any] = {"plan": Plan, "build": Change, "test": Verdict, "review": Verdict, "document": Change}


@dataclass(frozen=True)
class Call:
    """A phase that was submitted."""

    task: Task[Any, Any]
    args: tuple[Any, ...]  # but the site; the issue comes first
    future: Any

    def ended(self) -> tuple[Any, bool]:
        """Its result, and whether Prefect had it cached."""
        if isinstance(self.future, Known):
            return self.future.value, True
        if isinstance(self.future, Sent):
            done = self.future.result()
            return done.value, done.cached
        return self.future.result(), self.future.state.name == "Cached"


@dataclass(frozen=True)
class Known:
    """What git knows already: it need not travel."""

    value: Any

    def wait(self) -> None:
        """It is over."""


@dataclass
class Work:
    """One delivery: where, and how far the issues are."""

    site: Site
    hub: Hub
    journal: Journal
    landed: dict[str, str]  # issue id → commit, before this run
    cluster: Cluster | None = None  # of other processes; else phases run in threads of this one
    issues: Sequence[Issue] = ()  # in an order in which each comes behind those that it depends on
    train: Train | Siding = field(init=False)
    partition: Partition = field(init=False)
    asking: threading.Lock = field(default_factory=threading.Lock)  # held while a person is asked
    outcomes: dict[str, "Future[Outcome]"] = field(default_factory=dict)
    obstacles: dict[str, str] = field(default_factory=dict)  # issue id → why its change could not be left for a person
    offers: dict[str, str] = field(default_factory=dict)  # issue id → where its change was left for a person
    green: "Future[None]" = field(default_factory=Future)  # set once the tests are known to pass on the branch as it is

    def using(self, **settings: Any) -> "Work":
        """The same work with other settings for what is submitted by it, as in `using(agent__command="…")`."""
        other = copy(self)
        other.site = replace(self.site, config=override(self.site.config, **settings))
        return other

    def begin(self, issue: Issue, number: int = 1) -> Attempt:
        """Begin a try at an issue, on what is there now; the same one if it was begun before, and its base is still good."""
        for attempt in results.attempts(self.hub, issue):
            if attempt.number == number and self.bears(attempt):
                return attempt
        return results.begin(self.hub, issue, number, self.foundation(issue))

    def foundation(self, issue: Issue) -> str:
        """The commit that an issue is built on now: the tip, or what it depends on, where that is ready and has not landed. Blocked if there is none."""
        ended = [self.outcomes[needed].result() for needed in issue.depends_on if needed in self.outcomes]
        ready, landed = ([o.sha for o in ended if (o.state == "ready") is way] for way in (True, False))
        try:
            return siding.ground(self.hub.mirror, self.site.config.merge, self.hub.tip(), ready, landed)
        except Conflict as no:
            msg = f"{', '.join(issue.depends_on)}, which it depends on, do not merge with each other: land one of them first\n{no}"
            raise Blocked(msg) from no

    def bears(self, attempt: Attempt) -> bool:
        """Whether the base of a try is still good."""
        return siding.bears(self.hub.mirror, self.hub.tip(), attempt.base)

    def tell(self, outcome: Outcome) -> None:
        """Say in the journal how an issue ended."""
        told = {"state": outcome.state, "reason": outcome.reason[:4000], "sha": outcome.sha, "place": outcome.place}
        self.journal.event("outcome", issue=outcome.issue, title=outcome.title, **told)

    def through(self, issue: Issue, sha: str, tries: int) -> Outcome:
        """How an issue ended that went through all its phases: left where a person finds it, or landed; then it needs no branch any more."""
        place = self.offers.get(issue.id, "")
        if not place:
            branches.drop(self.hub, issue)
        return Outcome(issue=issue.id, title=issue.title, state="ready" if place else "landed", sha=sha, tries=tries, place=place)

    def run(self, task: Task[Any, Any], *args: Any, priority: int = 0) -> Any:
        """Have a phase run, and wait for its result."""
        return self.result(self.submit(task, *args, priority=priority))

    def submit(self, task: Task[Any, Any], *args: Any, priority: int = 0) -> Call:
        """Have a phase run as soon as a slot is free. Interrupted if the run was told to end."""
        proc.go_on()
        with tags(*self._about(task, args[0])), dask.annotate(resources={"agent": 1}, priority=priority):  # type: ignore[attr-defined]
            if self.cluster:
                return Call(task, args, self._send(self.cluster, task, args, priority))
            return Call(task, args, task.submit(self.site, *args))

    def land(self, arrivals: Sequence[Arrival]) -> bool:
        """Have changes land: here, where the user's repository is, and in this thread."""
        proc.go_on()
        with tags(*self._about(tasks.land, *(arrival.issue for arrival in arrivals))):
            return bool(tasks.land(self.site, arrivals))

    def offer(self, arrival: Arrival, base: str) -> str:
        """Leave a change for a person, onto a base branch: here, as it lands. Returns its commit, or the one that it has landed as by then."""
        proc.go_on()
        with tags(*self._about(tasks.offer, arrival.issue)):
            made = tasks.offer(self.site, arrival, base)
        if not made.landed:
            self.offers[arrival.issue.id] = made.place
        return made.landed or arrival.candidate.sha

    def _about(self, task: Task[Any, Any], *issues: Issue) -> list[str]:
        return [f"repository:{self.hub.place.slug}", f"phase:{task.name}", *(f"issue:{issue.id}" for issue in issues)]

    def _send(self, cluster: Cluster, task: Task[Any, Any], args: tuple[Any, ...], priority: int) -> Sent | Known:
        """Have a phase run on another worker, which finds in the hub what it needs; unless it was run before."""
        issue, *rest = args
        known = results.find(self.hub, task.name, self.key(Call(task, args, None)), KINDS[task.name])
        if known is not None and not task.refresh_cache:
            return Known(known)
        for candidate in (arg for arg in rest if isinstance(arg, Candidate) and arg.sha != arg.onto):
            self.hub.hold(issue.key, candidate.sha)
        return cluster.send(task, args, priority, self.site.config)

    def result(self, call: Call) -> Any:
        """The result of a phase. One that Prefect had cached is kept in git, too; it is made again if its commit is gone."""
        result, cached = call.ended()
        if self.cluster:
            self.hub.take_up(call.args[0].key)
        if not cached:
            return result
        if isinstance(result, Change) and not self.hub.mirror.has(result.sha):
            return self.run(call.task.with_options(refresh_cache=True), *call.args)
        issue, *rest = call.args
        attempt = next((arg.number if isinstance(arg, Attempt) else arg for arg in rest if isinstance(arg, Attempt | int)), 1)
        order = self.site.order(issue, call.task.name, attempt)
        about = next(arg.base if isinstance(arg, Attempt) else arg.sha for arg in rest if isinstance(arg, Attempt | Candidate | Change))
        results.keep(self.hub, order, self.key(call), result, about)
        self.journal.phase(order, "cached")
        return result

    def key(self, call: Call) -> str:
        """The key of a phase that was submitted."""
        given = inspect.signature(call.task.fn).bind(self.site, *call.args).arguments
        policy = cast("CacheKeyFnPolicy", call.task.cache_policy)
        return str(policy.compute_key(cast("Any", None), given, {})).partition("-")[2]

    def results(self, calls: list[Call]) -> list[Any]:
        """The results of phases that run at once. If some say no, one AgentFailed with all that they say."""
        for call in calls:
            call.future.wait()
        found, noes = [], []
        for call in calls:
            try:
                found.append(self.result(call))
            except (AgentFailed, Conflict) as no:
                noes.append(str(no))
        if noes:
            raise AgentFailed("\n\n".join(noes))
        return found


def threads() -> Any:
    """The task runner of flows that run phases: threads of the flow's own process, as many as there are slots."""
    return DaskTaskRunner(cluster_class=local_cluster, cluster_kwargs={"slots": 1})  # type: ignore[arg-type]


def local_cluster(slots: int) -> LocalCluster:
    """Threads of this process: agents and tests are processes already."""
    dask.config.set(QUIET)
    return LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1,
        processes=False,
        threads_per_worker=slots + SPARE_THREADS,
        resources={"agent": slots},
        dashboard_address=None,
        memory_limit=0,
    )


def start_cluster(slots: int) -> None:
    """Make this flow's cluster, before any thread submits to it: at a first submit by several threads at once, each would make one."""
    context = FlowRunContext.get()
    if context is None or not isinstance(context.task_runner, DaskTaskRunner):
        msg = "deliver needs a DaskTaskRunner"
        raise TypeError(msg)
    if not context.task_runner.address:
        context.task_runner.cluster_kwargs["slots"] = slots
    _ = context.task_runner.client
