"""What no schedule could be shorter than, and the best that is found, for work of which each piece takes a slot. Pure.

`adw.forecast` foresees phases, as adw gives them slots; this knows pieces of phases, and is bound to no way of giving slots.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

from adw.forecast import BEFORE
from adw.model import PHASES

ORDERS = 300  # random orders that are tried beside the telling ones


@dataclass(frozen=True, slots=True)
class Piece:
    """Work that takes one slot, and begins when what it needs has ended."""

    name: str
    seconds: float
    needs: tuple[str, ...] = ()


def of_phases(took: Mapping[tuple[str, str], float]) -> list[Piece]:
    """Phases, each with its issue's name before its own and its seconds, as pieces that wait for the phases before them."""
    ordered = sorted(took, key=lambda one: PHASES.index(one[1]))
    return [Piece(f"{issue} {phase}", took[issue, phase], tuple(f"{issue} {n}" for n in BEFORE[phase] if (issue, n) in took)) for issue, phase in ordered]


class Limits:
    """What some pieces take with a number of slots."""

    def __init__(self, pieces: Sequence[Piece], slots: int) -> None:
        """The pieces come in an order in which each is behind those that it needs."""
        self._pieces, self._slots = list(pieces), slots
        self._seconds = {piece.name: piece.seconds for piece in pieces}

    @property
    def alone(self) -> float:
        """Seconds of all, one after another."""
        return sum(self._seconds.values())

    @property
    def path(self) -> float:
        """Seconds of the longest chain."""
        return max(self._ahead.values(), default=0.0)

    @property
    def bound(self) -> float:
        """What no schedule is shorter than: the longest chain, or all work divided by the slots."""
        return max(self.path, self.alone / self._slots)

    @cached_property
    def best(self) -> float:
        """The shortest of many list schedules: longest way first, what came first first, and random orders (the same ones each time).

        No schedule is known to be shorter; that there is none is only sure where it equals the bound.
        """
        shortest = float("inf")
        for order in self._orders():
            shortest = min(shortest, self.scheduled(order))
            if shortest <= self.bound * (1 + 1e-9):
                break
        return shortest

    def scheduled(self, rank: Mapping[str, float]) -> float:
        """Seconds of the list schedule in which the piece of the lowest rank goes first."""
        missing = {piece.name: len(piece.needs) for piece in self._pieces}
        ready = [(rank[name], name) for name, needs in missing.items() if not needs]
        ready.sort()
        now, free, running = 0.0, self._slots, list[tuple[float, str]]()
        while ready or running:
            while ready and free:
                _, name = heappop(ready)
                heappush(running, (now + self._seconds[name], name))
                free -= 1
            now = running[0][0]
            while running and running[0][0] == now:
                _, ended = heappop(running)
                free += 1
                for name in self._after[ended]:
                    missing[name] -= 1
                    if not missing[name]:
                        heappush(ready, (rank[name], name))
        return now

    def _orders(self) -> Iterator[Mapping[str, float]]:
        yield {name: -seconds for name, seconds in self._ahead.items()}
        yield {piece.name: place for place, piece in enumerate(self._pieces)}
        luck = random.Random(10)  # noqa: S311 - the same ones each time
        for _ in range(ORDERS):
            yield {name: -seconds * luck.uniform(0.5, 1.5) for name, seconds in self._ahead.items()}

    @cached_property
    def _after(self) -> dict[str, list[str]]:
        after: dict[str, list[str]] = {piece.name: [] for piece in self._pieces}
        for piece in self._pieces:
            for needed in piece.needs:
                after[needed].append(piece.name)
        return after

    @cached_property
    def _ahead(self) -> dict[str, float]:
        """Seconds of the longest chain that begins with each piece."""
        ahead: dict[str, float] = {}
        for piece in reversed(self._pieces):
            ahead[piece.name] = piece.seconds + max((ahead[name] for name in self._after[piece.name]), default=0.0)
        return ahead
