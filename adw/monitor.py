"""Watches what a run uses of the machine while it is at work, in a thread that takes less than a hundredth of a core.

Only of this host: what a cluster's other workers use is not seen.
"""

import os
import platform
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from adw import guard, server
from adw.home import Place
from adw.journal import Journal
from adw.processes import Held, Trees
from adw.usage import Book, Used, Window

EACH = 1.0  # seconds between looks, unless they take long
SHARE = 0.004  # of a core that looks take at most
DISK_EACH = 5.0  # seconds between looks at the disk, unless they take long
DISK_SHARE = 0.002
QUICK = 0.1  # seconds: a look at the disk that takes no longer is taken once more at the end
SHORTEST = 0.2  # seconds that a window is long: the kernel counts CPU in hundredths
IDLE = {"idle", "iowait", "steal", "guest", "guest_nice"}  # not work of this machine, or counted elsewhere, too
LOOPBACK = "lo"


class Monitor:
    """Of one run."""

    def __init__(self, journal: Journal, pool: Path) -> None:
        self._journal, self._over = journal, threading.Event()
        self._book, self._trees, self._disk = Book(journal.resources), Trees(server.own_pid), Disk(pool, Place.of_run(journal.folder))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Watch during the block. What goes wrong with that holds nothing up."""
        self._journal.event("machine", host=socket.gethostname(), cores=os.cpu_count(), memory=psutil.virtual_memory().total, system=platform.platform())
        thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(EACH)

    def _watch(self) -> None:
        last, pause = Seen.now(self._trees.look()), EACH
        while not self._over.wait(pause):
            began = time.thread_time()
            self._disk.look()
            last = self._noted(last)
            pause = max(EACH, (time.thread_time() - began) / SHARE)
        self._disk.look_again()
        self._noted(last)
        with suppress(OSError):
            self._book.flush()

    def _noted(self, last: "Seen") -> "Seen":
        """Note what was used since the last look; what was seen now."""
        now = Seen.now(self._trees.look())
        if now.when - last.when < SHORTEST:
            return last
        used = now.since(last, self._disk)
        with suppress(OSError):  # the disk is full
            self._book.add(Window(last.at, now.at, used, used))
        return now


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look saw; two of them say what was used between them."""

    at: float
    when: float  # on a clock that nobody sets
    held: Held
    busy: float  # seconds of cores, by whomever
    stolen: float
    network: int  # bytes so far
    loopback: int

    @classmethod
    def now(cls, held: Held) -> "Seen":
        """A look at the whole machine, beside what its processes hold."""
        times, cards = psutil.cpu_times()._asdict(), psutil.net_io_counters(pernic=True)
        bytes_by = {name: card.bytes_sent + card.bytes_recv for name, card in cards.items()}
        loopback = bytes_by.pop(LOOPBACK, 0) // 2  # sent and received are the same there
        busy = sum(seconds for name, seconds in times.items() if name not in IDLE)
        return cls(time.time(), time.monotonic(), held, busy, times.get("steal", 0.0), sum(bytes_by.values()), loopback)

    def since(self, last: "Seen", disk: "Disk") -> Used:
        """What was used since the last look."""
        seconds, memory = self.when - last.when, psutil.virtual_memory()
        agents, adw = self.held.agents_cpu - last.held.agents_cpu, self.held.adw_cpu - last.held.adw_cpu
        return Used(
            agents_cpu=agents / seconds,
            adw_cpu=adw / seconds,
            others_cpu=max(0.0, self.busy - last.busy - agents - adw) / seconds,
            stolen_cpu=(self.stolen - last.stolen) / seconds,
            load=psutil.getloadavg()[0],
            agents_memory=self.held.agents_memory,
            adw_memory=self.held.adw_memory,
            all_memory=memory.total - memory.available,
            pool_disk=disk.pool,
            home_disk=disk.home,
            network=(self.network - last.network) / seconds,
            loopback=(self.loopback - last.loopback) / seconds,
        )


class Disk:
    """How much there is of a run's files. To know that all of them must be looked at, so it is done seldom."""

    def __init__(self, pool: Path, place: Place) -> None:
        self.pool, self.home = 0, 0
        self._pool, self._place, self._due, self._took = pool, place, 0.0, 0.0

    def look(self) -> None:
        """Look, if the last time is long enough ago for what it took."""
        if time.monotonic() < self._due:
            return
        began = time.thread_time()
        self.pool = guard.size(self._pool)
        self.home = guard.size(self._place.root, [self._place.pool.name]) + guard.size(server.folder())
        self._took = time.thread_time() - began
        self._due = time.monotonic() + max(DISK_EACH, self._took / DISK_SHARE)

    def look_again(self) -> None:
        """Look once more at the end, if that holds nobody up."""
        if self._took < QUICK:
            self._due = 0.0
            self.look()
