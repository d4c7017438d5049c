"""Which worker takes the next phase: the one with the most room, for the most urgent of those who wait.

Dask alone puts a task on a worker when it is submitted, by guesses of how long tasks take; one that waits behind an agent on a
full worker is seldom moved to one that has room (measured: benchmarks/cluster.py). So a phase is submitted only when there is
room for it, to the worker that has it.
"""

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Mapping


class Places:
    """The slots of all workers."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check  # raises when there is nothing to wait for any more
        self._condition = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = itertools.count()
        self._offered: dict[str, int] = {}
        self._taken: Counter[str] = Counter()

    @property
    def slots(self) -> int:
        """How many there are."""
        return sum(self._offered.values())

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    @property
    def addresses(self) -> set[str]:
        """Whose they are."""
        return set(self._offered)

    def update(self, offered: Mapping[str, int]) -> None:
        """Workers came or went: how many slots each of them has."""
        with self._condition:
            self._offered = dict(offered)
            self._condition.notify_all()

    def take(self, priority: int) -> str:
        """The address of the worker with the most room, once there is any and nobody more urgent waits."""
        with self._condition:
            ticket = (-priority, next(self._numbers))
            heapq.heappush(self._waiting, ticket)
            try:
                while not (self._waiting[0] == ticket and (address := self._roomiest())):
                    self._check()
                    self._condition.wait(0.5)
            finally:
                self._waiting.remove(ticket)
                heapq.heapify(self._waiting)
                self._condition.notify_all()
            self._taken[address] += 1
            return address

    def give(self, address: str) -> None:
        """A phase that had a slot of this worker is over."""
        with self._condition:
            self._taken[address] -= 1
            self._condition.notify_all()

    def _roomiest(self) -> str:
        room = {address: (slots - self._taken[address]) / slots for address, slots in self._offered.items() if slots > self._taken[address]}
        return max(room, key=lambda address: room[address], default="")
