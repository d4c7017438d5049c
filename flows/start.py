"""Begins a run on a repository: whatever a flow then does with the phases, it starts and ends like this."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from math import inf
from pathlib import Path

from prefect.plugins import load_prefect_collections
from prefect.runtime import deployment, flow_run

from adw import durations, graph, proc, sandbox
from adw.config import Config
from adw.desk import at_desk
from adw.errors import AdwError, Misuse
from adw.issues import markdown
from adw.issues.reading import Sources
from adw.journal import Journal
from adw.mirror import Hub, find_hub, sync
from adw.model import Issue
from adw.monitor import Monitor
from adw.notices import Teller
from adw.phases import Site
from adw.pool import Pool
from flows import blocks
from flows.adding import take_up
from flows.checks import Checks
from flows.cluster import opened
from flows.delivery import Delivery, configured, new_name
from flows.labels import label
from flows.lending import Lending, insist_on_memory
from flows.limits import Throttle
from flows.maintain import reconcile
from flows.places import Places
from flows.remembering import prepare, remembering
from flows.reports import Moving
from flows.sidings import faced, look_up, make_line, tidy
from flows.telling import Telling
from flows.threads import start_cluster
from flows.tracking import tracked
from flows.watch import Watch
from flows.work import Work
from tasks.secrets import forge_tokens, of_notices


@contextmanager
def begun(delivery: Delivery) -> Iterator[Work]:
    """For the block, a run on a repository, in a flow run: its issues, and what phases of them are run with.

    The Blocks are written where `adw.toml` changed, what crashes left is cleared up, the mirror is brought up to date, and a
    cluster is made. The run is in the journal, can be cancelled from afar, and shows its progress in the UI.
    """
    # The first task asks for them, and would wait half a second; here the server and git are waited for meanwhile.
    threading.Thread(target=load_prefect_collections, name="collections", daemon=True).start()
    hub = find_hub(Path(delivery.repository), delivery.branch)
    journal = Journal(hub.place.runs / (delivery.run or new_name(flow_run.scheduled_start_time, flow_run.id)))
    journal.keep(delivery.model_dump(mode="json"))
    os.environ["ADW_RUN"] = journal.folder.name  # for the lines of this process and those it starts
    with _noticed(hub, journal), _told(journal), Watch(flow_run.id).kept(), ExitStack() as stack:
        asked = [*delivery.issues, *markdown.read_matching(delivery.sources, hub.root)]
        config = _settled(hub, journal, delivery)
        hub = faced(hub, config, journal)
        tip = hub.tip()
        landed = hub.mirror.trailers(tip)
        asked += [issue for issue in _labelled(delivery, hub, config, journal, landed) if issue.id not in {one.id for one in asked}]
        site = Site(run=journal.folder.name, repository=delivery.repository, branch=hub.branch, config=config)
        throttle = Throttle(journal)
        places = Places(lambda: min(config.agent.requests or inf, throttle.now), lambda text: journal.event("note", text=text))
        cluster = None if delivery.dry_run else stack.enter_context(opened(site, hub, journal, places))
        work = Work(site, hub, journal, landed, places, durations.learned(hub.place), cluster)
        work.include(graph.in_order(asked, frozenset(landed)))
        take_up(work)
        if not (delivery.dry_run or delivery.only):
            look_up(work)
            tidy(work)
        work.train = make_line(work, tip)
        work.checks = Checks(work)
        work.memory = stack.enter_context(remembering(hub, config, journal))
        work.telling = Telling(work)
        if not (cluster or delivery.dry_run):
            stack.enter_context(_lent(config, places, journal))
        _begin(work)
        stack.enter_context(_shown(work, delivery))
        if not delivery.dry_run:
            if any(issue.id not in landed for issue in work.issues):
                work.memory.begin()
            stack.enter_context(places.watched(cluster.check if cluster else proc.insist))
            stack.enter_context(throttle.kept(config.agent.requests or work.most))
            stack.enter_context(Monitor(journal, Pool(hub, config.pool).folder).kept())
            stack.enter_context(at_desk(config, journal))  # for the whole run, though phases come and go
        yield work
        work.checks.settle()


def _labelled(delivery: Delivery, hub: Hub, config: Config, journal: Journal, landed: Mapping[str, str]) -> list[Issue]:
    """The issues at the forge that have the label that is asked for."""
    if not delivery.label:
        return []
    sources = Sources(hub, config, forge_tokens(config), lambda: landed, lambda text: journal.event("note", text=text))
    return sources.labelled(delivery.label)


@contextmanager
def _shown(work: Work, delivery: Delivery) -> Iterator[None]:
    """For the block, the run is shown elsewhere: in the tracker, in Prefect's UI, at GitHub. Nothing waits for any of them."""
    with ExitStack() as stack:
        work.people = stack.enter_context(tracked(work, work.site.config, dry=delivery.dry_run))
        stack.enter_context(Moving(work.hub, work.journal).shown())
        if not (delivery.dry_run or delivery.only):
            stack.enter_context(work.telling.kept())
        yield


@contextmanager
def _noticed(hub: Hub, journal: Journal) -> Iterator[None]:
    """Tell people of the run for the block, if it is that of a deployment: else the process that started us does."""
    with ExitStack() as stack:
        with suppress(Misuse):  # a configuration that is none is told a moment later
            if deployment.id:
                stack.enter_context(Teller(journal, hub.root.name, hub.config().notify, of_notices, desktop=False).at_work())
        yield


@contextmanager
def _told(journal: Journal) -> Iterator[None]:
    """Say in the journal how the block ended, if it is the run of a deployment: else the process that started us knows more."""
    state, reason = "done", ""
    try:
        yield
    except AdwError as no:
        state, reason = "failed", str(no)
        raise
    except BaseException as no:
        state, reason = "failed", f"{type(no).__name__}: {no}"
        raise
    finally:
        if proc.stopped():
            state, reason = "interrupted", ""
        if deployment.id:
            journal.event("run ended", state=state, reason=reason)


def _settled(hub: Hub, journal: Journal, delivery: Delivery) -> Config:
    """The configuration, once Blocks, what crashes left, and the mirror are as they should be."""
    written = hub.config()
    if not delivery.dry_run:
        prepare(written)
    for line in blocks.write(hub, written, delivery.agents or 0):
        journal.event("note", text=line)
    config = configured(hub, delivery)
    said = reconcile(Pool(hub, config.pool))
    # Only now: till then the journal tells of the process before this one, if there was one, which is to be mended, too.
    journal.event("process started", pid=os.getpid(), birth=proc.born(os.getpid()))
    if said:
        journal.event("note", text=said)
    sync(hub)
    return config


def _begin(work: Work) -> None:
    label(work.hub.place.slug, work.issues)
    work.journal.event(
        "flow started",
        flow_run=str(flow_run.id),
        ui=str(flow_run.ui_url or ""),
        slots=work.places.slots,
        elsewhere=work.hub.elsewhere,
        pid=os.getpid(),
        birth=proc.born(os.getpid()),
        issues=_named(work.issues),
        checks={name: check.required for name, check in work.site.config.checks.items()},
    )


def _named(issues: Sequence[Issue]) -> list[dict[str, str]]:
    return [{"id": issue.id, "title": issue.title} for issue in issues]


def _lent(config: Config, places: Places, journal: Journal) -> AbstractContextManager[None]:
    """Make the cluster of threads of this process, for as many slots as there may ever be; for the block they are lent as the host can bear it."""
    if reason := sandbox.why_not(config.sandbox):
        journal.event("note", text=reason)
    insist_on_memory(config)
    start_cluster(config.pool.size)
    return Lending(config, places, journal).kept()
