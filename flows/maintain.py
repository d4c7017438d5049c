"""Reconcile what crashes left behind."""

import asyncio
from itertools import chain
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun
from prefect.client.schemas.sorting import TaskRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from adw import clean
from adw.home import places
from adw.pool import Pool

PAGE = 200


def reconcile(pool: Pool) -> str:
    """Mend what dead runs left: in Prefect those of all repositories on this host, in the pool its own; returns what was done."""
    dead = list(chain.from_iterable(clean.dead(place) for place in places()))
    for journal in dead:
        asyncio.run(_bury(UUID(journal.progress().flow_run)))
        journal.event("run ended", state="crashed", reason="its process was killed")
    slots = pool.reconcile()
    said = [f"ended {len(dead)} runs whose process was killed"] if dead else []
    return ", ".join([*said, f"took back {slots} slots"] if slots else said)


async def _bury(run: UUID) -> None:
    """Put a flow run and its task runs, which nobody works on any more, into a final state: that frees their tag-limit slots."""
    reason: State[Any] = Crashed(message="The process of this run was killed.")
    async with get_client() as client:
        for task_run in await _all_task_runs(client, run):
            if task_run.state is None or not task_run.state.is_final():
                await client.set_task_run_state(task_run.id, reason, force=True)
        try:
            flow_run = await client.read_flow_run(run)
        except ObjectNotFound:
            return  # the server's database is another one now
        if flow_run.state is None or not flow_run.state.is_final():
            await client.set_flow_run_state(run, reason, force=True)


async def _all_task_runs(client: PrefectClient, run: UUID) -> list[TaskRun]:
    found: list[TaskRun] = []
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    while batch := await client.read_task_runs(flow_run_filter=of_run, sort=TaskRunSort.ID_DESC, limit=PAGE, offset=len(found)):
        found += batch
    return found
