"""A Dask cluster of other processes, on this host or on others: looked at before work starts, filled evenly, and told to end.

The host that runs the flow keeps what only one may do: the order of things, candidates, and landing. Workers are sent phases
as errands (`tasks.remote`), and reach the repository by its URL unless they share this host's folder.
"""

import pickle
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from typing import Any

import dask.config
from distributed import Client, Future
from distributed.scheduler import KilledWorker
from prefect import Task
from prefect.context import FlowRunContext, TagsContext

from adw import proc
from adw.config import ClusterConfig, Config
from adw.errors import AgentCrashed, Interrupted, Misuse
from adw.journal import Journal
from adw.mirror import Hub
from adw.phases import Site
from flows import blocks
from flows.inspection import ALONE, Inspection
from flows.places import Offer, Places
from tasks import remote
from tasks.remote import Done, Errand

CONNECT_LIMIT = 5  # seconds
LOOK_EACH = 1.0  # seconds between looks at who is there
# Dask's profiler looks at all threads' frames a hundred times a second, and CPython can deadlock over that (seen on 3.11.7).
QUIET = {"distributed.worker.profile.enabled": False, "distributed.logging.distributed": "error"}


class Cluster:
    """The workers of one delivery."""

    def __init__(self, client: Any, site: Site, hub: Hub, journal: Journal, places: Places) -> None:
        self._client, self._site, self._hub, self._journal, self._places = client, site, hub, journal, places
        self._look = Inspection(client, str(client.scheduler.address), site.config.cluster, journal)
        self._under_way: dict[Future[Any], Callable[[], bool]] = {}  # with whether nobody wants it any more
        self._guard = threading.Lock()
        self._unfit: set[str] = set()
        self._lost = ""
        self.far = False  # whether workers have folders of their own

    def prepare(self) -> None:
        """Wait for workers, and see to it that all that are there fit. Misuse, before any work starts, says what does not."""
        offered = self._look.first_workers()
        self._look.insist_on_the_same(offered)
        self.far = not self._look.share_our_folder(offered)
        if self.far:
            self._look.insist_on_the_hub(offered, self._site.branch, self._hub.tip())
            self._site = self._site.elsewhere(self._look.config.hub, self._author())
            self._client.subscribe_topic(self._topic, lambda event: self._journal.take(event[1]))
        self._places.update(offered)
        blocks.limit(self._site.config.agent.requests, self._places.slots)
        workers = "1 worker" if len(offered) == 1 else f"{len(offered)} workers"
        self._journal.event("note", text=f"{workers} with {self._places.slots} slots at {self._look.name}")

    @contextmanager
    def watched(self) -> Iterator["Cluster"]:
        """For the block, follow who comes and goes, and end all that is under way when the run is told to end."""
        over = threading.Event()
        threads = [threading.Thread(target=loop, args=[over], daemon=True) for loop in (self._mind_the_end, self._mind_the_workers)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            over.set()

    def run(self, address: str, task: Task[Any, Any], args: tuple[Any, ...], config: Config, unwanted: Callable[[], bool]) -> Done:
        """What comes of a phase on a worker, by a configuration, its pool and cluster aside.

        Interrupted if the run was told to end, or nobody wants it any more; ConnectionError if the cluster is lost.
        """
        self.check()
        own = {"pool": self._site.config.pool, "cluster": self._site.config.cluster}
        errand = self._errand(task, (replace(self._site, config=config.model_copy(update=own)), *args))
        future = self._client.submit(
            remote.run,
            pickle.dumps(errand),
            key=f"{errand.task}-{errand.task_run}",
            resources={"agent": 1},
            workers=[address],
            allow_other_workers=True,  # if this one dies
            pure=False,
        )
        with self._guard:
            self._under_way[future] = unwanted
        try:
            return future.result()  # type: ignore[no-any-return]
        except CancelledError as no:
            self.check()
            if unwanted():
                msg = f"nobody waits for {task.name} any more"
                raise Interrupted(msg) from no
            raise ConnectionError(self.lose()) from no
        except KilledWorker as no:
            msg = f"every worker that this phase was given to died ({no.allowed_failures + 1} times), by a person or for lack of memory"
            raise AgentCrashed(msg) from no
        finally:
            with self._guard:
                del self._under_way[future]

    def check(self) -> None:
        """Interrupted if the run was told to end, ConnectionError if the scheduler is lost."""
        proc.insist()
        if self._lost or self._client.status != "running":
            raise ConnectionError(self.lose())

    def lose(self) -> str:
        """Say, once, that the scheduler is lost."""
        with self._guard:
            if not self._lost:
                self._lost = f"lost the scheduler at {self._look.name}"
                self._journal.event("note", text=f"{self._lost}: what was under way there is done again", lost=self._look.name)
        return self._lost

    def _errand(self, task: Task[Any, Any], args: tuple[Any, ...]) -> Errand:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            msg = "phases are sent from within a flow run"
            raise RuntimeError(msg)
        run = {"id": str(context.flow_run.id), "flow_id": str(context.flow_run.flow_id), "name": context.flow_run.name}
        return Errand(
            task=task.fn.__name__,
            args=args,
            task_run=uuid.uuid4(),
            flow_run=run,
            topic=self._topic if self.far else "",
            results=self._look.config.results if self.far else "",
            fresh=bool(task.refresh_cache),
            tags=tuple(sorted(TagsContext.get().current_tags)),
        )

    @property
    def _topic(self) -> str:
        return f"adw-{self._site.run}"

    def _author(self) -> tuple[str, str]:
        names = self._hub.author()
        return names["GIT_AUTHOR_NAME"], names["GIT_AUTHOR_EMAIL"]

    def _mind_the_end(self, over: threading.Event) -> None:
        """Let go of what nobody wants any more, and of all that is under way when the run is told to end: workers then end its agents."""
        while not over.wait(0.1):
            with self._guard:
                futures = [future for future, unwanted in self._under_way.items() if proc.stopped() or unwanted()]
            if futures:
                self._client.cancel(futures, force=True, reason="nobody waits for it any more")  # again and again: one may be on its way there

    def _mind_the_workers(self, over: threading.Event) -> None:
        while not over.wait(LOOK_EACH):
            if self._client.status != "running":
                self.lose()
                return
            with suppress(Exception):  # the next look tells more
                self._places.update(self._fit(self._look.offers()))

    def _fit(self, offered: dict[str, Offer]) -> dict[str, Offer]:
        """Those workers that may be given work; one that came later and does not fit is named once, and left out."""
        new = offered.keys() - self._places.addresses - self._unfit
        for address in new:
            try:
                self._look.insist_on_the_same([address])
                if self.far:
                    self._look.insist_on_the_hub([address], self._site.branch, self._hub.tip())
            except Misuse as no:
                self._unfit.add(address)
                self._journal.event("note", text=f"a worker that came is given no work: {no}")
        fit = {address: offer for address, offer in offered.items() if address not in self._unfit}
        if self._places.slots and not fit:
            self._journal.event("note", text=f"{self._look.name} has no workers any more: waiting for one")
        if new:
            blocks.limit(self._site.config.agent.requests, sum(offer.slots for offer in fit.values()))
        return fit


@contextmanager
def opened(site: Site, hub: Hub, journal: Journal, places: Places) -> Iterator[Cluster | None]:
    """The cluster that is configured, ready for work, with its slots in `places`; None if there is none, or the one that this run had is lost."""
    config = site.config.cluster
    if not (config.address or config.cluster_class):
        yield None
        return
    dask.config.set(QUIET)
    with ExitStack() as stack:
        target = config.address or stack.enter_context(_made(config))
        try:
            client = stack.enter_context(Client(target, timeout=CONNECT_LIMIT, set_as_default=False))  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as no:
            if any(event.get("lost") for event in journal.events()[0]):
                journal.event("note", text=f"the scheduler at {target} does not answer: going on on this host alone")
                client = None
            else:
                msg = f"the scheduler at {target} does not answer ({type(no).__name__}): start it with `dask scheduler`, or {ALONE}"
                raise Misuse(msg) from no
        if client is None:
            yield None
            return
        cluster = Cluster(client, site, hub, journal, places)
        cluster.prepare()
        with cluster.watched():
            yield cluster


def _made(config: ClusterConfig) -> Any:
    """A cluster for this run alone."""
    module, _, name = config.cluster_class.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as no:
        msg = f"there is no class {config.cluster_class!r} (`cluster.cluster_class` in adw.toml): name one such as dask.distributed.SSHCluster, and install its package"
        raise Misuse(msg) from no
    try:
        return kind(**config.cluster_kwargs)
    except Exception as no:
        msg = f"{config.cluster_class} cannot make a cluster of `cluster.cluster_kwargs` in adw.toml: {type(no).__name__}: {no}"
        raise Misuse(msg) from no
