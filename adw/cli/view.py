"""How a run looks: a live table on a terminal, lines elsewhere, and the summary at its end."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from adw.model import PHASES
from adw.progress import Cell, Progress, Row

STYLES = {"landed": "green", "already landed": "green", "planned": "green", "refused": "red", "blocked": "yellow", "stopped": "yellow", "crashed": "red"}
SHOWN_ROWS = 30
WIDE = 100  # columns from which nothing is left out


class View(Protocol):
    """What shows a run."""

    def event(self, progress: Progress, event: dict[str, Any]) -> None:
        """Something happened."""

    def tick(self, progress: Progress) -> None:
        """Time passed."""

    def say(self, text: str) -> None:
        """Something to know beside the table."""

    def aside(self) -> AbstractContextManager[None]:
        """For the block, nothing is drawn: somebody else has the terminal."""


def duration(seconds: float) -> str:
    """Seconds for people: 4.2s, 1m05s."""
    return f"{seconds:.1f}s" if seconds < 100 else f"{int(seconds) // 60}m{int(seconds) % 60:02d}s"  # noqa: PLR2004


def _cell(cell: Cell | None, now: float, *, wide: bool) -> Text:
    if cell is None:
        return Text("")
    again = f" ·{cell.attempt}" if cell.attempt > 1 and wide else ""
    looks = {
        "running": (f"▶ {duration(max(0.0, now - cell.since))}{again}", "cyan"),
        "done": (f"✓ {duration(cell.seconds)}{again}", "green"),
        "cached": (f"✓ cached{again}", "green dim"),
        "no": (f"✗ {duration(cell.seconds)}{again}", "yellow"),
        "failed": (f"✗ {duration(cell.seconds)}{again}", "red"),
    }
    return Text(*looks.get(cell.state, (cell.state, "dim")))


def _ended(row: Row) -> Text:
    text = f"landed {row.sha[:7]}" if row.state == "landed" else row.state
    return Text(text, STYLES.get(row.state, "dim"))


def table(progress: Progress, now: float, width: int = WIDE) -> Table:
    """Issues × phases, with what runs first where there are more than a screen holds."""
    wide = width >= WIDE
    shown = Table(box=None, pad_edge=False, header_style="bold", expand=True, padding=(0, 1, 0, 0))
    shown.add_column("issue", no_wrap=True, overflow="ellipsis", ratio=1)
    for phase in PHASES:
        shown.add_column(phase if wide else phase[:6], no_wrap=True, width=10 if wide else 7)
    shown.add_column("", no_wrap=True, width=15 if wide else 8)
    rows = list(progress.rows.values())
    if len(rows) > SHOWN_ROWS:
        rows.sort(key=lambda row: (not any(cell.state == "running" for cell in row.cells.values()), bool(row.state)))
    for row in rows[:SHOWN_ROWS]:
        ended = _ended(row) if wide else Text(row.state.removeprefix("already "), STYLES.get(row.state, "dim"))
        shown.add_row(Text(row.title), *(_cell(row.cells.get(phase), now, wide=wide) for phase in PHASES), ended)
    if len(rows) > SHOWN_ROWS:
        shown.add_row(Text(f"… and {len(rows) - SHOWN_ROWS} more", "dim"))
    return shown


class LiveView:
    """The table, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = "starting"
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def event(self, progress: Progress, event: dict[str, Any]) -> None:
        """Notes are printed above the table."""
        if event["event"] == "note":
            self._console.print(Text(event["text"], "dim"))
        self.tick(progress)

    def tick(self, progress: Progress) -> None:
        """Redraw."""
        now = time.time()
        if progress.flow_run:
            done = sum(bool(row.state) for row in progress.rows.values())
            self._status = f"{duration(now - progress.started)} · {done} of {len(progress.rows)} issues ended · {progress.busy} phases at work"
            self._status += f" · {', '.join(sorted(progress.asked))} waits for approval in the UI" if progress.asked else ""
        line: Any = Text(self._status, "dim")
        if not progress.ended:
            self._spinner.update(text=line)
            line = self._spinner
        shown = [table(progress, now, self._console.width)] if progress.rows else []
        self._live.update(Group(*shown, line, *([Text(f"in the Prefect UI: {progress.ui}", "dim")] if progress.ui else [])))

    def say(self, text: str) -> None:
        """Shown beside the spinner until the run says more."""
        self._status = text

    @contextmanager
    def shown(self) -> Iterator["LiveView"]:
        """Draw for the block."""
        self._live.start()
        try:
            yield self
        finally:
            self._live.stop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave the table as it is, and draw a new one below after the block."""
        self._live.stop()
        try:
            yield
        finally:
            self._live = Live(console=self._console, refresh_per_second=8, transient=False)
            self._live.start()


class LineView:
    """A line for each thing that happens: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def event(self, progress: Progress, event: dict[str, Any]) -> None:
        """One line."""
        since = duration(event["timestamp"] - progress.started)
        if event["event"] == "phase":
            took = f" after {duration(event['seconds'])}" if "seconds" in event else ""
            again = f" (try {event['try']})" if event["try"] > 1 else ""
            self._line(since, f"{event['issue']}: {event['phase']}{again}: {event['state']}{took}")
        elif event["event"] == "outcome":
            self._line(since, f"{event['issue']}: {event['state']} {event['sha'][:10]}")
        elif event["event"] == "approval":
            self._line(since, f"{event['issue']}: approval {event['state']}" + (f": {progress.ui}" if event["state"] == "wanted" else ""))
        elif event["event"] == "note":
            self._line(since, event["text"])
        elif event["event"] == "flow started":
            self._line(since, f"in the Prefect UI: {event['ui']}")

    def tick(self, progress: Progress) -> None:
        """Nothing: only events are printed."""

    def say(self, text: str) -> None:
        """One line."""
        self._line("", text)

    def aside(self) -> AbstractContextManager[None]:
        """Lines do not get in the way."""
        return nullcontext()

    def _line(self, since: str, text: str) -> None:
        self._console.print(Text(f"{since:>7} {text}"), soft_wrap=True)

    @contextmanager
    def shown(self) -> Iterator["LineView"]:
        """Nothing to set up."""
        yield self


def summary(console: Console, progress: Progress, seconds: float) -> None:
    """How a run ended: what landed, what did not and why, and what it took."""
    for name, row in progress.rows.items():
        if row.state in {"landed", "already landed"}:
            console.print(Text.assemble((f"{row.state} ", STYLES[row.state]), row.sha[:10], f"  {row.title}  ", (f"({name})", "dim")), soft_wrap=True)
    for name, row in progress.rows.items():
        if row.state and row.state not in {"landed", "already landed"}:
            first, _, rest = ("" if row.reason == progress.reason else row.reason).partition("\n")
            console.print(Text.assemble((f"{row.state} ", STYLES.get(row.state, "red")), f"{row.title}  ", (f"({name}) ", "dim"), first), soft_wrap=True)
            if rest:
                console.print(Text("\n".join(f"    {line}" for line in rest.strip().splitlines()[-12:]), "dim"), soft_wrap=True)
    if progress.began:
        flow = max(0.001, progress.last - progress.began)
        start = max(0.0, seconds - flow)
        ratio = f", {progress.work / flow:.1f} times as long" if progress.work > flow else ""
        sequential = f"; the same work one phase after another: {duration(progress.work)}{ratio}" if progress.work else ""
        console.print(f"took {duration(flow)} (and {duration(start)} to start){sequential}", soft_wrap=True, highlight=False)
        console.print(f"{progress.ran} phases ran, {progress.cached} were found in the cache", highlight=False)
    if progress.reason:
        console.print(f"[red]{escape(progress.reason)}[/red]", soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
