"""Whose turn it is to land: one issue at a time, in order of priority and then of readiness."""

import heapq
import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turn:
    """A lock that is handed to the most urgent of those who wait, not to the luckiest."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[tuple[int, int]] = []
        self._numbers = itertools.count()
        self._taken = False

    @contextmanager
    def taken(self, priority: int) -> Iterator[None]:
        """Wait for the turn, and have it for the block."""
        with self._condition:
            ticket = (-priority, next(self._numbers))
            heapq.heappush(self._waiting, ticket)
            self._condition.wait_for(lambda: not self._taken and self._waiting[0] == ticket)
            heapq.heappop(self._waiting)
            self._taken = True
        try:
            yield
        finally:
            with self._condition:
                self._taken = False
                self._condition.notify_all()
