"""Whose the processes of this host are, and what they use: of those trees only that matter, however many others there are."""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from adw import proc

FORKED = 0.9, 1.05  # of our memory: a child that holds as much is our own image still
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
        self._server = _Server(server)
        self._agents_cpu, self._adw_cpu = 0.0, 0.0

    def look(self) -> Held:
        """See what all use now."""
        ended, keepers = proc.used(), proc.keepers()  # in this order: what ends meanwhile is in neither, and counts at the next look
        agents_cpu, agents_memory, kept = ended, 0, list[tuple[float, int]]()
        for keeper in keepers:
            top, *below = [_seen(pid) for pid in (keeper, *descendants(keeper))]
            agents_cpu += top[0] + sum(worked for worked, _ in below)
            agents_memory += sum(held for _, held in below)
            kept.append((0.0, top[1]))
        me = _seen(os.getpid())
        mine = [me, *_born(me, [*kept, *_begun(set(keepers))]), *_starter(), self._server.seen()]
        adw_cpu = sum(worked for worked, _ in mine) - proc.used()  # those that have ended are in their parent's, which is ours
        # What ends while we look is seen by half: it never makes less of what was seen before.
        self._agents_cpu, self._adw_cpu = max(self._agents_cpu, agents_cpu), max(self._adw_cpu, adw_cpu)
        return Held(self._agents_cpu, self._adw_cpu, agents_memory, sum(held for _, held in mine))


class _Server:
    """The server's tree, which may die and come again in the middle of a run."""

    def __init__(self, find: Callable[[], int]) -> None:
        self._find = find
        self._pid, self._birth, self._worked, self._before = 0, 0.0, 0.0, 0.0

    def seen(self) -> tuple[float, int]:
        """Seconds of a core since the first look, whichever server it was, and the bytes that it holds."""
        known = proc.alive(self._pid, self._birth)
        if not known:
            self._pid = self._find()
            self._birth = proc.born(self._pid)
        found = [_seen(pid) for pid in (self._pid, *descendants(self._pid))] if self._pid else []
        worked = sum(each for each, _ in found)
        if not known:
            self._before += self._worked - worked
        self._worked = worked
        return self._before + worked, sum(held for _, held in found)


def _begun(keepers: set[int]) -> Iterator[tuple[float, int]]:
    """What each process uses that ours has begun, keepers aside."""
    for child in set(_children(os.getpid())) - keepers:
        yield from map(_seen, (child, *descendants(child)))


def _born(me: tuple[float, int], begun: Iterable[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    """The same without the memory of those that are only just forked: until they are the program that they will be, it is ours."""
    least, most = (share * me[1] for share in FORKED)
    for worked, held in begun:
        yield worked, 0 if least < held < most else held


def _starter() -> Iterator[tuple[float, int]]:
    """What the process uses that started ours, alone: what else it started is another run's."""
    with suppress(psutil.Error):
        parent = psutil.Process(os.getppid())
        yield sum(parent.cpu_times()[:2]), parent.memory_info().rss


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
