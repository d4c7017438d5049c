"""What crashes and time leave behind on a host, found and removed. What somebody still needs is never touched."""

import shutil
import time
from dataclasses import dataclass

from adw import lock, proc
from adw.home import Place
from adw.journal import Journal
from adw.mirror import Hub
from adw.phases import base_issue
from adw.pool import Pool

DAY = 86400


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How much was removed."""

    runs: int
    slots: int
    refs: int

    def __str__(self) -> str:
        return f"removed {self.slots} idle slots, {self.refs} refs of landed issues and {self.runs} old runs"


def journals(place: Place) -> list[Journal]:
    """All runs of a repository on this host, the newest first."""
    folders = [file.parent for file in place.runs.glob("*/run.json")]
    return [Journal(folder) for folder in sorted(folders, key=lambda f: ((f / "run.json").stat().st_mtime, f.name), reverse=True)]


def lives(journal: Journal) -> bool:
    """Whether a run's process still runs."""
    progress = journal.progress()
    return not progress.ended and proc.alive(progress.pid, progress.birth)


def dead(place: Place) -> list[Journal]:
    """The runs that began and did not end, and whose process is gone."""
    found = []
    for journal in journals(place):
        progress = journal.progress()
        if progress.flow_run and not progress.waits and not progress.ended and not proc.alive(progress.pid, progress.birth):
            found.append(journal)
    return found


def prune(hub: Hub, pool: Pool, days: float) -> Cleaned:
    """Remove idle slots, the refs of issues that landed (but `landed` itself), and what ended more than `days` ago."""
    everyone = journals(hub.place)
    running = any(lives(journal) for journal in everyone)
    old = [j for j in everyone if not lives(j) and time.time() - j.order_file.stat().st_mtime > days * DAY]
    for journal in old:
        shutil.rmtree(journal.folder)
    refs = _landed_refs(hub)
    if refs:
        hub.mirror.forget(refs)
        there = hub.git.refs("refs/adw")
        hub.git.forget([ref for ref in refs if ref in there])
    if not running:
        for path in hub.place.locks.glob("*"):
            if held := lock.try_lock(path):
                with held:
                    path.unlink()
        hub.mirror.run("gc", "--quiet", "--prune=1.day.ago")
    return Cleaned(len(old), pool.remove_idle(), len(refs))


def _landed_refs(hub: Hub) -> list[str]:
    """All refs of issues whose change is on the branch, but the one that says so; and the tests of the branch as it was."""
    tip = hub.tip()
    landed = {ref.split("/")[2] for ref, sha in hub.mirror.refs("refs/adw/*/landed").items() if hub.mirror.is_ancestor(sha, tip)}
    landed.add(base_issue(hub.branch).key)
    return [ref for ref in hub.mirror.refs("refs/adw") if ref.split("/")[2] in landed and ref.split("/")[3] != "landed"]
