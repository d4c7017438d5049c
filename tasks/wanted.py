"""Who waits for a task run: what it holds while it works, and that it is ended once nobody does, with Prefect told the truth.

A task run of this process runs in a copy of the context that it was submitted in (`flows/threads.py`), so both are in there.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from prefect import State
from prefect.states import Cancelled
from prefect.transactions import get_transaction

from adw import proc

Turn = Callable[[], AbstractContextManager[object]]

_turn: ContextVar[Turn] = ContextVar("turn", default=nullcontext)


@contextmanager
def minded(unwanted: Callable[[], bool], turn: Turn = nullcontext) -> Iterator[None]:
    """What is submitted in the block works while it holds its turn, and is ended once nobody waits for it any more."""
    ends, holds = proc.unwanted.set(unwanted), _turn.set(turn)
    try:
        yield
    finally:
        proc.unwanted.reset(ends)
        _turn.reset(holds)


def turn() -> AbstractContextManager[object]:
    """What the current task run holds while it works; nothing, if it was submitted without, as on another host."""
    return _turn.get()()


def given_up(why: str) -> State[Any]:
    """What a task run returns that was told to end: it was cancelled, and nothing is kept as its result."""
    if transaction := get_transaction():
        transaction.write_on_commit = False
    return Cancelled(message=why)
