"""A phase on another host: what travels there, and how it is run. Imports are late: the scheduler reads this module, too.

Prefect's own way would send the flow, its parameters and all of its host's settings with each task, folders included. What
is sent instead is the name of the task, values, and the ids that put its task run into the flow run; for anything else the
worker has its own: its Prefect settings, its ADW_HOME, its place for results.
"""

import asyncio
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

SHUT = {"closing", "closed", "closing_gracefully", "failed"}


@dataclass(frozen=True, slots=True)
class Errand:
    """A phase to run elsewhere."""

    task: str  # its name in `tasks.phases`
    args: tuple[Any, ...]  # the site first
    task_run: UUID
    flow_run: dict[str, str]
    topic: str  # where its events go; empty if the worker has the run's folder
    results: str = ""  # the Prefect storage block for its result
    fresh: bool = False  # whatever Prefect has cached is not to be used
    tags: tuple[str, ...] = ()  # of the task run in Prefect


@dataclass(frozen=True, slots=True)
class Done:
    """What came of it."""

    value: Any
    cached: bool
    task_run: str = ""


def run(packed: bytes) -> Done:
    """Run a phase on this worker. Its errand is packed, so that only workers need what is in it."""
    import httpx  # noqa: PLC0415
    from prefect import tags  # noqa: PLC0415
    from prefect.client.orchestration import get_client  # noqa: PLC0415
    from prefect.client.schemas.objects import FlowRun  # noqa: PLC0415
    from prefect.context import FlowRunContext  # noqa: PLC0415
    from prefect.results import ResultStore  # noqa: PLC0415
    from prefect.task_engine import run_task_sync  # noqa: PLC0415
    from prefect.task_runners import ThreadPoolTaskRunner  # noqa: PLC0415
    from prefect.utilities.callables import get_call_parameters  # noqa: PLC0415

    from adw.errors import Interrupted  # noqa: PLC0415
    from tasks import phases  # noqa: PLC0415

    errand: Errand = pickle.loads(packed)  # noqa: S301 - Dask itself trusts who may reach the scheduler
    task = getattr(phases, errand.task).with_options(result_storage=errand.results or None, refresh_cache=errand.fresh or None)
    site, *rest = errand.args
    parameters = get_call_parameters(task.fn, (_own(site), *rest), {})
    with _at_work(errand), get_client(sync_client=True) as client:
        of_run = FlowRunContext(
            flow_run=FlowRun.model_validate(errand.flow_run),
            client=client,
            task_runner=ThreadPoolTaskRunner(),
            result_store=ResultStore(),
            parameters={},
            detached=True,
        )
        try:
            with of_run, tags(*errand.tags):
                state = run_task_sync(task, task_run_id=errand.task_run, parameters=parameters, return_type="state")
            if state.is_cancelled():  # type: ignore[union-attr]
                raise Interrupted(state.message)  # type: ignore[union-attr]
            return Done(state.result(_sync=True), state.name == "Cached", str(errand.task_run))  # type: ignore[union-attr, call-overload]
        except httpx.HTTPError as no:  # its kind does not come back from another process
            msg = f"{type(no).__name__}: {no}"
            raise ConnectionError(msg) from no


def _own(site: Any) -> Any:
    """The site with as many slots as this worker lends."""
    from distributed import get_worker  # noqa: PLC0415

    slots = int(get_worker().state.total_resources.get("agent", 1))
    return site.sized(slots)


@contextmanager
def _at_work(errand: Errand) -> Iterator[None]:
    """For the block, events go to the host of the run, and what it runs is ended as soon as nobody waits for it."""
    from distributed import get_worker  # noqa: PLC0415

    from adw import journal, proc  # noqa: PLC0415

    worker = get_worker()
    key = worker.get_current_task()
    folder = str(errand.args[0].journal().folder)

    def send(event: dict[str, Any]) -> None:
        worker.log_event(errand.topic, {**event, "host": socket.gethostname(), "folder": folder})

    def unwanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is None or task.state == "cancelled" or worker.status.name in SHUT

    wanted = proc.unwanted.set(unwanted)
    sent = journal.sink.set(send if errand.topic else None)
    try:
        yield
    finally:
        proc.unwanted.reset(wanted)
        journal.sink.reset(sent)


async def facts() -> dict[str, str]:
    """What a worker, or the scheduler, runs on."""
    from adw import hosts  # noqa: PLC0415

    return await asyncio.to_thread(hosts.facts)


async def sees(token: str) -> bool:
    """Whether a worker has the run's own folder."""
    from adw import hosts  # noqa: PLC0415

    return hosts.sees(token)


async def fits(url: str, branch: str, tip: str, results: str) -> str:
    """Why a worker cannot work for a hub, or nothing. In a thread: the first time it brings the whole repository."""
    from adw import hosts  # noqa: PLC0415

    preload()
    return await asyncio.to_thread(hosts.reaches, url, branch, tip) or await asyncio.to_thread(_storage, results)


def _storage(results: str) -> str:
    """Why results cannot be kept in a Prefect storage block, or nothing."""
    from prefect.results import resolve_result_storage  # noqa: PLC0415

    try:
        if results:
            resolve_result_storage(results, _sync=True)  # type: ignore[call-arg]
    except Exception as no:  # noqa: BLE001 - whatever the block's package raises
        return f"it cannot use the storage block {results!r} (`cluster.results` in adw.toml): {type(no).__name__}: {no}"
    return ""


def preload() -> Callable[..., Any]:
    """Import what a phase needs, so that the first one does not pay for it."""
    import httpx  # noqa: F401, PLC0415
    from prefect import context, results, task_engine  # noqa: F401, PLC0415

    from tasks import phases  # noqa: F401, PLC0415

    return run
