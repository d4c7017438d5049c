"""The task runner of flows that run phases: Dask, with threads of the flow's own process, as agents and tests are processes already.

Prefect writes its context, all settings included, into each task that it gives to Dask, and Dask pickles and hashes all of that, as the
task may run on another host: a third of what a phase costs adw. Here a task stays in its process, and is handed over as it is, as
Prefect's own ThreadPoolTaskRunner does it.
"""

from collections.abc import Callable, Iterable
from contextvars import copy_context
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import dask.config
from distributed import LocalCluster
from prefect import Task
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture
from prefect.task_engine import run_task_sync
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from flows.cluster import QUIET

SPARE_THREADS = 4  # for what needs no slot

_handed: dict[UUID, Callable[[], Any]] = {}  # what each task run does


class Threads(DaskTaskRunner):
    """Gives tasks to the threads of a cluster in this process."""

    def submit(  # type: ignore[override]
        self,
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[PrefectFuture[Any]] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> PrefectDaskFuture[Any]:
        """Have a task run in the context that it is submitted in."""
        run = uuid4()
        about: dict[str, Any] = {"task": task, "task_run_id": run, "parameters": parameters, "wait_for": wait_for, "dependencies": dependencies}
        _handed[run] = partial(copy_context().run, partial(run_task_sync, return_type="state", **about))
        return PrefectDaskFuture(wrapped_future=self.client.submit(_do, run, pure=False), task_run_id=run)  # type: ignore[no-untyped-call]


def _do(run: UUID) -> Any:
    """What was handed over, in the thread of Dask that it was given to."""
    return _handed.pop(run)()


def threads() -> Any:
    """The task runner of flows that run phases."""
    return Threads(cluster_class=local_cluster, cluster_kwargs={"slots": 1})  # type: ignore[arg-type]


def local_cluster(slots: int) -> LocalCluster:
    """Threads for so many phases at work, twice as many that are ready for a slot, and some more."""
    dask.config.set(QUIET)
    return LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1,
        processes=False,
        threads_per_worker=3 * slots + SPARE_THREADS,
        dashboard_address=None,
        memory_limit=0,
    )


def start_cluster(slots: int) -> None:
    """Make this flow's cluster, before any thread submits to it: at a first submit by several threads at once, each would make one."""
    context = FlowRunContext.get()
    if context is None or not isinstance(context.task_runner, Threads):
        msg = "deliver needs the task runner that `flows.threads.threads()` gives"
        raise TypeError(msg)
    if not context.task_runner.address:
        context.task_runner.cluster_kwargs["slots"] = slots
    _ = context.task_runner.client
