"""The state of a run as cards: one for each issue, and one for each of its phases once it has begun."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from adw.model import AGENT_PHASES, GOOD, LANDED, URGENT, Issue
from adw.progress import Cell, Progress, Row
from adw.tracker.model import Card, Status

BODY = 4_000  # characters of an issue's text that its task shows
REASON = 1_000  # and of what was said against it
APART = 100  # between the places of two issues: room for those that a person puts between them
PHASES: Mapping[str, Status] = {"running": "doing", "done": "done", "cached": "done", "flaky": "done", "cut": "todo"}  # any other one is for a person to see

Agents = Callable[[str], str]  # who works in a phase


def touched(events: Sequence[Mapping[str, Any]], issues: Sequence[Issue]) -> set[str]:
    """The ids of the issues whose cards may have changed by some events."""
    found: set[str] = set()
    for event in events:
        if event["event"] in {"flow started", "added"}:
            return {issue.id for issue in issues}
        if event["event"] in {"phase", "approval", "outcome"}:
            found.add(event["issue"])
        if event["event"] == "outcome":
            found |= {issue.id for issue in issues if event["issue"] in issue.depends_on}
    return found


def of_issue(progress: Progress, run: str, issue: Issue, place: int, agents: Agents) -> Iterator[Card]:
    """The cards of an issue, by its place in the run; but its own if a person has taken it from adw, as what they say of it stands."""
    row = progress.rows.get(issue.id)
    if row is None:
        return
    place = APART * (place + 1)
    if row.state != "skipped":
        yield _of_whole(progress, run, issue, row, place, agents)
    for phase, cell in row.cells.items():
        yield Card(
            issue=issue.key,
            phase=phase,
            title=f"{phase}: {issue.title}",
            text="",
            status=PHASES.get(cell.state, "review"),
            assignee=agents(phase),
            last=_happens(phase, cell),
            place=place,
        )


def worker(names: Callable[[str], str]) -> Agents:
    """Who works in a phase: its agent, by name, or adw itself."""
    return lambda phase: names(phase) if phase in AGENT_PHASES else "adw"


def _of_whole(progress: Progress, run: str, issue: Issue, row: Row, place: int, agents: Agents) -> Card:  # noqa: PLR0913 - all that it tells of
    """The card of the issue itself."""
    status, headline = _state(progress, issue, row)
    at_work = [phase for name, phase in progress.running if name == issue.id and phase in row.cells]
    newest = max(at_work or row.cells, key=lambda phase: row.cells[phase].since, default="")
    return Card(
        issue=issue.key,
        title=issue.title,
        text="\n\n".join(part for part in (headline, issue.body.strip()[:BODY]) if part),
        status=status,
        assignee={"doing": agents(newest), "review": "User"}.get(status, "adw"),
        last=f"run {run}: {_happens(newest, row.cells[newest])}" if newest and status == "doing" else f"issue {issue.id}",
        place=place,
        priority=_priority(issue),
    )


def _state(progress: Progress, issue: Issue, row: Row) -> tuple[Status, str]:
    """The status of an issue, and what is to be said of it first."""
    if row.state in LANDED:
        return "done", f"Landed as {row.sha}."
    if row.state:
        return "review", f"{row.state.capitalize()}: {(row.place if row.state in GOOD else row.reason)[:REASON]}".removesuffix(": ")
    if issue.id in progress.asked:
        return "review", f"Waits for a person's approval: {progress.ui}".removesuffix(": ")
    if row.cells:
        return "doing", ""
    waits = [name for name in issue.depends_on if name in progress.rows and progress.rows[name].state not in GOOD]
    return "todo", f"Waits for {', '.join(waits)}." if waits else ""


def _happens(phase: str, cell: Cell) -> str:
    """What happens to a phase: which try, and since when, or how long it took."""
    since = f"{datetime.fromtimestamp(cell.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    took = f"since {since}" if cell.state == "running" else "" if cell.state == "cached" else f"after {cell.seconds:.1f} s"
    return f"{phase}, try {cell.attempt}: {cell.state} {took}".rstrip()


def _priority(issue: Issue) -> str:
    """Archon's word for an issue's priority."""
    if issue.priority >= URGENT:
        return "critical"
    return "high" if issue.priority > 0 else "low" if issue.priority < 0 else "medium"
