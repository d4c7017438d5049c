"""Many issues at once, side by side with the analysis' own classes: `make bench-many`.

Five features on five slots and twenty on five, with agents and tests that take time but no CPU: what adw takes of the least that the
number of slots allows, as its scheduler says, and of the same work one after another; the baseline at the same work (see
`benchmarks/baseline.py`); what both leave of features that do not go together; and what both lose when they are killed in the middle.
Times of adw are from its journal, from the start of the flow to the end of the last issue, with a server that runs; those of the
whole command stand beside them. Exit status 1 if a limit is not met.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.journals import Event, steps, twice
from benchmarks.machine import Book, watched
from benchmarks.small import Figure, adw, git
from benchmarks.trial import Ran, newest, read, served
from benchmarks.workload import TEST_SECONDS, WARM, Workload, broken

LEVELS = "5:5,20:5"  # features on slots
AIMS = {5: 1.05, 20: 1.10}  # of the limit, by features
FASTER = 4.7  # than one after another, five features on five slots
SEQUENTIAL = 1.0  # the longest minute with which the features are also really delivered one after another
MOMENT = 3.0  # seconds after which nothing of what was killed is to be at work
HANGS = 10.0  # seconds in which something would have begun
PARTS = ("speed", "odds", "kill")


@dataclass(frozen=True)
class Both:
    """The same workload, laid out for adw and for the baseline."""

    folder: Path
    workload: Workload
    slots: int

    def lay_out(self) -> None:
        """Write both, and deliver one issue by adw, so that server, slots and the test of the branch are there.

        What that taught of how long phases take is forgotten: it was over at once. The schedule goes by adw's guess.
        """
        for name in ("adw", "baseline"):
            (self.folder / name).mkdir(parents=True)
            self.workload.lay_out(self.folder / name, self.slots)
        self.adw("run", str(self.folder / "adw" / WARM), test=0.0)
        shutil.rmtree(newest(self.home).parent)

    @property
    def hub(self) -> Path:
        """Where adw delivers to."""
        return self.folder / "adw" / "hub"

    @property
    def rival(self) -> Path:
        """Where the baseline does."""
        return self.folder / "baseline" / "hub"

    @property
    def home(self) -> Path:
        """Of adw; the same for all, as its server serves all."""
        return self.folder.parent / "home"

    def environment(self, test: float | None = None) -> dict[str, str]:
        """Of either."""
        return {TEST_SECONDS: str(self.workload.seconds["test"] if test is None else test)}

    def adw(self, *args: str, test: float | None = None) -> Ran:
        """Have adw deliver to the end."""
        os.environ.update(self.environment(test))
        began = time.monotonic()
        with watched() as seen:
            status = adw(self.home, self.hub, *args).wait()
        if status:
            sys.exit(f"adw {' '.join(args)} ended with status {status}: {newest(self.home)}")
        return Ran(read(newest(self.home)), time.monotonic() - began, seen)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start adw on all issues."""
        os.environ.update(self.environment())
        return adw(self.home, self.hub, "run", str(self.folder / "adw" / "issues"))

    def start_baseline(self, how: str = "parallel") -> "subprocess.Popen[bytes]":
        """Start the baseline on all issues."""
        argv = [sys.executable, "-m", "benchmarks.baseline", str(self.folder / "baseline"), how, str(self.slots)]
        return subprocess.Popen(argv, env={**os.environ, **self.environment()}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def baseline(self, how: str = "parallel") -> Ran:
        """Have the baseline deliver to the end."""
        began = time.monotonic()
        with watched() as seen:
            status = self.start_baseline(how).wait()
        if status:
            sys.exit(f"the baseline ended with status {status}")
        return Ran(self.rivals, time.monotonic() - began, seen)

    @property
    def rivals(self) -> list[Event]:
        """What the baseline has told."""
        return read(self.folder / "baseline" / "baseline.jsonl")

    def begun_again(self) -> list[Event]:
        """Have the baseline deliver to the end after a kill, once a person has cleared up what it left."""
        while self.at_work("baseline"):
            time.sleep(0.2)
        for tree in (self.rival / ".worktrees").iterdir():
            git(self.rival, "worktree", "remove", "--force", str(tree))
        return self.baseline().events

    def at_work(self, name: str) -> int:
        """How many agents of one of both are at work, with what keeps them."""
        mark, found = str(self.folder / name), 0
        for process in psutil.process_iter():
            try:
                found += mark in " ".join([*process.cmdline(), process.cwd()]) and any(p.endswith(("script.json", "check.sh")) for p in process.cmdline())
            except psutil.Error:
                continue
        return found


def speed(book: Book, folder: Path, minute: float, levels: Sequence[tuple[int, int]]) -> Iterator[list[str]]:
    """How long it takes, by level."""
    for features, slots in levels:
        workload = Workload.alike(features, minute)
        both, level = Both(folder / f"speed-{features}-{slots}", workload, slots), f"{features} features on {slots} slots"
        both.lay_out()
        schedule, alone = workload.forecast.at(slots), workload.alone
        runs = {"adw": both.adw("run", str(both.folder / "adw" / "issues")), "the analysis' classes": both.baseline()}
        if minute <= SEQUENTIAL:
            sequential = Both(folder / f"sequential-{features}", workload, slots)
            sequential.lay_out()
            runs["one after another"] = sequential.baseline("sequential")
        for name, ran in runs.items():
            told = {"level": level, "by": name, "minute": minute, "wall": ran.wall, "command": ran.command, "limit": schedule.limit, "alone": alone}
            book.note(ran.seen, **told, expected=schedule.wall)
            yield [level, name, *map(seconds, (ran.wall, ran.command)), f"{ran.wall / schedule.limit:.3f}", f"{alone / ran.wall:.2f}×", str(ran.seen)]
        ours = runs["adw"]
        aim = AIMS.get(features, AIMS[20])
        book.add(Figure(f"{level}, of the least that the {schedule.binds} allow ({schedule.limit:.0f} s)", ours.wall / schedule.limit, "x", aim), ours.seen)
        if (features, slots) == (5, 5):
            book.add(Figure(f"{level}, faster than one after another ({alone:.0f} s)", alone / ours.wall, "x", FASTER, at_least=True), ours.seen)
        print(*(f"    {name:<42}{took:8.2f} s" for name, took in steps(ours.events, workload.seconds)), sep="\n", flush=True)


def odds(book: Book, folder: Path, minute: float) -> Iterator[list[str]]:
    """What is left of features that do not go together: a pair that breaks the tests only together, and a pair that conflicts."""
    both = Both(folder / "odds", Workload.at_odds(minute), 5)
    both.lay_out()
    for name, hub, ran in (("adw", both.hub, both.adw("run", str(both.folder / "adw" / "issues"))), ("the analysis' classes", both.rival, both.baseline())):
        bad, lost = len(broken(hub)), len(both.workload.missing(hub))
        told = {"broken": bad, "lost": lost, "wall": ran.wall}
        book.note(ran.seen, level="five features, two pairs at odds", by=name, minute=minute, **told)
        yield ["two pairs at odds", name, seconds(ran.wall), str(bad), str(lost)]
        if name == "adw":
            book.add(Figure("commits of the branch that fail the tests", bad, "", 0), ran.seen)
            book.add(Figure("changes that are not on the branch", lost, "", 0), ran.seen)


def kill(book: Book, folder: Path, minute: float) -> Iterator[list[str]]:
    """What is lost when all of it is killed in the middle, and begun again."""
    both = Both(folder / "kill", Workload.alike(5, minute), 5)
    both.lay_out()
    needed = both.workload.alone
    for name, start in (("adw", both.start), ("the analysis' classes", both.start_baseline)):
        ours = name == "adw"
        with watched() as seen:
            when, left = killed(both, start(), ours=ours)
            by_itself = ours or goes_on(both)
            events = both.adw("resume").events if ours else both.begun_again()
        again, lost = twice(events, both.workload.seconds, when), len(both.workload.missing(both.hub if ours else both.rival))
        book.note(seen, level="killed", by=name, minute=minute, needed=needed, again=again, lost=lost, left=left, goes_on=by_itself)
        yield ["killed", name, str(left), "yes" if by_itself else "no", f"{again:.1f} of {needed:.0f} s", str(lost)]
        if ours:
            most = 5 * both.workload.seconds["build"]
            book.add(Figure(f"agents and tests done again after a kill, of {needed:.0f} s", again, "s", most), seen)
            book.add(Figure("changes lost by a kill", lost, "", 0), seen)


def killed(both: Both, process: "subprocess.Popen[bytes]", *, ours: bool) -> tuple[float, int]:
    """Kill a delivery when the last build is half done, without a warning. When that was, and how many agents are at work a moment later."""
    known = newest(both.home)
    events: list[Event] = []
    while sum(event["event"] == "phase" and event["phase"] == "build" and event["state"] == "running" for event in events) < len(both.workload.edits):
        time.sleep(0.05)
        events = both.rivals if not ours else [] if newest(both.home) == known else read(newest(both.home))
    time.sleep(both.workload.seconds["build"] / 2)
    process.kill()
    when = time.time()
    for pid in {event["pid"] for event in events if event["event"] == "flow started" and "pid" in event}:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    time.sleep(MOMENT)
    return when, both.at_work("adw" if ours else "baseline")


def goes_on(both: Both) -> bool:
    """Whether the baseline begins any work when it is called again."""
    before = len(both.rivals)
    process = both.start_baseline()
    time.sleep(HANGS)
    begun = any(event["event"] == "phase" for event in both.rivals[before:])
    process.kill()
    process.wait()
    return begun


def seconds(value: float) -> str:
    """For a table."""
    return f"{value:.1f} s"


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print what was measured."""
    shown = Table(box=None, pad_edge=False, header_style="bold", title=title, title_justify="left")
    for name in columns:
        shown.add_column(name, no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    Console(width=200).print("", shown, "")


def main() -> int:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many", description="Many issues at once, beside the analysis' own classes.")
    parser.add_argument("--minute", type=float, default=6.0, help="seconds for a minute of the analysis (6)")
    parser.add_argument("--levels", default=LEVELS, help=f"features:slots, separated by commas ({LEVELS})")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part alone")
    parser.add_argument("--out", type=Path, default=Path("bench-many.jsonl"), help="the file that the results are added to, as JSON lines")
    given = parser.parse_args()
    levels = [(int(features), int(slots)) for features, _, slots in (level.partition(":") for level in given.levels.split(","))]
    book, parts = Book("many", given.out.absolute()), given.only or PARTS
    columns: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "home"):
        folder = Path(name)
        if "speed" in parts:
            rows = list(speed(book, folder, given.minute, levels))
            columns["Time"] = (("level", "by", "work", "command", "of the limit", "faster", "machine"), rows)
        if "odds" in parts:
            rows = list(odds(book, folder, given.minute))
            columns["Features that do not go together"] = (("five features", "by", "work", "broken commits", "lost changes"), rows)
        if "kill" in parts:
            rows = list(kill(book, folder, given.minute))
            columns["Killed in the middle"] = (("five features", "by", "left running", "goes on by itself", "done again", "lost changes"), rows)
    for title, (names, rows) in columns.items():
        table(title, names, rows)
    return 0 if book.met else 1


if __name__ == "__main__":
    sys.exit(main())
