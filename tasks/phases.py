"""Plan, build, test, review, document and land as Prefect tasks, and the checks of a repository's own.

Each is keyed by what decides its result (the key functions of `adw.phases`), so that Prefect's cache deduplicates; the same key
at the same time is run once, because `adw.results.once` holds the kernel's lock for it and looks again. What is recalled is in no key. Only `Transient` errors
are retried. Time limits are those of the commands inside: Prefect cannot end a thread that waits for a process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, cast

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.runtime import task_run

from adw import checks, landing, offering, parts, phases, records, results, shards, upstream
from adw.errors import Interrupted, Transient
from adw.journal import Mark
from adw.memory.model import Memory
from adw.mirror import Hub
from adw.model import INTEGRATE, Arrival, Attempt, Candidate, Change, Issue, Offer, Order, Plan, Shard, Verdict
from adw.parts import Part
from adw.phases import Site
from adw.results import Result
from adw.sessions import Shelf
from adw.telling import Facts
from adw.upstream import Upstream
from tasks import wanted
from tasks.secrets import github_token, secrets

LLM = "llm"  # the tag whose concurrency limit guards the model's API, over all flows and hosts
KEPT: dict[str, Any] = {"persist_result": True, "result_serializer": "json"}


def transient(_task: object, _run: object, state: State[Any]) -> bool:
    """Whether a failure may pass by itself. A plain function: Prefect refuses to retry on a partial."""
    return isinstance(state.data, Transient)


RETRIED: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [1, 10], "retry_condition_fn": transient}


def by_plan(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a plan."""
    return "plan-" + phases.plan_key(given["site"], given["issue"], given["attempt"])


def by_build(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a build."""
    return "build-" + phases.build_key(given["site"], given["issue"], given["plan"], given["attempt"])


def by_test(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a test."""
    return "test-" + phases.test_key(given["site"], given["candidate"])


def by_part(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a part of a build."""
    return "part-" + parts.key(given["site"], given["issue"], given["plan"], given["part"], given["attempt"])


def by_parts(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a change that an agent made of parts."""
    return "integrate-" + parts.integrate_key(given["site"], given["issue"], given["plan"], given["attempt"], given["changes"])


def by_shard(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a shard of a test."""
    return "shard-" + shards.shard_key(given["site"], given["shard"], given["candidate"])


def by_review(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a review."""
    return "review-" + phases.review_key(given["site"], given["issue"], given["change"])


def by_check(_context: object, given: dict[str, Any]) -> str:
    """The cache key of a check."""
    return "check-" + checks.key(given["site"], given["issue"], given["name"], given["about"])


def by_document(_context: object, given: dict[str, Any]) -> str:
    """The cache key of the documentation."""
    return "document-" + phases.document_key(given["site"], given["issue"], given["change"])


def tag(issues: Iterable[str]) -> None:
    """Tag the current task run with its issues.

    Not before it runs: for each set of tags that one ever began with, Prefect keeps a service that asks for slots of their limits,
    a thread with a connection and a megabyte, for as long as the process lives. 500 issues would end with 2500 of them.
    """
    if context := TaskRunContext.get():
        context.task_run.tags = [*context.task_run.tags, *(f"issue:{issue}" for issue in issues)]


def traced(order: Order) -> dict[str, str]:
    """The current task run, for the events of a piece of work; and that piece of work, for whoever looks at the task run."""
    if TaskRunContext.get() is None:
        return {}
    get_run_logger().info("%s (`adw show --trace` with this, or with the id of this task run)", order.id)
    return {"task_run": str(task_run.id)}


def kept(  # noqa: PLR0913 - as of what is made once, and what to say of it
    site: Site,
    order: Order,
    key: str,
    kind: type[Result],
    make: Callable[[], tuple[Result, str]],
    believed: Callable[[Result], bool] = results.whatever,
    told: Mapping[str, object] | None = None,  # in the event that says how it ended
) -> Result:
    """Run a phase once for its key, when it is its turn, with its events in the journal.

    Its turn is over when it has its result: keeping that, and telling of it, is in nobody's way. One that is told to end has no result:
    its task run is cancelled.
    """
    tag([order.issue])
    with records.about(order.id), site.journal().told(order, **traced(order)) as mark, ExitStack() as turn:

        def made() -> tuple[Result, str]:
            result = make()
            mark.end()
            turn.close()
            return result

        try:
            turn.enter_context(wanted.turn())
            mark.begin()
            result, found = results.once(site.hub(), order, key, kind, made, believed)
        except Interrupted as no:
            mark.state = "cut"
            return cast("Result", wanted.given_up(str(no)))
        Shelf.of(site.hub().place, order).forget()  # nothing is left to go on with
        mark.state = "cached" if found else ended(result)
        mark.more.update({**(told or {}), **said(result)})
    return result


def passed(verdict: Verdict) -> bool:
    """Whether it is a yes."""
    return verdict.passed


def ended(result: Result) -> str:
    """The state of a phase that came to a result."""
    if not isinstance(result, Verdict):
        return "done"
    return "flaky" if result.flaky else "done" if result.passed else "no"


def said(result: object) -> dict[str, object]:
    """What an event tells of a result: the commit of a change; whether a verdict is a yes, which its state shows only if it is new."""
    if isinstance(result, Verdict):
        return {"passed": result.passed}
    return {"sha": result.sha} if isinstance(result, Change) else {}


@task(task_run_name="plan: {issue.title}", tags=[LLM], cache_policy=CacheKeyFnPolicy(cache_key_fn=by_plan), **KEPT, **RETRIED)
def plan(site: Site, issue: Issue, attempt: Attempt, recalled: Sequence[Memory] = ()) -> Plan:
    """What the agent means to do."""
    key = phases.plan_key(site, issue, attempt)
    return kept(site, site.order(issue, "plan", attempt.number), key, Plan, lambda: phases.plan(site, issue, attempt, secrets(site), recalled))


@task(task_run_name="build: {issue.title} (try {attempt.number})", tags=[LLM], cache_policy=CacheKeyFnPolicy(cache_key_fn=by_build), **KEPT, **RETRIED)
def build(site: Site, issue: Issue, plan: Plan, attempt: Attempt, recalled: Sequence[Memory] = ()) -> Change:
    """The agent's change."""
    key = phases.build_key(site, issue, plan, attempt)
    return kept(site, site.order(issue, "build", attempt.number), key, Change, lambda: phases.build(site, issue, plan, attempt, secrets(site), recalled))


# A piece of a phase is a phase by its name, too: `part.with_options(name=part.phase)`.
@task(task_run_name="{part.phase}: {issue.title} (try {attempt.number})", tags=[LLM], cache_policy=CacheKeyFnPolicy(cache_key_fn=by_part), **KEPT, **RETRIED)
def part(  # noqa: PLR0913 - as a build, and which part
    site: Site, issue: Issue, plan: Plan, attempt: Attempt, part: Part, recalled: Sequence[Memory] = ()
) -> Change:
    """A part of the change."""
    key, order = parts.key(site, issue, plan, part, attempt), site.order(issue, part.phase, attempt.number)
    return kept(site, order, key, Change, lambda: parts.build(site, issue, plan, part, attempt, secrets(site), recalled))


@task(
    name=INTEGRATE,
    task_run_name="integrate: {issue.title} (try {attempt.number})",
    tags=[LLM],
    cache_policy=CacheKeyFnPolicy(cache_key_fn=by_parts),
    **KEPT,
    **RETRIED,
)
def integrate(  # noqa: PLR0913 - as a build, and of what
    site: Site, issue: Issue, plan: Plan, attempt: Attempt, divided: Sequence[Part], changes: Sequence[Change], recalled: Sequence[Memory] = ()
) -> Change:
    """The change that is made of its parts."""
    key, order = parts.integrate_key(site, issue, plan, attempt, changes), site.order(issue, INTEGRATE, attempt.number)
    return kept(site, order, key, Change, lambda: parts.integrate(site, issue, plan, attempt, divided, changes, secrets(site), recalled))


@task(task_run_name="{shard.name}: {issue.title} (try {attempt})", cache_policy=CacheKeyFnPolicy(cache_key_fn=by_shard), **KEPT, **RETRIED)
def shard(site: Site, issue: Issue, shard: Shard, candidate: Candidate, attempt: int) -> Verdict:
    """Whether what would land passes some of the tests."""
    key, order = shards.shard_key(site, shard, candidate), site.order(issue, shard.name, attempt)
    return kept(site, order, key, Verdict, lambda: shards.run(site, issue, shard, candidate, attempt), told=shards.told(shard))


@task(name="shard", task_run_name="{shard.name}: {issue.title}", cache_policy=NO_CACHE, **KEPT, **RETRIED)
def shard_base(site: Site, issue: Issue, shard: Shard, candidate: Candidate) -> Verdict:
    """That the branch as it is passes some of the tests."""
    key, order = shards.shard_key(site, shard, candidate), site.order(issue, shard.name)
    return kept(site, order, key, Verdict, lambda: shards.run_on_base(site, issue, shard, candidate), passed, shards.told(shard))


@task(task_run_name="test: {issue.title} (try {attempt})", cache_policy=CacheKeyFnPolicy(cache_key_fn=by_test), **KEPT, **RETRIED)
def test(site: Site, issue: Issue, candidate: Candidate, attempt: int) -> Verdict:
    """Whether what would land passes the tests."""
    key = phases.test_key(site, candidate)
    order, about = site.order(issue, "test", attempt), {"sha": candidate.sha}
    return kept(site, order, key, Verdict, lambda: phases.test(site, issue, candidate, attempt), told=about)


# What is on the branch was put there by somebody who believes in it: where it failed as a candidate once, it is looked at anew.
@task(name="test", task_run_name="test: {issue.title}", cache_policy=NO_CACHE, **KEPT, **RETRIED)
def test_base(site: Site, issue: Issue, candidate: Candidate) -> Verdict:
    """That the branch as it is passes the tests."""
    key = phases.test_key(site, candidate)
    return kept(site, site.order(issue, "test"), key, Verdict, lambda: phases.test_base(site, issue, candidate), passed)


@task(task_run_name="review: {issue.title} (try {attempt})", tags=[LLM], cache_policy=CacheKeyFnPolicy(cache_key_fn=by_review), **KEPT, **RETRIED)
def review(site: Site, issue: Issue, change: Change, attempt: int, recalled: Sequence[Memory] = ()) -> Verdict:
    """Whether the agent finds the change fit to land."""
    key = phases.review_key(site, issue, change)
    return kept(site, site.order(issue, "review", attempt), key, Verdict, lambda: phases.review(site, issue, change, attempt, secrets(site), recalled))


# A check is a phase by its name: `check.with_options(name=…)`, so that what is kept of it is found by that.
@task(task_run_name="{name}: {issue.title} (try {attempt})", cache_policy=CacheKeyFnPolicy(cache_key_fn=by_check), **KEPT, **RETRIED)
def check(site: Site, issue: Issue, name: str, about: Candidate | Change, attempt: int) -> Verdict:
    """What the command of a check says."""
    key = checks.key(site, issue, name, about)
    return kept(site, site.order(issue, name, attempt), key, Verdict, lambda: checks.run(site, issue, name, about, attempt))


@task(name="check", task_run_name="{name}: {issue.title}", cache_policy=NO_CACHE, **KEPT, **RETRIED)
def check_base(site: Site, issue: Issue, name: str, about: Candidate | Change) -> Verdict:
    """That the branch as it is passes the command of a check."""
    key = checks.key(site, issue, name, about)
    return kept(site, site.order(issue, name), key, Verdict, lambda: checks.run_on_base(site, issue, name, about), passed)


@task(task_run_name="{name}: {issue.title} (try {attempt})", tags=[LLM], cache_policy=CacheKeyFnPolicy(cache_key_fn=by_check), **KEPT, **RETRIED)
def judge(site: Site, issue: Issue, name: str, about: Change, attempt: int) -> Verdict:
    """What the agent says to the question of a check."""
    key = checks.key(site, issue, name, about)
    return kept(site, site.order(issue, name, attempt), key, Verdict, lambda: checks.judge(site, issue, name, about, attempt, secrets(site)))


@task(task_run_name="document: {issue.title} (try {attempt})", tags=[LLM], cache_policy=CacheKeyFnPolicy(cache_key_fn=by_document), **KEPT, **RETRIED)
def document(site: Site, issue: Issue, change: Change, attempt: int) -> Change:
    """The change with its documentation."""
    key = phases.document_key(site, issue, change)
    return kept(site, site.order(issue, "document", attempt), key, Change, lambda: phases.document(site, issue, change, attempt, secrets(site)))


def arriving(site: Site, arrival: Arrival) -> AbstractContextManager[Mark]:
    """Tell that a candidate is about to land, and how that ended."""
    order = site.order(arrival.issue, "land", arrival.attempt)
    return site.journal().timed(order, **traced(order), sha=arrival.candidate.sha)


def who_lands() -> str:
    """What a landing is called in the Prefect UI."""
    return f"land: {', '.join(arrival.issue.title for arrival in task_run.parameters['arrivals'])}"[:200]


@task(task_run_name=who_lands, cache_policy=NO_CACHE, **RETRIED)
def land(site: Site, arrivals: Sequence[Arrival]) -> bool:
    """Whether the branch moved to the last candidate; it did not if it had moved before."""
    tag(arrival.issue.id for arrival in arrivals)
    with ExitStack() as stack:
        marks = [stack.enter_context(arriving(site, arrival)) for arrival in arrivals]
        hub = upstream.facing(cast("Hub", site.hub()), site.config.landing)  # it is called where the user's repository is
        landed = upstream.land(hub, arrivals) if isinstance(hub, Upstream) else landing.land(hub, arrivals)
        for mark in marks:
            mark.state = "done" if landed else "no"
    return landed


@task(task_run_name="offer: {arrival.issue.title}", cache_policy=NO_CACHE, **RETRIED)
def offer(site: Site, arrival: Arrival, base: str, facts: Facts) -> Offer:
    """A candidate left for a person to land, as a branch, or also as a pull request onto the base branch."""
    tag([arrival.issue.id])
    with arriving(site, arrival) as mark:
        hub = upstream.facing(cast("Hub", site.hub()), site.config.landing)
        if isinstance(hub, Upstream):
            made = offering.propose(hub, site.config, arrival, base, github_token(site.config), facts, lambda text: site.journal().event("note", text=text))
        else:
            made = offering.leave(hub, arrival)
        mark.state = "done"
    return made
