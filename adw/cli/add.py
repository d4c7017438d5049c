"""`adw add`: more issues for a run that is under way."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adw import clean, proc
from adw.cli import sources
from adw.cli.deliver import any_branch, hear
from adw.errors import AdwError, Misuse
from adw.journal import Journal
from adw.mirror import find_hub

PATIENCE = 30.0  # seconds for the run to take them up: it looks each half second, once it has begun


def add(names: Sequence[str], run: str, repo: Path) -> None:
    """Note issues in the folder of the run, and wait until it says what it makes of them."""
    journal = under_way(run, repo)
    if journal.order().get("only"):
        msg = f"run {journal.folder.name} only plans: wait for its end, or `adw run` these"
        raise Misuse(msg)
    issues, reader = sources.read(names, find_hub(repo, any_branch(repo))), journal.reader()
    note, until, progress = journal.note(issues), time.monotonic() + PATIENCE, reader.progress
    while time.monotonic() < until:
        for event in reader.news():
            if event.get("note") == note:
                _say(answer(journal, event))
                return
        if progress.waits:
            break
        if progress.ended or not proc.alive(progress.pid, progress.birth):
            msg = f"run {journal.folder.name} ended before it took them up: `adw resume {journal.folder.name}` does"
            raise AdwError(msg)
        time.sleep(0.1)
    _say(f"noted in run {journal.folder.name}: it takes them up when it begins its work")


def answer(journal: Journal, event: dict[str, Any]) -> str:
    """What the run made of a note; Misuse if the issues do not fit."""
    if event["event"] == "not added":
        raise Misuse(event["reason"])
    new = [issue["id"] for issue in event["issues"]]
    return f"added to run {journal.folder.name}: {', '.join(new)}" if new else f"run {journal.folder.name} has them already"


def under_way(run: str, repo: Path) -> Journal:
    """The run of that name, or the newest one, that has not ended; Misuse if there is none."""
    runs = [journal for journal in clean.journals(find_hub(repo, any_branch(repo)).place) if run in {"", journal.folder.name}]
    for journal in runs:
        hear(journal)
        if clean.lives(journal) or journal.progress().waits:
            return journal
    name = f"run {run}" if run else f"no run of {repo.absolute()}"
    msg = f"{name} is {'not ' if run else ''}under way on this host: `adw run ISSUE…` begins one"
    raise Misuse(msg)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
