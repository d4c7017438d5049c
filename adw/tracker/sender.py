"""Brings a tracker to the state of the cards that wait, as far as it lets us.

What is there is looked up once, and again after whatever leaves doubt: an answer to the making of a task that was lost, a task that
is gone, another process that has sent meanwhile. So a long outage costs one look, only what differs is sent, and what was made
without our hearing of it is found instead of made twice. Each task has one request under way at most, and gets its newest state.
"""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, TypeVar

from adw import lock
from adw.errors import TrackerAway, TrackerGone, TrackerRefused
from adw.tracker.model import Card, Task, Tracker, named
from adw.tracker.spool import Spool

T = TypeVar("T")
AT_ONCE = 4  # requests
SLOW = 0.5  # seconds for an answer that are trouble
DOUBT = 60.0  # seconds in which a task may still come to be whose making was not answered
HOPELESS = 4  # failures in a row after which nothing more is tried in a round
ADOPTED = re.compile(r"archon-([0-9a-f]{8})-")  # the key of an issue that was a person's task first


class Sender:
    """Of one process, for one repository."""

    def __init__(self, tracker: Tracker, spool: Spool, lock_file: Path, warn: Callable[[str], None]) -> None:
        self._tracker, self._spool, self._lock, self._warn = tracker, spool, lock_file, warn
        self._me = uuid.uuid4().hex
        self._there: dict[str, Task] | None = None  # our tasks, by name; None: not known, or in doubt
        self._known: set[str] = set()  # the names of all that were ever seen
        self._refused: set[Card] = set()
        self.strangers: list[Task] = []  # tasks that are not ours
        self.gone: set[str] = set()  # names of tasks that somebody has taken away
        self.sent = 0  # requests that were answered as hoped, in the last round
        self.failed = 0  # those that were not
        self._doubted: set[str] = set()  # names of tasks that may be there, as their making was not answered
        self._doubt = 0.0  # until when one may come to be
        self._in_a_row = 0  # failures
        self._slow = False  # whether an answer of the last round was
        self.trouble = False  # whether the last round that asked anything has met failures, or answers that took long

    @property
    def there(self) -> dict[str, Task]:
        """Our tasks as they are there, as far as that is known."""
        return self._there or {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """For the block, be connected with the tracker. What waits already was left by somebody who may have begun to send it."""
        if self._spool.waiting():
            self._doubt = time.monotonic() + DOUBT
        try:
            yield
        finally:
            await self._tracker.close()

    @property
    def doubtful(self) -> bool:
        """Whether a task may come to be that we do not know of: it is well to look."""
        return time.monotonic() < self._doubt

    async def round(self, *, look: bool = False) -> None:
        """Send what waits. With `look`, see what is there in any case."""
        self.sent = self.failed = self._in_a_row = 0
        self._slow = False
        names = [card.name for card in self._spool.waiting()]
        if not (names or look):
            return
        with self._alone() as alone:
            try:
                if look or (alone and (self._there is None or self._doubted)):
                    await self._look()
                if alone:
                    await self._send(names)
            except (TrackerAway, TrackerRefused) as no:
                self._fail(no)
        if self.failed and not self.sent:
            self._there = None  # it was away: much may have changed
        if self.failed or self.sent:
            self.trouble = self._slow or bool(self.failed)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """For the block, be the only process that sends, if that can be; where another one has sent before, nothing is known."""
        file = lock.try_lock(self._lock)
        try:
            if file and not _was_ours(file, self._me):
                self._there = None
            yield bool(file)
        finally:
            if file:
                file.close()

    async def _look(self) -> None:
        """See what is there; what was made twice goes, the first one stays."""
        tasks = await self._timed(self._tracker.look())
        there, self.strangers = dict[str, Task](), []
        for task in sorted(tasks, key=lambda task: (task.created, task.id)):
            mark = task.mark
            if mark is None:
                self.strangers.append(task)
            elif there.setdefault(named(mark.issue, mark.phase), task) is not task:
                await self._tracker.drop(task)
        self.gone |= self._known - there.keys()
        self.gone -= there.keys()
        self._known |= there.keys()
        self._there = there
        self._doubted.clear()

    async def _send(self, names: list[str]) -> None:
        room = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with room:
                if self._in_a_row < HOPELESS and self._there is not None and (card := self._spool.get(name)):
                    await self._bring(card)

        await asyncio.gather(*map(one, names))

    async def _bring(self, card: Card) -> None:
        """Have one task be as its card says."""
        try:
            if card.name in self._doubted:
                return
            if card.name not in self.gone:
                await self._change(card, self.there.get(card.name) or self._adopted(card) or await self._made(card))
            self._spool.done(card)
        except TrackerAway as no:
            self._fail(no)
        except TrackerRefused as no:
            self._refuse(card, no)

    async def _made(self, card: Card) -> Task:
        """A new task for a card. If that fails it may be there all the same: it is looked for before it is made again."""
        try:
            task = await self._timed(self._tracker.make(card.fresh()))
        except TrackerAway:
            self._doubted.add(card.name)
            self._doubt = time.monotonic() + DOUBT
            raise
        self._took(card.name, task)
        return task

    async def _change(self, card: Card, task: Task) -> None:
        if fields := card.differs(task):
            self._took(card.name, await self._timed(self._tracker.change(task, fields)))

    async def _timed(self, answer: Awaitable[T]) -> T:
        began = time.monotonic()
        found = await answer
        self._slow |= time.monotonic() - began > SLOW
        self.trouble |= self._slow
        self.sent, self._in_a_row = self.sent + 1, 0
        return found

    def _took(self, name: str, task: Task) -> None:
        self._known.add(name)
        if self._there is not None:
            self._there[name] = task

    def _adopted(self, card: Card) -> Task | None:
        """The task of a person's that an issue was made of."""
        found = ADOPTED.match(card.issue)
        return next((task for task in self.strangers if found and not card.phase and task.id.startswith(found[1])), None)

    def _refuse(self, card: Card, no: TrackerRefused) -> None:
        """Look again, as the project may be gone; what is refused then, too, is given up."""
        if card in self._refused:
            self._spool.done(card)
        self._refused.add(card)
        self._fail(no)

    def _fail(self, no: TrackerAway | TrackerRefused) -> None:
        self.failed, self._in_a_row = self.failed + 1, self._in_a_row + 1
        self.trouble = True
        if isinstance(no, TrackerGone | TrackerRefused):  # perhaps the whole project is gone
            self._there = None
            self._tracker.forget()
        self._warn(str(no))


def _was_ours(file: IO[str], me: str) -> bool:
    """Whether nobody else has had the lock since we had it last; it is noted that we have it now."""
    file.seek(0)
    if file.read() == me:
        return True
    file.truncate(0)
    file.write(me)
    file.flush()
    return False
