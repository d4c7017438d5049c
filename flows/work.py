"""What the threads of one delivery share, and how they have phases run: on the Dask cluster, each with a slot."""

import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from prefect import Task, tags
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.exceptions import CancelledRun

from adw import branches, durations, guard, proc, results, siding
from adw.config import override
from adw.durations import Learned
from adw.errors import AgentFailed, Blocked, Conflict, Interrupted
from adw.forecast import Forecast, Left, Step
from adw.journal import Journal
from adw.memory.border import Border
from adw.mirror import Hub
from adw.model import INTEGRATE, PHASES, Arrival, Attempt, Candidate, Change, Issue, Order, Outcome, Plan, Verdict, phase_of
from adw.offering import Said
from adw.partition import Partition
from adw.phases import Site
from adw.rank import Rank
from adw.siding import Siding
from adw.tracker.people import People
from adw.train import Train
from adw.upstream import Upstream
from flows.cluster import Cluster
from flows.places import Places, Wish, never
from flows.remembering import recalled
from tasks import phases as tasks
from tasks import wanted
from tasks.remote import Done

if TYPE_CHECKING:
    from flows.checks import Checks
    from flows.telling import Telling

WAITED = 0.1  # seconds for a slot, from which on it is told
BEHIND = {"plan": "build", "build": "test", INTEGRATE: "test"}  # what an issue needs a slot for next; behind a part it is what makes one of them
KINDS: dict[str, Any] = {"plan": Plan, "build": Change, "test": Verdict, "review": Verdict, "document": Change}  # of a check: Verdict; of a piece: as the whole


@dataclass(frozen=True)
class Call:
    """A phase that was submitted."""

    task: Task[Any, Any]
    args: tuple[Any, ...]  # but the site; the issue comes first
    unwanted: Callable[[], bool] = never
    aside: bool = False  # it takes the slots that nobody else wants
    exclusive: Collection[str] = ()  # what nobody else may have meanwhile
    seconds: float = 0.0  # that a piece of a test is thought to take: a short one does not go before a long review
    done: "Future[Done]" = field(default_factory=Future)

    @property
    def issue(self) -> Issue:
        """What it is for."""
        return cast("Issue", self.args[0])

    @property
    def attempt(self) -> int:
        """Which try it is of."""
        return next((arg.number if isinstance(arg, Attempt) else arg for arg in self.args if isinstance(arg, Attempt | int)), 1)


@dataclass
class Work:
    """One delivery: where, and how far the issues are."""

    site: Site
    hub: Hub
    journal: Journal
    landed: dict[str, str]  # issue id → commit, before this run
    places: Places  # the slots that phases get
    usual: dict[str, Learned]  # how long phases take here
    cluster: Cluster | None = None  # of other processes; else phases run in threads of this one
    issues: Sequence[Issue] = field(default=(), init=False)  # in an order in which each comes behind those that it depends on
    noted: set[str] = field(default_factory=set)  # the notes of issues that were added and are taken up, or refused
    forecast: Forecast = field(init=False)
    left: Left = field(default_factory=lambda: Left({}))  # of what is foreseen
    _ended: set[Step] = field(default_factory=set)
    _order: dict[str, int] = field(init=False, default_factory=dict)  # of the issues
    train: Train | Siding = field(init=False)
    checks: "Checks" = field(init=False)
    partition: Partition = field(init=False)
    beginning: threading.Semaphore = field(
        default_factory=lambda: threading.Semaphore(4)
    )  # held while a try is begun: hundreds at once leave no CPU for phases
    asking: threading.Lock = field(default_factory=threading.Lock)  # held while a person is asked
    outcomes: dict[str, "Future[Outcome]"] = field(default_factory=dict)
    obstacles: dict[str, str] = field(default_factory=dict)  # issue id → why its change could not be left for a person
    said: dict[str, Said] = field(default_factory=dict)  # issue id → what people want of the change that is in its pull request
    offers: dict[str, str] = field(default_factory=dict)  # issue id → where its change was left for a person
    memory: Border = field(default_factory=Border.off)
    people: People = field(default_factory=People)  # what they have said in the tracker
    telling: "Telling" = field(init=False)
    green: "Future[None]" = field(default_factory=Future)  # set once the tests are known to pass on the branch as it is

    def using(self, **settings: Any) -> "Work":
        """The same work with other settings for what is submitted by it, as in `using(agent__command="…")`."""
        other = copy(self)
        other.site = replace(self.site, config=override(self.site.config, **settings))
        return other

    @property
    def most(self) -> int:
        """How many slots there may be: what is done in pieces does not depend on how many are lent just now."""
        return self.places.slots if self.cluster else self.site.config.pool.size

    def include(self, issues: Sequence[Issue]) -> None:
        """Have issues be part of it, behind those that are, and foresee how long each still takes."""
        self.issues = [*self.issues, *issues]
        self._order = {issue.id: place for place, issue in enumerate(self.issues)}
        ahead = [issue for issue in self.issues if issue.id not in self.landed]
        self.forecast = Forecast(ahead, durations.expected(ahead, self.usual))
        self.left = self.forecast.left(self._ended)

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
        self.say(self.issues[self._order[outcome.issue]], "outcome", title=outcome.title, **told)
        self.end(*(Step(outcome.issue, phase) for phase in PHASES))

    def say(self, issue: Issue, event: str, **fields: Any) -> None:
        """Say in the journal what happened to an issue as a whole."""
        self.journal.event(event, id=f"{self.site.run}/{issue.key}", issue=issue.id, **fields)

    def order(self, call: Call) -> Order:
        """Where a phase that was submitted belongs."""
        return self.site.order(call.issue, call.task.name, call.attempt)

    def end(self, *steps: Step) -> None:
        """Some phases have ended, or will never begin."""
        self._ended.update(steps)
        self.left.end(*steps)

    def through(self, issue: Issue, sha: str, tries: int) -> Outcome:
        """How an issue ended that went through all its phases: left where a person finds it, or landed; then it needs no branch any more."""
        offered = self.offers.get(issue.id, "")
        if not offered:
            branches.drop(self.hub, issue)
        place = offered or (self.hub.page(sha) if isinstance(self.hub, Upstream) else "")
        return Outcome(issue=issue.id, title=issue.title, state="ready" if offered else "landed", sha=sha, tries=tries, place=place)

    def run(self, task: Task[Any, Any], *args: Any) -> Any:
        """Have a phase run, and wait for its result. Interrupted if the run was told to end."""
        call = Call(task, args)
        self._have_done(call, self._done)
        return self.result(call)

    def submit(self, task: Task[Any, Any], *args: Any, **more: Any) -> Call:
        """Have a phase run as soon as there is a slot for it; `more` are fields of the call. Interrupted if the run was told to end."""
        return self.start(Call(task, args, **more), self._done)

    def start(self, call: Call, do: Callable[[Call], Done]) -> Call:
        """Have a call done in a thread of its own, by whatever does it. Interrupted if the run was told to end."""
        proc.go_on()
        name = f"{call.task.name} of {call.issue.id}"
        threading.Thread(target=contextvars.copy_context().run, args=[self._have_done, call, do], name=name, daemon=True).start()
        return call

    def land(self, arrivals: Sequence[Arrival]) -> bool:
        """Have changes land: here, where the user's repository is, and in this thread."""
        proc.go_on()
        with tags(*self._about(tasks.land)):
            return bool(tasks.land(self.site, arrivals))

    def offer(self, arrival: Arrival, base: str) -> str:
        """Leave a change for a person, onto a base branch: here, as it lands. Returns its commit, or the one that it has landed as by then."""
        proc.go_on()
        with tags(*self._about(tasks.offer)):
            made = tasks.offer(self.site, arrival, base, self.telling.facts(arrival.issue))
        if made.remark:
            self.journal.event("note", text=made.remark)
        if not made.landed:
            self.offers[arrival.issue.id] = made.place
        return made.landed or arrival.candidate.sha

    def _about(self, task: Task[Any, Any]) -> list[str]:
        return [f"repository:{self.hub.place.slug}", f"phase:{task.name}"]  # the task adds the issue

    def _have_done(self, call: Call, do: Callable[[Call], Done]) -> None:
        try:
            call.done.set_result(do(call))
        except BaseException as no:  # noqa: BLE001 - for whoever asks for the result
            call.done.set_exception(no)

    def _done(self, call: Call) -> Done:
        """Have a phase run when it is its turn; what git knows already needs no slot."""
        proc.go_on()
        key, name = self.key(call), call.task.name
        known = None if call.task.refresh_cache else results.find(self.hub, name, key, KINDS.get(phase_of(name), Verdict))
        if known is not None:
            done = Done(known, cached=True) if self.cluster else self._done_here(call, known=True)
        else:
            done = self._done_in_turn(call, self._wish(call))
        self.end(Step(call.issue.id, name))
        return done

    def _done_in_turn(self, call: Call, wish: Wish) -> Done:
        """Have a phase run on whoever lends it a slot. Here, where that is near, Prefect and Dask begin it meanwhile.

        But not if it asks a model that only so many may ask at once: from its beginning it counts as one of them.
        """
        limited = wish.asks_model and self.site.config.agent.requests
        if self.cluster or limited:
            with self._lent(call, wish) as place:
                asked = self._reminded(call)
                return self._done_there(self.cluster, place, asked) if self.cluster else self._done_here(asked)
        with self.places.ahead(wish):
            return self._done_here(self._reminded(call), turn=partial(self._lent, call, wish))

    @contextmanager
    def _lent(self, call: Call, wish: Wish) -> Iterator[str]:
        """For the block, a phase has its slot; that it had to wait for that is in the journal."""
        with self.places.lent(wish) as place:
            seconds = time.monotonic() - wish.since
            if seconds > WAITED:
                self.journal.event("waited for slot", **self.order(call).fields, seconds=round(seconds, 3))
            yield place

    def _reminded(self, call: Call) -> Call:
        """The same, with what is recalled for it; when its turn is near, so that it is what is known then, and asked for what runs only."""
        found = recalled(self, call)
        return replace(call, args=(*call.args, found)) if found else call

    def _wish(self, call: Call) -> Wish:
        """What a phase asks for, and its rank: a function, as the train moves meanwhile."""
        issue, phase, config = call.issue, call.task.name, self.site.config
        base, reserved = call.task.fn in {tasks.test_base.fn, tasks.shard_base.fn, tasks.check_base.fn}, config.reserved(phase)

        def ranked(phase: str, seconds: float = 0.0) -> Rank:
            like = phase_of(phase) if phase_of(phase) in KINDS else "test"  # of checks nothing is foreseen
            ahead = self.forecast.remaining(issue, "land") + seconds if seconds else self.forecast.remaining(issue, like)
            place = self._order.get(issue.id, 0)
            left = self.left.seconds / max(1, self.places.slots)
            return Rank.of(self.people.ranked(issue), phase, ahead, place, front=base or self.train.leads(issue), left=left)._replace(aside=call.aside)

        behind = BEHIND.get(phase, INTEGRATE if phase_of(phase) == "build" else "")
        return Wish(
            issue=issue.id,
            phase=phase,
            rank=partial(ranked, phase, call.seconds),
            memory=reserved / guard.GB or config.pool.memory_gb,
            reserved=bool(reserved),
            asks_model=tasks.LLM in call.task.tags,
            unwanted=call.unwanted,
            exclusive=frozenset(call.exclusive),
            behind=partial(ranked, behind) if behind else None,
        )

    def _done_here(self, call: Call, *, known: bool = False, turn: wanted.Turn = nullcontext) -> Done:
        """Have a phase run in a thread of this process. What is known asks no model, so it does not wait for others who do."""
        task = call.task.with_options(tags=["known"]) if known else call.task
        with tags(*self._about(task)), wanted.minded(call.unwanted, turn):
            future = task.submit(self.site, *call.args)
        try:
            return Done(future.result(), future.state.name == "Cached", str(future.task_run_id))
        except CancelledRun as no:
            raise Interrupted(str(no)) from no

    def _done_there(self, cluster: Cluster, place: str, call: Call) -> Done:
        """Have a phase run on another worker, which finds in the hub what it needs."""
        for candidate in (arg for arg in call.args if isinstance(arg, Candidate) and arg.sha != arg.onto):
            self.hub.hold(call.issue.key, candidate.sha)
        with tags(*self._about(call.task)):
            return cluster.run(place, call.task, call.args, self.site.config, call.unwanted)

    def result(self, call: Call) -> Any:
        """The result of a phase. One that Prefect had cached is kept in git, too; it is made again if its commit is gone."""
        done = call.done.result()
        result = done.value
        if self.cluster:
            self.hub.take_up(call.issue.key)
        if not done.cached:
            return result
        if isinstance(result, Change) and not self.hub.mirror.has(result.sha):
            return self.run(call.task.with_options(refresh_cache=True), *call.args)
        order = self.order(call)
        about = next(arg.base if isinstance(arg, Attempt) else arg.sha for arg in call.args if isinstance(arg, Attempt | Candidate | Change))
        results.keep(self.hub, order, self.key(call), result, about)
        self.journal.phase(order, "cached", **tasks.said(result), **({"task_run": done.task_run} if done.task_run else {}))
        return result

    def key(self, call: Call) -> str:
        """The key of a phase that was submitted."""
        given = inspect.signature(call.task.fn).bind(self.site, *call.args).arguments
        policy = cast("CacheKeyFnPolicy", call.task.cache_policy)
        return str(policy.compute_key(cast("Any", None), given, {})).partition("-")[2]

    def results(self, calls: list[Call]) -> list[Any]:
        """The results of phases that run at once. If some say no, one AgentFailed with all that they say."""
        wait([call.done for call in calls])
        found, noes = [], []
        for call in calls:
            try:
                found.append(self.result(call))
            except (AgentFailed, Conflict) as no:
                noes.append(str(no))
        if noes:
            raise AgentFailed("\n\n".join(noes))
        return found
