"""Pictures of a run at its end, for its report."""

import base64
from collections.abc import Sequence
from pathlib import Path

from adw.journal import Journal
from adw.timeline import timeline
from adw.usage import Window

WORTH = 60.0  # seconds of a run from which on it is drawn: to load what draws takes a second of CPU
LARGEST = 2_000_000  # bytes of a picture within a report
TITLES = {"gantt": "Phases by slot and issue, the critical path outlined", "resources": "What it used of the machine"}


def drawn(journal: Journal, used: Sequence[Window], cores: int) -> list[Path]:
    """The pictures of a run that took long enough, and of what it used of so many cores, as files in its folder."""
    run = timeline(journal.events()[0])
    if run.wall < WORTH:
        return []
    files = {name: journal.folder / f"{name}.png" for name in TITLES}
    try:
        from adw.charts import gantt, resources  # noqa: PLC0415

        gantt.draw(files["gantt"], run)
        resources.draw(files["resources"], used, run, cores)
    except Exception as no:  # noqa: BLE001 - all has landed: what does not draw it, be it a bug or a full disk, is no reason to fail
        journal.event("note", text=f"the run could not be drawn: {type(no).__name__}: {no}")
    return [file for file in files.values() if file.exists()]


def linked(pictures: Sequence[Path]) -> str:
    """Pictures in a report that lies beside them."""
    return _section([f"![{TITLES[file.stem]}]({file.name})" for file in pictures])


def shown(pictures: Sequence[Path]) -> str:
    """Pictures in a report that lies anywhere: within it, as Prefect's UI cannot reach files."""
    small = [file for file in pictures if file.stat().st_size <= LARGEST]
    return _section([f"![{TITLES[file.stem]}](data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()})" for file in small])


def _section(lines: Sequence[str]) -> str:
    return "\n\n".join(["\n## Pictures", *lines, ""]) if lines else ""
