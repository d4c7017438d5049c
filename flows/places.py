"""Who takes the next slot, and on which worker: decided when one gets free, not when the phase was submitted.

Dask alone puts a task on a worker when it is submitted, by guesses of how long tasks take, and keeps the priority that it had
then; one that waits behind an agent on a full worker is seldom moved to one that has room (measured: benchmarks/cluster.py). So a
phase is submitted only when there is room for it, to the worker that has it. Without a cluster, this host is the only worker.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import nsmallest
from math import inf
from typing import TypeVar

from adw.errors import AdwError, Interrupted
from adw.rank import Rank

T = TypeVar("T")
EACH = 0.1  # seconds between looks at what changes by itself: who is wanted, whether the run goes on, free memory
AT_ONCE = 2  # who get ready at the same time
PATIENCE = 1.0  # seconds that one is thought to need for that at most
KEPT = 1.0  # seconds that a slot is kept for what comes behind a phase: so long the flow may need to see what that is


def never() -> bool:
    """What is always wanted."""
    return False


@dataclass(frozen=True, slots=True)
class Offer:
    """What a worker lends."""

    slots: int
    memory: float = inf  # GB for all that works there


@dataclass(eq=False, slots=True)
class Wish:
    """A phase that wants a slot."""

    issue: str
    phase: str
    rank: Callable[[], Rank]
    memory: float = 0.0  # GB that it may take
    reserved: bool = False  # it is not begun before so much is free
    asks_model: bool = False
    unwanted: Callable[[], bool] = never
    exclusive: frozenset[str] = frozenset()  # what nobody else at work may have
    behind: Callable[[], Rank] | None = None  # the rank of what comes of its issue once it has ended
    since: float = 0.0  # when it came to the line, by the monotonic clock
    near: "Future[None]" = field(default_factory=Future)  # its turn is near
    called: float = 0.0  # when it was told so
    ready: bool = False  # it has asked for its slot
    place: "Future[str]" = field(default_factory=Future)
    told: bool = False  # that it waits for memory


class Places:
    """The slots of all workers."""

    def __init__(self, models: Callable[[], float] = lambda: inf, tell: Callable[[str], None] = lambda _: None) -> None:
        """`models` is how many may ask a model at once; `tell` is told why somebody waits."""
        self._models, self._tell = models, tell
        self._check: Callable[[], None] = lambda: None
        self._guard = threading.Lock()
        self._waiting: list[Wish] = []  # in the order in which they came
        self._at_work: dict[Wish, str] = {}
        self._kept: dict[str, tuple[Callable[[], Rank], float]] = {}  # for what is to come of issues: its rank, and until when
        self._offered: dict[str, Offer] = {}
        self._moved = False  # who is next may have changed

    @property
    def slots(self) -> int:
        """How many there are."""
        return sum(offer.slots for offer in self._offered.values())

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    @property
    def at_work(self) -> list[Wish]:
        """Those who have one."""
        with self._guard:
            return list(self._at_work)

    @property
    def addresses(self) -> set[str]:
        """Whose they are."""
        return set(self._offered)

    def update(self, offered: Mapping[str, Offer]) -> None:
        """Workers came or went, or lend more or less."""
        with self._guard:
            self._offered, self._moved = dict(offered), True
            self._settle()

    @contextmanager
    def lent(self, wish: Wish) -> Iterator[str]:
        """For the block, a slot of the worker with the most room, once there is any and nobody goes first; the worker's address.

        Interrupted if nobody wants it any more before that.
        """
        wish.ready = True
        with self._in_line(wish):
            yield self._answer(wish, wish.place)

    @contextmanager
    def ahead(self, wish: Wish) -> Iterator[None]:
        """For the block, one stands in line, which begins when its turn is near: it gets ready there, and then asks for its slot (`lent`).

        Near is the turn of as many as there are slots, and of none that would have a model wait for it. Who is called and then overtaken
        stays ready; twice as many are at most. A slot that gets free goes to the first in line all the same, ready or not. Interrupted if
        nobody wants it any more before that.
        """
        wish.ready = False
        with self._in_line(wish):
            self._answer(wish, wish.near)
            yield

    @contextmanager
    def watched(self, check: Callable[[], None]) -> Iterator[None]:
        """For the block, those who wait are told when there is nothing to wait for any more: when `check` raises."""
        over, self._check = threading.Event(), check

        def watch() -> None:
            while not over.wait(EACH):
                with self._guard:
                    self._settle()
                    self._call(self._next())

        threading.Thread(target=watch, name="places", daemon=True).start()
        try:
            yield
        finally:
            over.set()

    @contextmanager
    def _in_line(self, wish: Wish) -> Iterator[None]:
        """For the block, one stands in line, or has its slot; again, if it had left."""
        try:
            with self._guard:
                self._check()
                if wish not in self._waiting and wish not in self._at_work:
                    wish.since, wish.near, wish.place = time.monotonic(), Future(), Future()
                    self._waiting.append(wish)
                    self._moved = True
                self._settle()
            yield
        finally:
            with self._guard:
                self._moved = True
                worked = self._at_work.pop(wish, None) is not None
                self._waiting = [other for other in self._waiting if other is not wish]
                if worked and wish.behind and not self._asked_by(wish.issue):
                    self._kept[wish.issue] = wish.behind, time.monotonic() + KEPT
                self._settle()

    def _answer(self, wish: Wish, asked: "Future[T]") -> T:
        try:
            return asked.result()
        except CancelledError:
            self._check()
            msg = f"nobody waits for {wish.phase} of {wish.issue} any more"
            raise Interrupted(msg) from None

    def _settle(self) -> None:
        """Let in whoever can be now, the first in order first, and send away who waits for nothing any more."""
        over = self._over()
        for wish in [wish for wish in self._waiting if over or wish.unwanted()]:
            self._waiting.remove(wish)
            wish.near.cancel()
            wish.place.cancel()
        if self._waiting and self._free():
            kept = self._to_come()
            for wish in sorted((*self._waiting, *kept), key=lambda wish: wish.rank()):
                if not self._let_in(wish):
                    break
            self._at_work = {wish: place for wish, place in self._at_work.items() if wish not in kept}
        self._call([wish for wish in self._at_work if not (wish.ready or wish.near.done())])

    def _to_come(self) -> list[Wish]:
        """What will want a slot in a moment, as what it waits for has just ended."""
        now = time.monotonic()
        self._kept = {issue: (rank, until) for issue, (rank, until) in self._kept.items() if until > now and not self._asked_by(issue)}
        return [Wish(issue, "to come", rank) for issue, (rank, _) in self._kept.items()]

    def _asked_by(self, issue: str) -> bool:
        """Whether a phase of an issue is at work, or in line."""
        return any(wish.issue == issue for wish in (*self._at_work, *self._waiting))

    def _next(self) -> list[Wish]:
        """Who is to be called next, though there is no slot yet; one, and only now and then, as those who have just got slots are to begin first."""
        if not self._moved:
            return []
        first = nsmallest(self.slots, self._waiting, key=lambda wish: wish.rank())
        far = [wish for wish in first if not (wish.ready or wish.near.done() or (wish.asks_model and self._models() < inf))]
        self._moved = bool(far)
        return far[:1] if sum(wish.near.done() for wish in self._waiting) < 2 * self.slots else []

    def _call(self, wishes: Sequence[Wish]) -> None:
        """Have some get ready in this order. Not all at once: that would be slow for each, and the first would gain nothing by being first."""
        now = time.monotonic()
        coming = sum(wish.near.done() and not wish.ready and now - wish.called < PATIENCE for wish in (*self._at_work, *self._waiting))
        for wish in wishes[: max(0, AT_ONCE - coming)]:
            wish.called = now
            wish.near.set_result(None)

    def _over(self) -> bool:
        try:
            self._check()
        except (AdwError, ConnectionError):
            return True
        return False

    def _let_in(self, wish: Wish) -> bool:
        """Give a slot to one who wants it, if that can be now; whether those behind may have one meanwhile."""
        if wish.asks_model and sum(other.asks_model for other in self._at_work) >= self._models():
            return True
        if any(wish.exclusive & other.exclusive for other in self._at_work):
            return True
        free = self._free()
        fitting = {address: share for address, share in free.items() if self._fits(wish, address)}
        if fitting:
            self._waiting = [other for other in self._waiting if other is not wish]
            self._at_work[wish] = max(fitting, key=lambda address: fitting[address])
            wish.place.set_result(self._at_work[wish])
            return bool(self._free())
        if wish.reserved and not wish.told:
            wish.told = True
            self._tell(f"{wish.phase} of {wish.issue} waits for {wish.memory:.1f} GB of memory; {max(map(self._spare, free)):.1f} GB are free for it")
        # Else it would wait for as long as there are smaller ones; but not for memory that only others than us could free.
        return all(wish.memory > self._offered[address].memory for address in free)

    def _fits(self, wish: Wish, address: str) -> bool:
        """Whether there is memory for it at a worker; where nothing is at work, something is, unless it reserves more."""
        return wish.memory <= self._spare(address) or not (wish.reserved or self._there(address))

    def _spare(self, address: str) -> float:
        """GB that those at work at a worker will leave even if they take all that they may."""
        return self._offered[address].memory - sum(wish.memory for wish in self._there(address))

    def _there(self, address: str) -> list[Wish]:
        return [wish for wish, at in self._at_work.items() if at == address]

    def _free(self) -> dict[str, float]:
        """The workers that have room, with the share of their slots that is free."""
        free = {address: offer.slots - len(self._there(address)) for address, offer in self._offered.items()}
        return {address: number / self._offered[address].slots for address, number in free.items() if number > 0}
