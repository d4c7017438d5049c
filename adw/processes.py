"""Whose the processes of this host are, and what they use: of those trees only that matter, however many others there are."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from adw import proc

TOLD = Path(f"/proc/self/task/{os.getpid()}/children").exists()


@dataclass(frozen=True, slots=True)
class Held:
    """Seconds of a core that processes have used so far, those included that have ended, and the bytes that they hold."""

    agents_cpu: float
    adw_cpu: float
    agents_memory: int
    adw_memory: int


class Trees:
    """The processes of a run: what its keepers keep are agents; adw's are the run's own tree, whoever started it, and the server's tree."""

    def __init__(self, server: Callable[[], int]) -> None:
        """`server` finds the process at the top of the server's tree; 0 if it is not one of adw's."""
        self._find_server, self._server = server, server()
        self._agents_cpu, self._adw_cpu = 0.0, 0.0

    def look(self) -> Held:
        """See what all use now."""
        ended, keepers = proc.used(), proc.keepers()  # in this order: what ends meanwhile is in neither, and counts at the next look
        agents_cpu, agents_memory, adw_memory = ended, 0, 0
        for keeper in keepers:
            top, *below = [_seen(pid) for pid in (keeper, *descendants(keeper))]
            agents_cpu += top[0] + sum(worked for worked, _ in below)
            agents_memory += sum(held for _, held in below)
            adw_memory += top[1]
        mine = list(self._mine(set(keepers)))
        adw_cpu = sum(worked for worked, _ in mine) - proc.used()  # those that have ended are in their parent's, which is ours
        # What ends while we look is seen by half: it never makes less of what was seen before.
        self._agents_cpu, self._adw_cpu = max(self._agents_cpu, agents_cpu), max(self._adw_cpu, adw_cpu)
        return Held(self._agents_cpu, self._adw_cpu, agents_memory, adw_memory + sum(held for _, held in mine))

    def _mine(self, keepers: set[int]) -> Iterator[tuple[float, int]]:
        """What each process of adw's uses; keepers aside."""
        me = os.getpid()
        yield _seen(me)
        for child in set(_children(me)) - keepers:
            yield from map(_seen, (child, *descendants(child)))
        with suppress(psutil.Error):
            parent = psutil.Process(os.getppid())
            yield sum(parent.cpu_times()[:2]), parent.memory_info().rss  # alone: what else it started is another run's
        if self._server and not psutil.pid_exists(self._server):
            self._server = self._find_server()
        if self._server:
            yield from map(_seen, (self._server, *descendants(self._server)))


def _seen(pid: int) -> tuple[float, int]:
    """Seconds of a core that a process has used, those below it that have ended included, and the bytes that it holds; nothing once it is gone."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        with process.oneshot():
            return sum(process.cpu_times()[:4]), process.memory_info().rss
    return 0.0, 0


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found, todo = list[int](), [pid]
    while todo:
        below = _children(todo.pop())
        found += below
        todo += below
    return found


def _children(pid: int) -> list[int]:
    """The children of a process. Linux tells them for each of its threads; psutil reads all processes that there are."""
    with suppress(psutil.Error, OSError):  # it has ended
        if not TOLD:
            return [child.pid for child in psutil.Process(pid).children()]
        return [int(child) for thread in Path(f"/proc/{pid}/task").iterdir() for child in _told(thread / "children")]
    return []


def _told(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().split()
    except OSError:
        return []  # the thread has ended
