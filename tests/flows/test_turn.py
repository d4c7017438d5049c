import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from flows.turn import Turn
from tests.adw.tools import until


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def queue(turn: Turn, threads: ThreadPoolExecutor, *priorities: int) -> tuple[list[Future[None]], list[tuple[int, int]]]:
    """Have one thread for each priority wait for the turn, in this order; what they note when they have it."""
    had: list[tuple[int, int]] = []

    def take(number: int, priority: int) -> None:
        with turn.taken(priority):
            had.append((priority, number))

    waiting = []
    for number, priority in enumerate(priorities):
        waiting.append(threads.submit(take, number, priority))
        until(lambda number=number: len(turn._waiting) == number + 1)  # type: ignore[misc] # noqa: SLF001 - nothing else tells who waits
    return waiting, had


def test_the_most_urgent_of_those_who_wait_is_next(threads: ThreadPoolExecutor) -> None:
    turn = Turn()
    with turn.taken(0):
        waiting, had = queue(turn, threads, 1, 3, 0, 2)
    for one in waiting:
        one.result(timeout=30)
    assert [priority for priority, _ in had] == [3, 2, 1, 0]


def test_who_waits_longest_is_first_among_equals(threads: ThreadPoolExecutor) -> None:
    turn = Turn()
    with turn.taken(9):
        waiting, had = queue(turn, threads, 5, 5, 5)
    for one in waiting:
        one.result(timeout=30)
    assert [number for _, number in had] == [0, 1, 2]


def test_only_one_has_the_turn(threads: ThreadPoolExecutor) -> None:
    turn, inside, most = Turn(), threading.Semaphore(1), []

    def take(_: int) -> None:
        with turn.taken(0):
            most.append(inside.acquire(blocking=False))
            threading.Event().wait(0.001)  # so that the others get to the door
            inside.release()

    list(threads.map(take, range(30)))
    assert most == [True] * 30


def test_a_turn_that_ends_badly_is_handed_on() -> None:
    turn = Turn()
    with pytest.raises(KeyboardInterrupt), turn.taken(0):
        raise KeyboardInterrupt
    with turn.taken(0):
        assert turn._taken  # noqa: SLF001 - and it was not taken for ever
