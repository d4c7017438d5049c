import threading
from collections import Counter

import pytest

from flows.places import Places
from tests.adw.tools import until


def places(**slots: int) -> Places:
    made = Places(lambda: None)
    made.update(slots)
    return made


def test_the_worker_with_the_most_room_is_next() -> None:
    made = places(large=4, small=2)
    assert Counter(made.take(0) for _ in range(6)) == {"large": 4, "small": 2}


def test_small_and_large_workers_are_filled_evenly() -> None:
    made = places(large=4, small=2)
    assert Counter(made.take(0) for _ in range(3)) == {"large": 2, "small": 1}


def test_who_waits_gets_the_slot_that_is_given_back_the_most_urgent_first() -> None:
    made = places(only=1)
    made.take(0)
    order: list[int] = []

    def wait(priority: int) -> None:
        made.take(priority)
        order.append(priority)
        made.give("only")

    threads = [threading.Thread(target=wait, args=[priority]) for priority in (0, 5)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(lambda number=number: made.waiting == number)  # type: ignore[misc]
    made.give("only")
    for thread in threads:
        thread.join()
    assert order == [5, 0]


def test_a_worker_that_comes_is_used_and_one_that_went_is_not() -> None:
    made = places(old=1)
    made.take(0)
    made.update({"new": 2})
    assert [made.take(0), made.take(0), made.slots] == ["new", "new", 2]


def test_who_waits_for_nothing_any_more_is_told_and_is_in_nobodys_way() -> None:
    over = threading.Event()

    def check() -> None:
        if over.is_set():
            raise ConnectionError

    made = Places(check)
    made.update({"only": 1})
    made.take(0)
    over.set()
    with pytest.raises(ConnectionError):
        made.take(9)
    over.clear()
    made.give("only")
    assert made.take(0) == "only"
