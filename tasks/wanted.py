"""Who waits for a task run of this process: what it begins by when it is its turn, and is ended by, with Prefect told the truth, once nobody does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from prefect import State
from prefect.runtime import task_run
from prefect.states import Cancelled
from prefect.transactions import get_transaction

from adw import proc

Turn = Callable[[], AbstractContextManager[object]]


class Submitted(Protocol):
    """A task run that was submitted, as Prefect's futures are."""

    @property
    def task_run_id(self) -> object:
        """Whose id this is."""


Run = TypeVar("Run", bound=Submitted)


@dataclass(frozen=True, slots=True)
class _Waiter:
    unwanted: Callable[[], bool]
    turn: Turn


_waiters: dict[str, _Waiter] = {}  # by the id of the task run
_submitting = threading.Lock()  # a task run has its id, and may begin, before we know that


@contextmanager
def minded(submit: Callable[[], Run], unwanted: Callable[[], bool], turn: Turn = nullcontext) -> Iterator[Run]:
    """For the block, somebody waits for a task run that is submitted, for as long as they say; it works while it holds its turn."""
    with _submitting:
        run = submit()
        mine = str(run.task_run_id)
        _waiters[mine] = _Waiter(unwanted, turn)
    try:
        yield run
    finally:
        del _waiters[mine]


def turn() -> AbstractContextManager[object]:
    """What the current task run holds while it works; nothing, if nobody in this process waits for it."""
    mine = str(task_run.id)
    if mine not in _waiters:
        with _submitting:  # for as long as it may be about to come
            pass
    waiter = _waiters.get(mine)
    return waiter.turn() if waiter else nullcontext()


@contextmanager
def heard() -> Iterator[None]:
    """For the block, what the current task run runs is ended once nobody waits for it any more."""
    mine, elsewhere = str(task_run.id), proc.unwanted.get()
    token = proc.unwanted.set(lambda: elsewhere() or ((waiter := _waiters.get(mine)) is not None and waiter.unwanted()))
    try:
        yield
    finally:
        proc.unwanted.reset(token)


def given_up(why: str) -> State[Any]:
    """What a task run returns that was told to end: it was cancelled, and nothing is kept as its result."""
    if transaction := get_transaction():
        transaction.write_on_commit = False
    return Cancelled(message=why)
