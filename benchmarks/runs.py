"""Runs of many issues whose agents and tests are over at once: what adw itself takes for each."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from adw.errors import AdwError
from adw.journal import Journal
from adw.progress import Progress
from benchmarks.journals import Event, wall
from benchmarks.machine import Book, Seen, watched
from benchmarks.many import seconds, table
from benchmarks.small import MB, Figure, adw, git, repository
from benchmarks.trial import ended, newest, read, served

SLOTS = 5
STEEPER = 1.5  # how many times as much an issue may take in the largest run as in the smallest
AGENT = '[ "$ADW_PHASE" != build ] || echo x > "$ADW_ISSUE.txt"'
CONFIG = f"""[agent]
name = "command"
command = '''{AGENT}'''

[test]
command = "test -f code.txt"

[pool]
size = {SLOTS}
memory_gb = 0
disk_floor = 0
"""
# What the client of Prefect asks of the server is in the log of the run's process, a line for each request.
COUNTED = {"PREFECT_LOGGING_ROOT_LEVEL": "INFO"}
REQUEST = "HTTP Request: "
EACH = 3.0  # seconds between looks


@dataclass
class Meter:
    """Memory and CPU of adw's processes, by what they are."""

    memory: dict[str, float] = field(default_factory=dict)  # MB at most
    cpu: dict[str, float] = field(default_factory=dict)  # seconds; those of git, keepers, agents and tests are `children`

    def look(self, home: Path) -> None:
        """Take a look at those that there are."""
        for process in psutil.process_iter():
            try:
                if (name := _role(process.cmdline())) and process.environ().get("ADW_HOME") == str(home):
                    self._take(name, process)
            except (psutil.Error, OSError):
                continue

    def _take(self, name: str, process: psutil.Process) -> None:
        with process.oneshot():
            full, times = process.memory_full_info(), process.cpu_times()
        self.memory[name] = max(self.memory.get(name, 0.0), getattr(full, "pss", full.rss) / MB)
        self.cpu[name] = times.user + times.system
        if name == "flow":
            self.cpu["children"] = times.children_user + times.children_system


def _role(argv: list[str]) -> str:
    """What a process of adw's is, or nothing."""
    roles = {"adw": "supervisor", "adw.cli.runner": "flow", "uvicorn": "server"}
    return roles.get(argv[argv.index("-m") + 1], "") if "-m" in argv[:-1] else ""


@contextmanager
def metered(home: Path, middle: Callable[[Progress], None]) -> Iterator[Meter]:
    """For the block, look at adw's processes from time to time; `middle` is called when half of the issues have ended."""
    meter, over, told = Meter(), threading.Event(), False

    def follow() -> None:
        nonlocal told
        while not over.wait(EACH):
            meter.look(home)
            if not told and (file := next(home.glob("repositories/*/runs/*/events.jsonl"), None)):
                progress = Journal(file.parent).progress()
                told = 2 * sum(bool(row.state) for row in progress.rows.values()) >= len(progress.rows) > 0
                if told:
                    middle(progress)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield meter
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class Run:
    """A run of so many issues."""

    issues: int
    events: list[Event]
    command: float
    requests: int
    meter: Meter
    seen: Seen

    @property
    def each(self) -> float:
        """Seconds for an issue."""
        return wall(self.events) / self.issues

    @property
    def ends(self) -> tuple[float, float]:
        """Seconds for an issue in the first and in the last tenth of the run."""
        began = next(event["timestamp"] for event in self.events if event["event"] == "flow started")
        times = [began, *sorted(event["timestamp"] for event in self.events if event["event"] == "outcome")]
        part = max(1, self.issues // 10)
        return (times[part] - times[0]) / part, (times[-1] - times[-1 - part]) / part

    def told(self) -> dict[str, Any]:
        """For the results."""
        first, last = self.ends
        about = {"issues": self.issues, "each": self.each, "first_tenth": first, "last_tenth": last, "command": self.command}
        return {**about, "requests": self.requests, "memory": self.meter.memory, "cpu": self.meter.cpu}

    def row(self) -> list[str]:
        """For the table."""
        cpu, memory = self.meter.cpu, self.meter.memory
        each = [f"{1000 * cpu.get(name, 0.0) / self.issues:.0f}" for name in ("flow", "children", "server", "supervisor")]
        sizes = [f"{memory.get(name, 0.0):.0f}" for name in ("flow", "server", "supervisor")]
        first, last = self.ends
        return [str(self.issues), f"{self.each:.2f} s", f"{first:.2f} s", f"{last:.2f} s", f"{self.requests / self.issues:.0f}", *each, *sizes, str(self.seen)]


COLUMNS = (
    "issues",
    "each",
    "first tenth",
    "last tenth",
    "requests each",
    "flow ms each",
    "children",
    "server",
    "supervisor",
    "flow MB",
    "server MB",
    "supervisor MB",
    "machine",
)


def measured(folder: Path, issues: int, middle: Callable[[Progress], None]) -> Run:
    """Deliver so many issues, from nothing."""
    folder.mkdir()
    home, hub = folder / "home", repository(folder / "hub", 10)
    (hub / "adw.toml").write_text(CONFIG)
    git(hub, "add", "adw.toml")
    git(hub, "commit", "-qm", "second")
    for number in range(issues):
        path = folder / "issues" / f"i{number:03}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Add the file of issue {number}\n\nplease\n")
    os.environ.update(COUNTED)
    began = time.monotonic()
    with served(home), watched() as seen, metered(home, middle) as meter:
        status = ended(adw(home, hub, "run", str(folder / "issues")))
        meter.look(home)
    if status:
        msg = f"adw run ended with status {status}: {newest(home)}"
        raise AdwError(msg)
    events = read(newest(home))
    requests = (newest(home).parent / "flow.log").read_text(errors="replace").count(REQUEST)
    return Run(issues, events, time.monotonic() - began, requests, meter, seen)


def more_issues(folder: Path, book: Book, sizes: Sequence[int], middle: Callable[[Progress], None] = lambda _progress: None) -> Seen:
    """Runs of more and more issues; what the machine had to do in the last one. `middle` is called in the middle of each."""
    runs = list[Run]()
    for size in sizes:
        runs.append(measured(folder / str(size), size, middle))
        book.note(runs[-1].seen, what=f"an issue of {size} in a run", unit="s", value=runs[-1].each, **runs[-1].told())
        print(f"{size} issues: {seconds(runs[-1].command)}", flush=True)
    small, large = runs[0], runs[-1]
    if len(runs) > 1:
        book.add(Figure(f"an issue of {large.issues}, as a multiple of one of {small.issues}", large.each / small.each, "x", STEEPER), large.seen)
    table("What an issue costs", COLUMNS, [run.row() for run in runs])
    return large.seen
