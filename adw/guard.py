"""What the machine can bear: memory for so many agents, room on the disk."""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import psutil

from adw import proc
from adw.config import PoolConfig
from adw.errors import DiskFull

GB = 10**9
SAFETY = 0.8  # of the free memory is lent


def slots(pool: PoolConfig) -> int:
    """How many slots the pool may lend with the memory that is free now: at least one."""
    if not pool.memory_gb:
        return pool.size
    return max(1, min(pool.size, int(memory() / pool.memory_gb)))


def memory(allowed: Mapping[tuple[str, str], float] = MappingProxyType({})) -> float:
    """GB for all that works in slots; `allowed` is what each of those at work may take, by issue and phase."""
    return lendable(psutil.virtual_memory().available, allowed, proc.held() if allowed else {})


def lendable(free: float, allowed: Mapping[tuple[str, str], float], held: Mapping[tuple[str, str], float]) -> float:
    """GB for all that works in slots: of the bytes that are free the part that is lent, and what those at work hold of what they may take."""
    return free / GB * SAFETY + sum(min(allowance, held.get(about, 0) / GB) for about, allowance in allowed.items())


def load() -> float:
    """How many processes want to run on each core, over the last minute."""
    return psutil.getloadavg()[0] / (os.cpu_count() or 1)


def free_percent(path: Path) -> float:
    """The share of the disk at a path that is free."""
    usage = psutil.disk_usage(str(path))
    return 100.0 - usage.percent


def check_disk(path: Path, floor: float) -> None:
    """DiskFull if less than `floor` percent of the disk is free."""
    free = free_percent(path)
    if free < floor:
        msg = f"only {free:.1f} % of the disk at {path} is free, and {floor:g} % must stay so: run `adw clean`, free some room, or lower pool.disk_floor in adw.toml"
        raise DiskFull(msg)


def size(folder: Path, skip: Collection[str] = ()) -> int:
    """Bytes of the files below a folder, but in those topmost folders; what vanishes meanwhile does not count."""
    total = 0
    for entry in entries(folder, skip):
        with suppress(OSError):
            total += entry.stat(follow_symlinks=False).st_size
    return total


def entries(folder: Path, skip: Collection[str] = ()) -> Iterator[os.DirEntry[str]]:
    """All below a folder that is no folder, however deep; `skip` are names of folders in the topmost. What cannot be read is passed over."""
    todo = [str(folder)]
    while todo:
        at = todo.pop()
        with suppress(OSError), os.scandir(at) as found:
            for entry in found:
                if not entry.is_dir(follow_symlinks=False):
                    yield entry
                elif at != str(folder) or entry.name not in skip:
                    todo.append(entry.path)
