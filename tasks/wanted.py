"""Whether anybody still waits for a task run of this process; if not, what it runs is ended, and Prefect is told the truth."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import State
from prefect.runtime import task_run
from prefect.states import Cancelled
from prefect.transactions import get_transaction

from adw import proc

_unwanted: dict[str, Callable[[], bool]] = {}  # by the id of the task run


@contextmanager
def minded(task_run_id: object, unwanted: Callable[[], bool]) -> Iterator[None]:
    """For the block, somebody waits for a task run, for as long as they say."""
    _unwanted[str(task_run_id)] = unwanted
    try:
        yield
    finally:
        del _unwanted[str(task_run_id)]


@contextmanager
def heard() -> Iterator[None]:
    """For the block, what the current task run runs is ended once nobody waits for it any more."""
    mine, elsewhere = str(task_run.id), proc.unwanted.get()
    token = proc.unwanted.set(lambda: elsewhere() or (mine in _unwanted and _unwanted[mine]()))
    try:
        yield
    finally:
        proc.unwanted.reset(token)


def given_up(why: str) -> State[Any]:
    """What a task run returns that was told to end: it was cancelled, and nothing is kept as its result."""
    if transaction := get_transaction():
        transaction.write_on_commit = False
    return Cancelled(message=why)
