"""`adw show --trace ID`: from any name of a piece of work to all its others."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from adw import clean, trace
from adw.cli.deliver import any_branch
from adw.cli.table import STYLES, duration
from adw.cli.view import print_json
from adw.errors import Misuse
from adw.git import TRAILER
from adw.mirror import Hub, find_hub
from adw.trace import Piece

IN_FULL = 3  # pieces of work that are shown with all that is known; of more only a list
TOLD_ELSEWHERE = {"event", "timestamp", "id", "run", "issue", "phase", "try"}
LONGEST = 160  # characters of an event's line


def show_trace(name: str, repo: Path, *, as_json: bool) -> None:
    """Print all that is known by a name: a correlation id or the beginning of one, an id of Prefect or of a lease, a commit, a task of the tracker."""
    hub = find_hub(repo, any_branch(repo))
    found = resolved(hub, name.strip().strip("/"))
    if not found:
        msg = (
            f"no run of {repo.absolute()} on this host knows {name!r}: name a piece of work as lines and events do (run/issue/phase/try), "
            "or a task run or flow run of Prefect, a lease (ADW_LEASE), a commit, or a task of the tracker"
        )
        raise Misuse(msg)
    if as_json:
        print_json([piece.flat() for piece in found])
        return
    console = Console()
    for piece in found:
        console.print(Text.assemble((piece.id, "bold"), "  ", *_state(piece)), soft_wrap=True)
        if len(found) <= IN_FULL:
            for what, text in told(piece):
                console.print(Text.assemble((f"  {what:<10}", "dim"), text), soft_wrap=True)


def resolved(hub: Hub, name: str) -> list[Piece]:
    """What is called so; of a commit that no run tells of, what was done for the issue that its trailer names."""
    journals = clean.journals(hub.place)
    if found := trace.find(journals, name):
        return found
    sha = hub.git.find(f"{name}^{{commit}}")
    if sha is None:
        return []
    issue = next(iter(hub.git.trailers(f"{sha}^!")), "")
    return trace.find(journals, sha) or (trace.of_issue(journals, issue) if issue else [])


def told(piece: Piece) -> list[tuple[str, str]]:
    """What is known of it, each with a word for what it is."""
    return [
        ("issue", piece.issue),
        *(("log", log) for log in piece.logs),
        *([("", f"adw show {piece.issue} --log {piece.phase}:{piece.attempt}")] if piece.logs and not piece.host else []),
        *(("lease", f"{lease} in slot {slot}") for lease, slot in piece.leases),
        *(("task run", page) for page in piece.task_run_pages()),
        *(("flow run", page or flow_run) for flow_run, page in piece.flow_runs.items()),
        *(("commit", sha) for sha in piece.commits),
        *([("landed", f"{piece.landed} ({TRAILER}: {piece.issue})")] if piece.landed else []),
        *(("tracker", task) for task in piece.tasks),
        *(("event", _line(event)) for event in piece.events),
    ]


def _state(piece: Piece) -> list[tuple[str, str]]:
    took = f" after {duration(piece.seconds)}" if piece.seconds else ""
    where = f" on {piece.host}" if piece.host else ""
    return [(f"{piece.state}{took}{where}", STYLES.get(piece.state, ""))]


def _line(event: dict[str, Any]) -> str:
    """An event as a line: when, what, and its fields."""
    more = " ".join(f"{name}={value}" for name, value in event.items() if name not in TOLD_ELSEWHERE and value not in ("", None, [], {}))
    line = f"{datetime.fromtimestamp(event['timestamp'], UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {event['event']} {more}"
    return " ".join(line.split())[:LONGEST]
