"""Keeps a tracker up to date with a run, in a thread of its own: the run's work never waits for it, and nothing that is wrong with it is the run's.

It reads the run's journal as the live table does, so an update costs whoever makes it nothing. What it learns goes into the spool
first, and from there to the tracker, at most once a second.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from adw import proc
from adw.journal import Reader
from adw.model import Issue
from adw.tracker.cards import Agents, of_issue, touched
from adw.tracker.people import People, wanted
from adw.tracker.sender import Sender
from adw.tracker.spool import Spool

NEWS = 0.5  # seconds between looks at the journal
ROUND = 1.0  # between rounds of sending
SLOWEST = 30.0  # between rounds while the tracker is away
LOOK = 3.0  # between looks at what is there: what people have changed, or what we do not know of
LAST = 5.0  # seconds that the end of a run waits for what is still to be sent
HURRIED = 0.5  # the same, of a run that was told to end
TRACKED = "tracked"  # the event that says which task is whose
SHARE = 0.01  # of the run's time, instead, where the tracker is in trouble: the next run sends it


@dataclass
class Courier:
    """Of one run."""

    sender: Sender
    spool: Spool
    reader: Reader
    run: str
    issues: Callable[[], Sequence[Issue]]
    agents: Agents
    warn: Callable[[str], object]
    people: People
    note: Callable[..., object]  # writes an event into the journal
    add: Callable[[Sequence[Issue]], object] | None  # takes up what people ask for; None: nobody listens to them
    _noted: set[tuple[str, str, str]] = field(default_factory=set)  # whose tasks are in the journal: by issue, phase and the task's id
    _began: float = field(default_factory=time.monotonic)
    _looked: float = float("-inf")
    _asked: set[str] = field(default_factory=set)  # the ids of issues that people have asked for
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _all: "asyncio.Task[None] | None" = None  # of what is done in the loop

    @contextmanager
    def kept(self) -> Iterator[People]:
        """For the block, keep the tracker up to date; at its end wait a moment for the last of it. What people say there meanwhile."""
        thread = threading.Thread(target=self._work, name="tracker", daemon=True)
        thread.start()
        try:
            yield self.people
        finally:
            self._from_outside(self._ending.set)
            thread.join(self.patience)
            if thread.is_alive():
                self._from_outside(self._give_up)
                thread.join(1)

    @property
    def patience(self) -> float:
        """How long the end of the run waits."""
        trouble = SHARE * (time.monotonic() - self._began) if self.sender.trouble else LAST
        return min(HURRIED if proc.stopped() else LAST, trouble)

    def _from_outside(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # it has ended by itself, and said why
            self._loop.call_soon_threadsafe(what)

    def _give_up(self) -> None:
        if self._all:
            self._all.cancel()

    def _work(self) -> None:
        try:
            with suppress(asyncio.CancelledError):  # its time is up
                self._loop.run_until_complete(self._keep())
        except* Exception as group:  # noqa: BLE001 - this is the border: whatever the tracker has, the run has not
            no = group.exceptions[0]
            self.warn(f"the tracker is told nothing more in this run: {type(no).__name__}: {no}")
        finally:
            self.spool.close()
            self._loop.close()

    async def _keep(self) -> None:
        self._all = asyncio.current_task()
        async with self.sender.opened(), asyncio.TaskGroup() as group:
            group.create_task(self._take_in())
            group.create_task(self._send())

    async def _take_in(self) -> None:
        """Note what is new in the journal, for as long as the run lasts."""
        while not self._ending.is_set():
            self._note_news()
            await self._rest(NEWS)

    async def _send(self) -> None:
        """Send what is noted, in rounds, and hear what people say; in the end only send, until all is sent, or nobody answers."""
        pause = ROUND
        while not self._ending.is_set():
            look = (self.add is not None or self.sender.doubtful) and time.monotonic() - self._looked >= LOOK
            await self._round(look=look)
            if look:
                self._looked = time.monotonic()
                self._hear()
            pause = min(2 * pause, SLOWEST) if self.sender.failed and not self.sender.sent else ROUND
            await self._rest(pause)
        self._note_news()
        while self.spool.waiting():
            await self._round()
            if self.sender.failed and not self.sender.sent:
                break
            await asyncio.sleep(0.1)

    async def _round(self, *, look: bool = False) -> None:
        """Send what waits, and note in the journal which tasks are whose: `adw show --trace` leads from one to the other."""
        await self.sender.round(look=look)
        ids = {issue.key: issue.id for issue in self.issues()}
        for name, task in self.sender.there.items():
            key, _, phase = name.partition("/")
            if key in ids and (whose := (ids[key], phase, task.id)) not in self._noted:
                self._noted.add(whose)
                self.note(TRACKED, issue=ids[key], phase=phase, task=task.id)

    async def _rest(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _note_news(self) -> None:
        issues, news = self.issues(), list(self.reader.news())
        self._noted |= {(event["issue"], event["phase"], event["task"]) for event in news if event["event"] == TRACKED}  # by the process before this one
        names = touched(news, issues)
        if names:
            changed = [card for place, i in enumerate(issues) if i.id in names for card in of_issue(self.reader.progress, self.run, i, place, self.agents)]
            self.spool.put(changed)

    def _hear(self) -> None:
        if self.add is None or not self.sender.there:  # it is not known, or there is nothing
            return
        issues = self.issues()
        self.people.hear(issues, self.sender.there, self.sender.gone)
        if new := wanted(self.sender.strangers, self._asked | {issue.id for issue in issues}):
            self._asked |= {issue.id for issue in new}
            self.add(new)
