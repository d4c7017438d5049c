"""`--gantt` and `--resources`: pictures of a run, while it goes on or after it."""

import sys
from pathlib import Path

from adw import usage
from adw.charts import drawable
from adw.cli.deliver import chosen
from adw.errors import AdwError, Misuse
from adw.journal import Journal
from adw.timeline import timeline


def ahead(*files: Path | None) -> None:
    """Misuse if pictures cannot be written there: known before what they are to show has begun."""
    for file in filter(None, files):
        drawable(file)


def insist_on_end(gantt: Path, flag: str) -> None:
    """Misuse if a call with a flag, if there is one, does not see the end of a run that it is to draw."""
    if flag:
        msg = f"--gantt draws a run when it has ended, which a call with {flag} does not see: leave it out, and call `adw status --gantt {gantt}` then"
        raise Misuse(msg)


def draw(run: str, repo: Path, gantt: Path | None, resources: Path | None) -> None:
    """Draw the run of that name, or the last one."""
    if gantt or resources:
        _, journal = chosen(run, repo)
        if gantt:
            gantt_of(journal, gantt)
        if resources:
            resources_of(journal, resources)


def at_end(journal: Journal, gantt: Path) -> None:
    """Draw a run that has ended. What is in the way of that is said, and is no reason to call the run a failure."""
    try:
        gantt_of(journal, gantt)
    except AdwError as no:
        sys.stderr.write(f"adw: {no}\n")


def gantt_of(journal: Journal, file: Path) -> None:
    """Draw the phases of a run."""
    from adw.charts import gantt  # noqa: PLC0415

    gantt.draw(file, timeline(journal.events()[0]), journal.folder.name)
    _say(file)


def resources_of(journal: Journal, file: Path) -> None:
    """Draw what a run used."""
    from adw.charts import resources  # noqa: PLC0415

    resources.draw(file, usage.read(journal.resources), timeline(journal.events()[0]), journal.progress().cores, journal.folder.name)
    _say(file)


def _say(file: Path) -> None:
    sys.stderr.write(f"adw: wrote {file}\n")
