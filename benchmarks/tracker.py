"""What a tracker that is in trouble costs a run: `make bench-tracker`.

Ten issues on five slots, with agents and tests that take time but no CPU, without a tracker and, in turn, with one that is well, dead,
slow (2 s for each answer), or fails at every third request. The tracker is the stand-in for Archon that the tests use. Times are from
the journal, from the start of the flow to the end of the last issue, and of the whole command; ratios are those of medians. Then the
tracker comes back, the same issues are asked for again, and what it then has is compared with what has happened. Exit status 1 if a
limit is not met.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from adw.model import PHASES
from benchmarks.machine import Book, watched
from benchmarks.many import seconds, table
from benchmarks.small import Figure, adw
from benchmarks.trial import Ran, newest, read, served
from benchmarks.workload import TEST_SECONDS, WARM, Workload
from tests import fake_archon
from tests.adw.daemon import free_port

ISSUES, SLOTS = 10, 5
ANSWER = 2.0  # seconds, of a tracker that is slow
MOST = 1.02  # of the time without a tracker
PATIENCE = 30.0  # seconds in which what is to be there has to be


def slow(archon: fake_archon.Archon) -> None:
    """Have each answer take its time."""
    archon.seconds = ANSWER


MODES: dict[str, Callable[[fake_archon.Archon], None] | None] = {  # what is done to the tracker once the run's repository is warm; None: it is dead
    "well": lambda _archon: None,
    "dead": None,
    "slow": slow,
    "every third fails": fake_archon.Archon.every_third_fails,
}


@dataclass(frozen=True)
class Stage:
    """A repository whose issues are to be delivered once, and its tracker."""

    folder: Path
    home: Path
    workload: Workload
    port: int = 0  # of the tracker; 0: there is none
    book: fake_archon.Book | None = None

    def lay_out(self) -> None:
        """Write all, and deliver one issue, so that server, slots and the test of the branch are there."""
        more = f'[tracker]\nkind = "archon"\nurl = "http://127.0.0.1:{self.port}"\n' if self.port else ""
        self.workload.lay_out(self.folder, SLOTS, more)
        self.run(WARM, test=0.0)

    def run(self, what: str, test: float | None = None) -> Ran:
        """Deliver to the end."""
        os.environ[TEST_SECONDS] = str(self.workload.seconds["test"] if test is None else test)
        began = time.monotonic()
        with watched() as seen:
            status = adw(self.home, self.folder / "hub", "run", str(self.folder / what)).wait()
        if status:
            sys.exit(f"adw run ended with status {status}: {newest(self.home)}")
        return Ran(read(newest(self.home)), time.monotonic() - began, seen)

    def wrong(self, archon: fake_archon.Archon) -> int:
        """How many tasks are not as they are to be, once that was waited for: of each issue, and of each of its phases, one that is done."""
        names = [name for issue in (*self.workload.edits, WARM) for name in (issue, *(f"{issue}/{phase}" for phase in PHASES))]
        wanted, until = sorted((name, "done") for name in names), time.monotonic() + PATIENCE
        while (found := self._found(archon)) != wanted and time.monotonic() < until:
            time.sleep(0.2)
        return len(set(found) ^ set(wanted)) + len(found) - len(set(found))

    def _found(self, archon: fake_archon.Archon) -> list[tuple[str, str]]:
        """The tasks that are there, with the ids of their issues instead of the keys."""
        return sorted((f"{name.partition('/')[0].rpartition('-')[0]}{''.join(name.partition('/')[1:])}", status) for name, status in archon.listed)


def measured(book: Book, folder: Path, mode: str, minute: float, number: int) -> tuple[Ran, int]:
    """A run in a mode, and how many tasks are wrong in the tracker after it has come back."""
    workload, place, home = Workload.alike(ISSUES, minute), folder / f"{mode.replace(' ', '-')}-{number}", folder / "home"
    if mode not in MODES:
        stage = Stage(place, home, workload)
        stage.lay_out()
        ran = stage.run("issues")
        book.note(ran.seen, mode=mode, wall=ran.wall, command=ran.command)
        return ran, 0
    stage = Stage(place, home, workload, free_port(), fake_archon.Book())
    with ExitStack() as stack:
        if spoil := MODES[mode]:
            archon = stack.enter_context(fake_archon.serving(stage.port, stage.book))
            stage.lay_out()
            spoil(archon)
        else:
            stage.lay_out()
        ran = stage.run("issues")
    with fake_archon.serving(stage.port, stage.book) as archon:
        stage.run("issues", test=0.0)
        wrong = stage.wrong(archon)
    book.note(ran.seen, mode=mode, wall=ran.wall, command=ran.command, wrong=wrong)
    return ran, wrong


def compared(book: Book, folder: Path, rounds: int, minute: float) -> Iterator[list[str]]:
    """All modes in turn, so often; a row for each."""
    found = {mode: [] for mode in ("no tracker", *MODES)}  # type: dict[str, list[tuple[Ran, int]]]
    for number in range(rounds):
        for mode, runs in found.items():
            runs.append(measured(book, folder, mode, minute, number))
            print(f"    {mode}: {runs[-1][0].wall:.2f} s of work, {runs[-1][0].command:.2f} s in all; {runs[-1][0].seen}", flush=True)
    walls = {mode: statistics.median(ran.wall for ran, _ in runs) for mode, runs in found.items()}
    commands = {mode: statistics.median(ran.command for ran, _ in runs) for mode, runs in found.items()}
    for mode, runs in found.items():
        work, command, wrong = walls[mode] / walls["no tracker"], commands[mode] / commands["no tracker"], sum(wrong for _, wrong in runs)
        yield [mode, seconds(walls[mode]), seconds(commands[mode]), f"{work:.3f}", f"{command:.3f}", str(wrong)]
        if mode in MODES:
            book.add(Figure(f"{mode}: the work, of that without a tracker", work, "x", MOST), runs[-1][0].seen)
            book.add(Figure(f"{mode}: the whole command, of that without a tracker", command, "x", MOST), runs[-1][0].seen)
            book.add(Figure(f"{mode}: tasks that are wrong after it came back", wrong, "", 0), runs[-1][0].seen)


def main() -> int:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracker", description="What a tracker in trouble costs a run.")
    parser.add_argument("--minute", type=float, default=0.75, help="seconds for a minute of the analysis (0.75: a run takes about half a minute)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (3)")
    parser.add_argument("--out", type=Path, default=Path("bench-tracker.jsonl"), help="the file that the results are added to, as JSON lines")
    given = parser.parse_args()
    book = Book("tracker", given.out.absolute())
    with tempfile.TemporaryDirectory() as name, served(Path(name) / "home"):
        rows = list(compared(book, Path(name), given.rounds, given.minute))
    table("Ten issues on five slots", ("tracker", "work", "command", "of none", "of none", "wrong"), rows)
    return 0 if book.met else 1


if __name__ == "__main__":
    sys.exit(main())
