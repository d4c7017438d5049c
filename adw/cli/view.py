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
from rich.text import Text

from adw import server
from adw.cli.table import SHOWN_ROWS, STYLES, at_work, duration, hindrances, table
from adw.model import GOOD, one_line
from adw.progress import Progress

CHROME = 4  # lines of a screen that are always there, or may be: the header, how many more issues there are, a gap, the cursor


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

    def shown(self) -> AbstractContextManager["View"]:
        """Show the run for the block."""


class LiveView:
    """The table, redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = "starting"
        self._spinner = Spinner("dots", style="cyan")
        self._live = Live(console=console, refresh_per_second=8, transient=False)

    def event(self, progress: Progress, event: dict[str, Any]) -> None:
        """Notes are printed above the table."""
        if event["event"] in {"note", "untold"}:
            self._console.print(Text(event["text"], "dim"))
        self.tick(progress)

    def tick(self, progress: Progress) -> None:
        """Redraw."""
        now = time.time()
        if progress.flow_run:
            self._status = status_line(progress, now)
        line: Any = Text(self._status, "dim")
        if not progress.ended:
            self._spinner.update(text=line)
            line = self._spinner
        address = [Text(text, "dim") for text in in_ui(progress.ui, "\n").splitlines()] if progress.ui else []
        below = [line, *hindrances(progress), *address]
        self._live.update(Group(*(self._tables(progress, now, len(below)) if progress.rows else []), *below))

    def _tables(self, progress: Progress, now: float, below: int) -> list[Any]:
        """The issues, and the agents at work: while it moves, no more than the screen holds with so many lines below."""
        agents = at_work(progress)
        room = SHOWN_ROWS if progress.ended else max(3, min(SHOWN_ROWS, self._console.height - CHROME - below) - agents.row_count)
        return [table(progress, now, self._console.width, room), *(["", agents] if agents.row_count else [])]

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
            self._line(since, f"{event['issue']}: {event['phase']}{again}: {event['state']}{took}  {event.get('id', '')}".rstrip())
        elif event["event"] == "outcome":
            self._line(since, f"{event['issue']}: {event['state']} {event['sha'][:10]} {event.get('place', '')}".rstrip())
        elif event["event"] == "approval":
            self._line(since, f"{event['issue']}: approval {event['state']}" + (f": {progress.ui}" if event["state"] == "wanted" else ""))
        elif event["event"] in {"breaker", "limit", "throttled"}:
            self._line(since, _hindrance(event))
        elif event["event"] == "red at base":
            self._line(since, f"the check {event['check']} is {progress.standing(event['check'])}")
        elif event["event"] == "slots":
            self._line(since, f"{event['now']} of {event['size']} slots are lent: {event['reason']}")
        elif event["event"] == "added" and event["issues"]:
            self._line(since, f"added: {', '.join(issue['id'] for issue in event['issues'])}")
        elif event["event"] in {"note", "untold"}:
            self._line(since, event["text"])
        elif event["event"] == "flow started":
            self._line(since, in_ui(event["ui"]))

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


def in_ui(address: str, apart: str = " ") -> str:
    """Where to look in the Prefect UI, and how a person gets in. The login itself is printed only by who asks for it: this may go into logs."""
    return f"in the Prefect UI: {address}{f'{apart}(login: `adw ui`)' if server.asks_for_login(address) else ''}"


def status_line(progress: Progress, now: float) -> str:
    """How far the run is, and what it has spent."""
    done = sum(bool(row.state) for row in progress.rows.values())
    parts = [duration(now - progress.started), f"{done} of {len(progress.rows)} issues ended", f"{progress.busy} phases at work"]
    parts += [f"{progress.money.short()} tokens"] if progress.spent else []
    return " · ".join([*parts, *([f"{', '.join(sorted(progress.asked))} waits for approval"] if progress.asked else [])])


def _hindrance(event: dict[str, Any]) -> str:
    """A change in what keeps agents from the model, in a line."""
    if event["event"] == "breaker":
        return one_line(f"breaker {event['state']}: {event['reason']}").removesuffix(":")
    if event["event"] == "limit":
        return f"{event['now']} of {event['configured']} agents may be at the model now"
    where = f"{event['issue']}: {event['phase']}: " if "issue" in event and "phase" in event else ""
    return one_line(f"{where}waits for the model's API: {event.get('reason', '')}").removesuffix(":")


def summary(console: Console, progress: Progress, seconds: float) -> None:
    """How a run ended: what landed, what did not and why, and what it took."""
    _ends(console, progress)
    if progress.began:
        flow = max(0.001, progress.last - progress.began)
        start = max(0.0, seconds - flow)
        ratio = f", {progress.work / flow:.1f} times as long" if progress.work > flow else ""
        sequential = f"; the same work one phase after another: {duration(progress.work)}{ratio}" if progress.work else ""
        console.print(f"took {duration(flow)} (and {duration(start)} to start){sequential}", soft_wrap=True, highlight=False)
        console.print(f"{progress.ran} phases ran, {progress.cached} were found in the cache", highlight=False)
    if progress.spent:
        console.print(progress.money.sentence(), soft_wrap=True, highlight=False, markup=False)
    for line in [*progress.doubts, *progress.hindrances]:
        console.print(Text(line, "yellow"), soft_wrap=True)
    if progress.reason:
        console.print(f"[red]{escape(progress.reason)}[/red]", soft_wrap=True)


def _ends(console: Console, progress: Progress) -> None:
    """How each issue ended, the good ends first."""
    for name, row in progress.rows.items():
        if row.state in GOOD:
            place = f"  {row.place}" if row.place else ""
            console.print(Text.assemble((f"{row.state} ", STYLES[row.state]), row.sha[:10], f"  {row.title}  ", (f"({name})", "dim"), place), soft_wrap=True)
    for name, row in progress.rows.items():
        if row.state and row.state not in GOOD:
            first, _, rest = ("" if row.reason == progress.reason else row.reason).partition("\n")
            console.print(Text.assemble((f"{row.state} ", STYLES.get(row.state, "red")), f"{row.title}  ", (f"({name}) ", "dim"), first), soft_wrap=True)
            if rest:
                console.print(Text("\n".join(f"    {line}" for line in rest.strip().splitlines()[-12:]), "dim"), soft_wrap=True)
    if progress.elsewhere and any(row.state == "landed" for row in progress.rows.values()):
        console.print(f"landed on {progress.elsewhere}; your own branch is as it was: `git pull` brings it", soft_wrap=True, highlight=False, markup=False)


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=1) + "\n")
