"""One delivery of a workload, from a repository and a server that were there before to the last landing; and the same by the baselines.

adw is called as a user calls it, in a home of the benchmark's own: what is measured is neither the making of servers and slots, nor
what a user's other runs have taught.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from adw.errors import AdwError
from benchmarks import peer
from benchmarks.journals import Event, wall
from benchmarks.machine import Seen, watched
from benchmarks.small import adw
from benchmarks.workload import PROBE, TEST_SECONDS, WARM, Workload

By = Literal["adw", "script", "classes", "peer"]
HOW = {"script": "sequential", "classes": "parallel"}


@dataclass(frozen=True)
class Ran:
    """A delivery that came to an end."""

    events: list[Event]
    command: float  # seconds
    seen: Seen
    folder: Path | None = None  # of adw's run

    @property
    def wall(self) -> float:
        """Seconds from the start of the work to its end."""
        return wall(self.events)


@dataclass(frozen=True)
class Trial:
    """A workload in a folder of its own, with the home that adw has for all of a benchmark."""

    folder: Path
    home: Path
    workload: Workload
    slots: int
    known: bool = False  # whether an earlier issue was planned on the same base

    def run(self, by: By) -> Ran:
        """Lay it out, and have it delivered."""
        self.workload.lay_out(self.folder, self.slots, whole=by != "adw")
        return self._by_adw() if by == "adw" else self._by_peer() if by == "peer" else self._by_baseline(HOW[by])

    def _by_adw(self) -> Ran:
        """What is delivered first makes server and slots, and has the branch tested; how long it took is forgotten, as it was over at once."""
        self.adw("run", WARM, waits=False)
        shutil.rmtree(newest(self.home).parent)
        if self.known:
            self.adw("plan", PROBE)
            shutil.rmtree(newest(self.home).parent)
        began = time.monotonic()
        with watched() as seen:
            self.adw("run", "issues")
        file = newest(self.home)
        return Ran(read(file), time.monotonic() - began, seen, file.parent)

    def adw(self, command: str, issues: str, *, waits: bool = True) -> None:
        """Call adw, to the end."""
        with environment({TEST_SECONDS: f"{self.workload.seconds['test'] if waits else 0:g}", "PYTHONPATH": str(self.folder / "plugin")}):
            status = ended(adw(self.home, self.folder / "hub", command, str(self.folder / issues)))
        if status:
            msg = f"adw {command} {issues} ended with status {status}: {newest(self.home).parent}"
            raise AdwError(msg)

    def _by_baseline(self, how: str) -> Ran:
        argv = [sys.executable, "-m", "benchmarks.baseline", str(self.folder), how, str(self.slots)]
        began = time.monotonic()
        with watched() as seen, environment({TEST_SECONDS: f"{self.workload.seconds['test']:g}"}):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            msg = f"the baseline ended with status {done.returncode}: {done.stderr[-2000:]}"
            raise AdwError(msg)
        return Ran(read(self.folder / "baseline.jsonl"), time.monotonic() - began, seen)

    def _by_peer(self) -> Ran:
        began = time.monotonic()
        with watched() as seen:
            events = peer.deliver(self.folder, self.workload)
        return Ran(events, time.monotonic() - began, seen)


def ended(process: "subprocess.Popen[bytes]") -> int:
    """The status of a process; it ends with us, if we are told to."""
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


@contextmanager
def environment(more: dict[str, str]) -> Iterator[None]:
    """For the block, more is in the environment."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def served(home: Path) -> Iterator[None]:
    """For the block, adw may start its server; it is stopped in the end."""
    try:
        yield
    finally:
        adw(home, home.parent, "clean", "--server").wait()


def newest(home: Path) -> Path:
    """The journal of the last run; a file that is not there if there was none."""
    return max(home.glob("repositories/*/runs/*/events.jsonl"), key=lambda path: path.stat().st_mtime, default=home / "events.jsonl")


def read(file: Path) -> list[Event]:
    """The events of a journal; none if there is none."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def phases(events: list[Event]) -> dict[str, list[float]]:
    """The seconds of phases that ended well, by phase; of pieces, too."""
    found: dict[str, list[float]] = {}
    for event in events:
        if event["event"] == "phase" and event["state"] == "done":
            found.setdefault(event["phase"], []).append(float(event["seconds"]))
    return found


def told(events: list[Event], name: str) -> list[Any]:
    """All events of a name."""
    return [event for event in events if event["event"] == name]
