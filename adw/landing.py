"""Landing: the tested commit, by compare-and-swap, and the user's checkout with it."""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adw import lock, proc
from adw.errors import Blocked, GitBusy, GitFailed
from adw.git import Git, Prepared, checkouts
from adw.mirror import Hub
from adw.model import Candidate, Issue

LONGEST = 60  # seconds that a landing takes at most


def land(hub: Hub, issue: Issue, candidate: Candidate) -> bool:
    """Move the branch to a candidate, and the checkout of it as `git merge --ff-only` does; False if the branch moved first.

    Blocked if local edits stand in the way: then nothing has moved. Branch and `refs/adw/<issue>/landed` move together.
    """
    with lock.held(hub.place.locks / "landing"):
        intent = Intent(hub.place.root / "landing.json")
        checkout = checkouts(hub.git).get(hub.ref)
        intent.clear_up(hub, checkout)
        hub.mirror.point(f"refs/adw/{issue.key}/candidate", candidate.sha)
        hub.publish(issue.key)
        intent.declare()
        try:
            landed = _swap(hub, issue, candidate, checkout)
        except GitBusy:
            raise  # git may have been killed: the note stays, so that the next landing clears up what it left behind
        except BaseException:
            intent.withdraw()
            raise
        intent.withdraw()
    if landed:
        hub.tip()
    return landed


def _swap(hub: Hub, issue: Issue, candidate: Candidate, checkout: Path | None) -> bool:
    updates = [(hub.ref, candidate.sha, candidate.onto), (f"refs/adw/{issue.key}/landed", candidate.sha, "")]
    transaction = Prepared(hub.git, updates, f"adw: land {issue.id}")
    if not transaction.ready:
        said = transaction.abort()
        if "but expected" in said:
            return False
        if ".lock'" in said or "File exists" in said:
            msg = f"cannot lock {hub.branch} in {hub.path}: {said}"
            raise GitBusy(msg)
        msg = f"cannot move {hub.branch} in {hub.path}: {said}"
        raise GitFailed(msg)
    try:
        if checkout is not None:
            _fast_forward(checkout, issue, candidate)
    except BaseException:
        transaction.abort()
        raise
    if not transaction.commit():
        msg = f"git did not finish moving {hub.branch} in {hub.path}"
        raise GitBusy(msg)
    return True


def _fast_forward(checkout: Path, issue: Issue, candidate: Candidate) -> None:
    """Move files and index of a checkout; Blocked, with nothing moved, if local edits stand in the way."""
    view = Git(checkout / ".git", work_tree=checkout)
    view.call("update-index", "-q", "--refresh")
    status, _, err = view.call("read-tree", "-m", "-u", candidate.onto, candidate.sha)
    if status:
        msg = f"local edits in {checkout} stand in the way of landing {issue.id}: commit or stash them, then `adw resume` ({err.strip()})"
        raise Blocked(msg)


@dataclass(frozen=True, slots=True)
class Intent:
    """A note that a landing is under way, so that lock files which it leaves behind when killed can be told from others'."""

    file: Path

    def declare(self) -> None:
        """Say that this process lands from now on."""
        self.file.write_text(json.dumps({"pid": os.getpid(), "birth": proc.born(os.getpid()), "since": time.time()}))

    def withdraw(self) -> None:
        """The landing is over."""
        self.file.unlink(missing_ok=True)

    def clear_up(self, hub: Hub, checkout: Path | None) -> None:
        """Remove the lock files of a landing that was cut short; call it with the landing lock held."""
        try:
            since = json.loads(self.file.read_text())["since"]
        except (FileNotFoundError, ValueError, KeyError):
            return
        refs = hub.git.directory / "refs"
        index = Path(Git(checkout / ".git").run("rev-parse", "--path-format=absolute", "--git-path", "index.lock")) if checkout else None
        for stale in (refs / "heads" / f"{hub.branch}.lock", *(refs / "adw").rglob("*.lock"), *([index] if index else [])):
            with suppress(FileNotFoundError):
                if since - 1 <= stale.stat().st_mtime <= since + LONGEST:  # a later one is somebody else's
                    stale.unlink()
        self.withdraw()
