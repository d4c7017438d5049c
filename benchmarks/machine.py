"""The machine that something is measured on, what else it had to do meanwhile, and the results as JSON lines."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.small import Figure


@dataclass
class Seen:
    """The load of a machine while something was measured."""

    load_before: float = 0.0  # processes that wanted a core, over the last minute
    load_after: float = 0.0
    busy: float = 0.0  # of all cores' time, by whomever
    steal: float = 0.0  # of all cores' time, taken by other guests of the host

    def __str__(self) -> str:
        return f"load {self.load_before:.1f} before, {self.load_after:.1f} after; cores busy {self.busy:.0%}, stolen {self.steal:.0%}"


@contextmanager
def watched() -> Iterator[Seen]:
    """For the block, see what the machine has to do; known when it ends."""
    seen, before = Seen(load_before=os.getloadavg()[0]), psutil.cpu_times()
    yield seen
    after = psutil.cpu_times()
    spent = {name: getattr(after, name) - getattr(before, name) for name in after._fields if not name.startswith("guest")}  # in user and nice already
    total = sum(spent.values()) or 1.0
    seen.load_after, seen.steal = os.getloadavg()[0], spent.get("steal", 0.0) / total
    seen.busy = 1.0 - (spent["idle"] + spent.get("iowait", 0.0)) / total


@dataclass
class Book:
    """The figures of a benchmark: printed as they come, and kept as a line of JSON each."""

    benchmark: str
    file: Path
    figures: list[Figure] = field(default_factory=list)

    def add(self, figure: Figure, seen: Seen, **about: Any) -> None:
        """A figure that has a limit."""
        print(figure, flush=True)
        self.figures.append(figure)
        self.note(seen, **asdict(figure), met=figure.met, **about)

    def note(self, seen: Seen, **about: Any) -> None:
        """What was measured."""
        machine = {"cores": os.cpu_count(), "memory_gb": round(psutil.virtual_memory().total / 1024**3, 1), "system": platform.platform()}
        line = {"benchmark": self.benchmark, "at": time.time(), **about, "load": asdict(seen), "machine": machine}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    @property
    def met(self) -> bool:
        """Whether all limits are kept."""
        return all(figure.met for figure in self.figures)
