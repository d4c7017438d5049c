"""What happens in a run, as it happens.

One folder for each run, with

    run.json         what was asked for: enough to do it again
    added/           what was asked for since, a file for each `adw add`
    events.jsonl     structured events, each with its correlation id (run, issue, phase, try)
    resources.jsonl  what it used of the machine (`adw.usage`)
    logs/            what agents and tests printed, a file for each issue, try and phase
    report.md        how it ended

The live table, `adw status` and `adw show` are read from it, in any process, also after a crash.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import structlog

from adw.model import Issue, Order
from adw.progress import Progress

LOG_TAIL = 12_000  # characters of a log that a verdict carries; the whole is in the run's folder
# Where events of this task go if the run is another host's: set by whoever runs tasks for it.
sink: ContextVar[Callable[[dict[str, Any]], None] | None] = ContextVar("sink", default=None)


class Mark:
    """How a phase ended, for its event: set by whoever knows."""

    state = "done"

    def __init__(self, tell: Callable[[], None]) -> None:
        self.more: dict[str, Any] = {}  # fields of the event
        self._tell, self._began, self._ended = tell, 0.0, 0.0

    def begin(self) -> None:
        """Tell that it runs."""
        self._began = time.monotonic()
        self._tell()

    @property
    def begun(self) -> bool:
        """Whether it runs."""
        return self._began > 0

    @property
    def seconds(self) -> float:
        """From when it began to its end, or to now."""
        return (self._ended or time.monotonic()) - self._began if self.begun else 0.0

    def end(self) -> None:
        """It has a result, which is still to be kept and told of."""
        self._ended = time.monotonic()


@dataclass(frozen=True, slots=True)
class Journal:
    """The folder of a run."""

    folder: Path

    @property
    def file(self) -> Path:
        """The events."""
        return self.folder / "events.jsonl"

    def keep(self, order: dict[str, Any]) -> None:
        """Write down what was asked for, once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.order_file.exists():
            whole = self.order_file.with_suffix(".new")
            whole.write_text(json.dumps(order, ensure_ascii=False, indent=1), encoding="utf-8")
            whole.rename(self.order_file)

    @property
    def order_file(self) -> Path:
        """What was asked for."""
        return self.folder / "run.json"

    @property
    def resources(self) -> Path:
        """What was used of the machine."""
        return self.folder / "resources.jsonl"

    @property
    def heart(self) -> Path:
        """Touched each second by the run's process."""
        return self.folder / "heartbeat"

    def order(self) -> dict[str, Any]:
        """What was asked for; empty if it is not known."""
        try:
            return dict(json.loads(self.order_file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def note(self, issues: Sequence[Issue]) -> str:
        """Write down issues that the run is to have, too; returns the name of the note."""
        folder = self.folder / "added"
        folder.mkdir(exist_ok=True)
        whole = folder / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        whole.write_text(json.dumps([asdict(issue) for issue in issues], ensure_ascii=False, indent=1), encoding="utf-8")
        return whole.rename(whole.with_suffix(".json")).stem

    def notes(self) -> dict[str, list[Issue]]:
        """The issues that were added, by the names of the notes, in their order."""
        files = sorted((self.folder / "added").glob("*.json"))
        return {file.stem: [Issue.of(one) for one in json.loads(file.read_text(encoding="utf-8"))] for file in files}

    def forget(self, note: str) -> None:
        """Take a note back: its issues do not fit."""
        (self.folder / "added" / f"{note}.json").unlink(missing_ok=True)

    def issues(self) -> list[Issue]:
        """All issues that were asked for by name, those that were added included."""
        asked = [Issue.of(one) for one in self.order().get("issues", [])]
        return list({issue.id: issue for issue in [*asked, *chain.from_iterable(self.notes().values())]}.values())

    def event(self, event: str, **fields: Any) -> None:
        """Add an event; it has the correlation id of what it is about, by default of the run. A line is written at once and whole: many threads and processes may do so."""
        fields = {"id": self.folder.name, **fields}
        if send := sink.get():
            send({**fields, "event": event, "timestamp": time.time()})
            return
        with self.file.open("a", encoding="utf-8") as file:
            structlog.wrap_logger(
                structlog.WriteLogger(file),
                processors=[structlog.processors.TimeStamper(fmt=None), structlog.processors.JSONRenderer(ensure_ascii=False)],
                wrapper_class=structlog.BoundLogger,
            ).msg(event, **fields)

    def take(self, event: dict[str, Any]) -> None:
        """Add an event that another host sent."""
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event, ensure_ascii=False) + "\n")

    def phase(self, order: Order, state: str, **fields: Any) -> None:
        """A phase of an issue is now `running`, `done`, `cached`, `no`, `flaky` (done at the second try on the same tree) or `failed`."""
        self.event("phase", **order.fields, state=state, **fields)

    @contextmanager
    def timed(self, order: Order, **fields: Any) -> Iterator[Mark]:
        """Tell that a phase runs, and how it ended after how many seconds."""
        with self.told(order, **fields) as mark:
            mark.begin()
            yield mark

    @contextmanager
    def told(self, order: Order, **fields: Any) -> Iterator[Mark]:
        """Tell that a phase runs, once it does, and how it ended; nothing if it was cut before that."""
        mark = Mark(lambda: self.phase(order, "running", **fields))
        try:
            yield mark
        except BaseException as no:
            self.phase(order, "failed", seconds=mark.seconds, reason=str(no)[:2000], **fields)
            raise
        if mark.begun or mark.state != "cut":
            self.phase(order, mark.state, seconds=mark.seconds, **fields, **mark.more)

    def log(self, order: Order) -> Path:
        """The file for what an agent or a test prints."""
        path = self.folder / "logs" / order.issue_key / f"{order.attempt}-{order.phase}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self) -> Progress:
        """The state of the run, from all its events."""
        return self.reader().caught_up()

    def reader(self, *, from_now: bool = False) -> "Reader":
        """What reads the events as they come: from the first one; or from now on, with no more of what was than what it cost."""
        reader = Reader(self)
        if from_now:
            before = reader.caught_up()
            reader.progress = Progress(spent=before.spent, spent_in=before.spent_in)
        return reader

    def events(self, start: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The events from a byte position on, and the position behind the last whole one."""
        try:
            with self.file.open("rb") as file:
                file.seek(start)
                text = file.read()
        except FileNotFoundError:
            return [], start
        whole = text[: text.rfind(b"\n") + 1]
        found = []
        for line in whole.splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # cut off by a crash, with the next event behind it
        return found, start + len(whole)


class Reader:
    """Reads the events of a run as they come, each once, and folds them into its state."""

    def __init__(self, journal: Journal) -> None:
        self.progress = Progress()
        self._journal, self._position = journal, 0

    def caught_up(self) -> Progress:
        """The state after all events that there are."""
        for _ in self.news():
            pass
        return self.progress

    def news(self) -> Iterator[dict[str, Any]]:
        """The events since the last time, each when it is in the state."""
        events, self._position = self._journal.events(self._position)
        for event in events:
            self.progress.add(event)
            yield event


def tail(log: Path, start: int = 0) -> str:
    """The end of what a log holds from a position on."""
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(start, size - LOG_TAIL))
        return file.read().decode(errors="replace").strip()
