"""Reports of a delivery, as Prefect artifacts and as files in the run's folder."""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.artifacts import MarkdownArtifact, create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.exceptions import PrefectException
from prefect.settings import get_current_settings

from adw import report, trace, usage
from adw.journal import Journal, tail
from adw.mirror import Hub
from adw.model import Issue, Outcome
from adw.phases import Site
from flows.pictures import drawn, linked, shown

EACH = 2.0  # seconds between two states of what moves


class Moving:
    """A progress artifact that tells how far a run is."""

    def __init__(self, hub: Hub, journal: Journal) -> None:
        self._reader, self._over = journal.reader(), threading.Event()
        self._key, self._told = _key(f"{hub.place.slug}-progress"), (0.0, "")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Move during the block. What cannot be shown holds nothing up."""
        made = cast("UUID", create_progress_artifact(0.0, key=self._key, description=self._sentence()))
        thread = threading.Thread(target=self._move, args=[made], name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(EACH)
            self._update(made)

    def _move(self, made: UUID) -> None:
        while not self._over.wait(EACH):
            self._update(made)

    def _update(self, made: UUID) -> None:
        sentence = self._sentence()
        now = (self._reader.progress.percent, sentence)
        if now == self._told:
            return
        with suppress(httpx.HTTPError, PrefectException):
            update_progress_artifact(made, now[0], description=sentence)
            self._told = now

    def _sentence(self) -> str:
        """How far the run is now, in a line."""
        for _ in self._reader.news():
            pass
        return self._reader.progress.sentence()


def publish(site: Site, issues: Sequence[Issue], outcomes: Sequence[Outcome]) -> None:
    """One report of the run and one of each issue that was worked on, with what its agents and tests printed; and a table of all."""
    hub, journal, pages = site.hub(), site.journal(), dict[str, str]()
    progress, runs = journal.progress(), _task_runs(journal)
    for issue, outcome in zip(issues, outcomes, strict=True):
        if outcome.state == "already landed":
            continue
        logs = [(log, _log(hub.place.slug, issue, log, runs.get(str(log)))) for log in sorted((journal.folder / "logs" / issue.key).glob("*.log"))]
        text = report.issue_report(hub, issue, outcome, progress, [*logs, *report.logs_elsewhere(journal, issue)])
        text += f"\n`adw show --trace {journal.folder.name}/{issue.key}` leads on to task runs, slots and commits.\n"
        path = journal.folder / "reports" / f"{issue.key}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pages[issue.id] = _markdown(f"{hub.place.slug}-{issue.key}", text, issue.title)
    used = usage.read(journal.resources)
    run = report.run_report(progress, outcomes, pages, usage.summed(used))
    pictures = drawn(journal, used, progress.cores)
    (journal.folder / "report.md").write_text(run + linked(pictures), encoding="utf-8")
    _markdown(f"{hub.place.slug}-run", run + shown(pictures), "The delivery")
    table = [{"issue": o.issue, "title": o.title, "ended": f"{o.state} {o.place}".strip(), "commit": o.sha[:10], "tries": o.tries or ""} for o in outcomes]
    create_table_artifact(cast("list[dict[str, Any]]", table), key=_key(f"{hub.place.slug}-issues"), description="How each issue ended")


def _task_runs(journal: Journal) -> dict[str, UUID]:
    """The task runs that printed what is in the logs of this host, by these."""
    return {log: UUID(piece.task_runs[-1]) for piece in trace.pieces(journal) if piece.task_runs for log in piece.logs}


def _log(slug: str, issue: Issue, log: Path, task_run: UUID | None) -> str:
    """Publish the end of a log, in which there are no secrets, on the page of its task run; returns its address."""
    title = f"{issue.title}: {log.stem}"
    return _markdown(f"{slug}-{issue.key}-{log.stem}", f"# {title}\n\n{report.fenced(tail(log))}", title, task_run)


def _markdown(key: str, text: str, description: str, task_run: UUID | None = None) -> str:
    """Publish a page, of the run or of one of its task runs; returns its address in the UI, empty where that is not known."""
    page: Any = MarkdownArtifact(markdown=text, key=_key(key), description=description, task_run_id=task_run)
    made = page.create(_sync=True).id
    ui = get_current_settings().ui_url
    return f"{ui}/artifacts/artifact/{made}" if ui else ""


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower())[-255:].strip("-")
