"""From any name of a piece of work to all its others: correlation id, task run, flow run, lease, commit, the tracker's task.

All of it is read from the events of runs. What keeps a task elsewhere for a piece of work, or for an issue, may note it as an
event `tracked` with `task`, and the fields of the order, or `issue` and `phase`, or `issue` alone.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adw.journal import Journal
from adw.testing import AGAIN

SHORTEST = 7  # characters of a commit's name
IN_ID = 3  # slashes, in the id of a piece of work


@dataclass(slots=True)
class Piece:
    """One try at one phase of one issue in one run, by all its names."""

    id: str
    run: str
    issue: str
    phase: str
    attempt: int
    state: str = ""
    seconds: float = 0.0
    host: str = ""  # that it ran on, if that is another one
    logs: list[str] = field(default_factory=list)  # what its agent or command printed
    leases: list[tuple[str, str]] = field(default_factory=list)  # each with its slot
    task_runs: list[str] = field(default_factory=list)  # in Prefect: more than one where the run was interrupted
    flow_runs: dict[str, str] = field(default_factory=dict)  # in Prefect, with their addresses
    commits: list[str] = field(default_factory=list)  # that it made, tested or landed
    landed: str = ""  # the commit that the issue landed as in this run
    tasks: list[str] = field(default_factory=list)  # of the tracker
    events: list[dict[str, Any]] = field(default_factory=list)

    def called(self, name: str) -> bool:
        """Whether a name is one of its own, or that of its issue or run."""
        if f"{self.id}/".startswith(f"{name}/"):
            return True
        names = {*self.task_runs, *self.flow_runs, *self.tasks, *(lease for lease, _ in self.leases)}
        return name in names or (len(name) >= SHORTEST and any(sha.startswith(name) for sha in (*self.commits, self.landed)))

    def task_run_pages(self) -> Iterator[str]:
        """The addresses of its task runs in the Prefect UI, as far as those are known."""
        ui = next((re.split(r"/(?:flow-)?runs/flow-run/", page)[0] for page in self.flow_runs.values() if page), "")
        return (f"{ui}/runs/task-run/{task_run}" if ui else task_run for task_run in self.task_runs)

    def flat(self) -> dict[str, Any]:
        """The same for scripts."""
        return asdict(self)


def find(journals: Iterable[Journal], name: str) -> list[Piece]:
    """The pieces of work that are called so, in the newest run that has some."""
    for journal in journals:
        if name.encode() in _read(journal) and (found := [piece for piece in pieces(journal) if piece.called(name)]):
            return found
    return []


def of_issue(journals: Iterable[Journal], issue: str) -> list[Piece]:
    """The pieces of work on an issue, in the newest run that worked on it."""
    return next((found for journal in journals if (found := [piece for piece in pieces(journal) if piece.issue == issue])), [])


def pieces(journal: Journal) -> list[Piece]:
    """What was worked on in a run, in the order in which it was begun."""
    found: dict[str, Piece] = {}
    landed: dict[str, str] = {}
    tracked: dict[tuple[str, str], list[str]] = {}  # by issue and phase, which is empty of an issue as a whole
    flow_run: dict[str, str] = {}
    for event in journal.events()[0]:
        if event["event"] in {"flow started", "handed over"}:
            flow_run = {event["flow_run"]: event["ui"]}
        elif event.get("id", "").count("/") == IN_ID and "try" in event:
            piece = found.setdefault(event["id"], Piece(event["id"], journal.folder.name, event["issue"], event["phase"], event["try"]))
            piece.flow_runs |= flow_run
            _take(piece, event)
        elif event["event"] == "outcome" and event["sha"]:
            landed[event["issue"]] = event["sha"]
        elif event["event"] == "tracked":
            tracked.setdefault((event["issue"], event.get("phase", "")), []).append(event["task"])
    phases = {piece.phase for piece in found.values()}
    for piece in found.values():
        piece.landed = landed.get(piece.issue, "")
        piece.tasks += [*tracked.get((piece.issue, piece.phase), []), *tracked.get((piece.issue, ""), [])]
        if not piece.host:
            piece.logs = [str(log) for log in sorted(_log(journal.folder, piece).parent.glob("*.log")) if _printed(piece, log.stem, phases)]
    return list(found.values())


def _take(piece: Piece, event: dict[str, Any]) -> None:
    """Learn what an event tells of a piece of work."""
    piece.events.append(event)
    for names, name in ((piece.task_runs, "task_run"), (piece.commits, "sha"), (piece.tasks, "task")):
        if event.get(name) and event[name] not in names:
            names.append(event[name])
    if event["event"] == "phase":
        piece.state, piece.seconds = event["state"], event.get("seconds", 0.0)
    elif event["event"] == "leased":
        piece.leases.append((event["lease"], event["slot"]))
    if "folder" in event:
        piece.host = event["host"]
        piece.logs = [f"{piece.host}:{_log(Path(event['folder']), piece)}"]


def _log(run: Path, piece: Piece) -> Path:
    """Where what it printed is kept; the issue's folder is named in its id."""
    return run / "logs" / piece.id.split("/")[1] / f"{piece.attempt}-{piece.phase}.log"


def _printed(piece: Piece, stem: str, phases: Collection[str]) -> bool:
    """Whether a log is its own: of the first time, of a repetition, or of another candidate that was tested at the same time; not one of a piece of it."""
    name = stem.removeprefix(f"{piece.attempt}-")
    return name == piece.phase or (name not in phases and re.fullmatch(rf"{re.escape(piece.phase)}({AGAIN})?(-\d+)?", name) is not None)


def _read(journal: Journal) -> bytes:
    try:
        return journal.file.read_bytes()
    except OSError:
        return b""
