"""A phase that is done in pieces: submitted by the flow, each in a slot of its own, and waited for by nobody but the flow.

Each piece is a phase by its name, with a key of its own, so that what is done is kept whatever becomes of the others. What all of
them come to is recorded as the result of the phase itself: whatever looks for that later finds it as if it had been done at once.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import contextmanager
from typing import Any

from adw.errors import AgentFailed, Interrupted
from adw.forecast import Step
from adw.journal import Mark
from adw.model import Order
from flows.work import Call, Work


@contextmanager
def whole(work: Work, order: Order, pieces: int) -> Iterator[Mark]:
    """For the block, a phase runs that is done in pieces; it has no slot itself."""
    stopped: Interrupted | None = None
    with work.journal.timed(order, pieces=pieces) as mark:
        try:
            yield mark
        except Interrupted as no:
            mark.state, stopped = "cut", no
        else:
            work.end(Step(order.issue, order.phase))
    if stopped:
        raise stopped


def gathered(work: Work, calls: Sequence[Call], over: threading.Event, stops: Callable[[Any], bool]) -> tuple[dict[int, Any], dict[int, AgentFailed]]:
    """What comes of pieces, by their numbers in line: results, and what went wrong. A piece that is in neither was ended, as nobody wanted it any more.

    `over` is set, and with it those end that are still at work, when `stops` says so of a result or of an AgentFailed. Whatever
    else comes of one is raised, once all have ended.
    """
    found, noes, worst = dict[int, Any](), dict[int, AgentFailed](), list[BaseException]()
    numbers = {call.done: number for number, call in enumerate(calls)}
    for done in as_completed(numbers):
        number = numbers[done]
        try:
            found[number] = work.result(calls[number])
        except AgentFailed as no:
            noes[number] = no
        except Interrupted as no:
            if not over.is_set():
                worst.append(no)
        except BaseException as no:  # noqa: BLE001 - raised below, when nothing is at work any more
            worst.append(no)
        if worst or stops(found.get(number, noes.get(number))):
            over.set()
    if worst:
        raise min(worst, key=lambda no: isinstance(no, Interrupted))
    return found, noes
