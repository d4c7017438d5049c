"""The limit of the tag `llm`, over all flows and hosts: halved when the model's API has too much to do, raised again when it is quiet."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from adw.journal import Journal
from tasks.phases import LLM

EACH = 0.5  # seconds between looks at the journal
TOGETHER = 5.0  # seconds in which several agents that are turned away are one trouble
QUIET = 60.0  # seconds without trouble, after which one more agent is let in


@dataclass
class Pace:
    """How many agents may be at the model: a pure function of what happened when."""

    configured: int
    now: int = 0
    _trouble: float = field(default=float("-inf"))
    _raised: float = 0.0

    def __post_init__(self) -> None:
        self.now = self.now or self.configured

    def turned_away(self, when: float) -> bool:
        """An agent was told to come later; whether that changes the limit."""
        again = when - self._trouble < TOGETHER
        self._trouble = self._raised = when
        if again or self.now == 1:
            return False
        self.now = max(1, self.now // 2)
        return True

    def time(self, when: float) -> bool:
        """Time passed; whether that changes the limit."""
        if self.now >= self.configured or when - self._raised < QUIET:
            return False
        self.now, self._raised = self.now + 1, when
        return True


class Throttle:
    """Follows the journal of a run and keeps the tag's limit accordingly; it is what was configured again when the run ends."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self._reader = journal, journal.reader(from_now=True)
        self._pace, self._usual = Pace(0), 0
        self._over = threading.Event()

    @property
    def now(self) -> float:
        """How many agents may be at the model, if that is fewer than configured."""
        return self._pace.now if self._pace.now < self._pace.configured else inf

    @contextmanager
    def kept(self, agents: int) -> Iterator[None]:
        """Follow during the block, in which so many agents are at the model at once at most."""
        with get_client(sync_client=True) as client:
            self._usual = client.read_concurrency_limit_by_tag(LLM).concurrency_limit
        self._pace = Pace(min(agents, self._usual))
        thread = threading.Thread(target=self._follow, name="throttle", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()
            if self._pace.now < self._pace.configured:
                self._pace.now = self._pace.configured
                self._set()

    def _follow(self) -> None:
        while not self._over.wait(EACH):
            before = self._pace.now
            for event in self._reader.news():
                if event["event"] == "throttled":
                    self._pace.turned_away(event["timestamp"])
            self._pace.time(time.time())
            if self._pace.now != before:
                self._set()

    def _set(self) -> None:
        with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:  # it is tried again at the next change
            client.create_concurrency_limit(tag=LLM, concurrency_limit=int(min(self.now, self._usual)))
            self._journal.event("limit", now=self._pace.now, configured=self._pace.configured)
