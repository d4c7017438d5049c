"""Follows what this host can bear, and lends as many slots: all of them again when it is calm."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from adw import guard
from adw.bearing import Bearing, Seen
from adw.config import Config
from adw.errors import Misuse
from adw.journal import Journal
from adw.model import AGENT_PHASES
from flows.places import Offer, Places

HERE = "this host"
EACH = 2.0  # seconds between looks


def insist_on_memory(config: Config) -> None:
    """Misuse if a phase reserves more memory than this host could ever lend."""
    most = int(psutil.virtual_memory().total * guard.SAFETY)
    for phase in (*AGENT_PHASES, "test", *config.checks):
        if (asked := config.reserved(phase)) > most:
            table = "test" if phase == "test" else f"checks.{phase}" if phase in config.checks else f"agent.{phase}"
            msg = f"{phase} reserves {asked / guard.GB:.1f} GB of memory, and this host can lend {most / guard.GB:.1f} GB at most: lower `memory` in [{table}] of adw.toml"
            raise Misuse(msg)


class Lending:
    """The slots of a run that works on this host alone. Nothing that is at work is ended when they become fewer."""

    def __init__(self, config: Config, places: Places, journal: Journal) -> None:
        self._places, self._journal, self._over = places, journal, threading.Event()
        self._bearing = Bearing(config.pool.size, config.pool.memory_gb, config.pool.max_load)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Follow during the block."""
        self._look()
        threading.Thread(target=self._follow, name="lending", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def _follow(self) -> None:
        while not self._over.wait(EACH):
            self._look()

    def _look(self) -> None:
        at_work = self._places.at_work
        memory = guard.memory({(wish.issue, wish.phase): wish.memory for wish in at_work})
        if reason := self._bearing.look(Seen(memory, guard.load(), len(at_work)), time.monotonic()):
            self._journal.event("slots", now=self._bearing.now, size=self._bearing.size, reason=reason)
        self._places.update({HERE: Offer(self._bearing.now, memory)})
