"""Landing: tested commits, by one compare-and-swap, and the user's checkout with them."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from adw import lock
from adw.errors import Blocked, GitBusy, GitFailed, GitKilled
from adw.git import Git, Prepared, checkouts, locate
from adw.mirror import Hub
from adw.model import Arrival

LONGEST = 10  # seconds between the note of a landing and its locks
IN_THE_WAY = re.compile(r"not uptodate|would be overwritten|would be lost|would be removed|Cannot merge|unmerged")


@dataclass(frozen=True, slots=True)
class Move:
    """The branch moves over one candidate or more, each on the one before it."""

    arrivals: Sequence[Arrival]

    @property
    def onto(self) -> str:
        """The commit that the branch has to be at."""
        return self.arrivals[0].candidate.onto

    @property
    def sha(self) -> str:
        """The commit that it will be at."""
        return self.arrivals[-1].candidate.sha

    def __str__(self) -> str:
        return ", ".join(arrival.issue.id for arrival in self.arrivals)


def land(hub: Hub, arrivals: Sequence[Arrival]) -> bool:
    """Move the branch to the last of some candidates, each on the one before it; False if the branch moved first.

    The checkout of the branch moves with it, as `git merge --ff-only` does. Blocked if local edits stand in the way: then nothing
    has moved. The branch and each `refs/adw/<issue>/landed` move together.
    """
    move = Move(arrivals)
    with lock.held(hub.place.locks / "landing"):
        note = hub.place.root / "landing.json"
        clear_up(hub, note)
        for arrival in arrivals:
            hub.hold(arrival.issue.key, arrival.candidate.sha)
        with declared(hub, move, note):
            landed = _swap(hub, move)
    if landed:
        hub.tip()
    return landed


def _swap(hub: Hub, move: Move) -> bool:
    marks = [(f"refs/adw/{arrival.issue.key}/landed", arrival.candidate.sha, "") for arrival in move.arrivals]
    transaction = Prepared(hub.git, [(hub.ref, move.sha, move.onto), *marks], f"adw: land {move}"[:1000])
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
        if checkout := checkout_of(hub):  # asked for only now: while HEAD is locked nobody switches branches
            _fast_forward(checkout, move)
    except BaseException:
        transaction.abort()
        raise
    if not transaction.commit():
        msg = f"git was killed while it moved {hub.branch} in {hub.path}"
        raise GitKilled(msg)
    return True


def checkout_of(hub: Hub) -> Path | None:
    """The work tree that has the branch checked out, if there is one."""
    listed = checkouts(hub.git).get(hub.ref)
    if listed and (listed / ".git").exists():
        return listed
    # Of a submodule, git lists its git directory instead of its work tree.
    return hub.checkout if hub.checkout and locate(hub.checkout).head == hub.branch else None


def _fast_forward(checkout: Path, move: Move) -> None:
    """Move files and index of a checkout; Blocked, with nothing moved, if local edits stand in the way."""
    view = Git(checkout / ".git", work_tree=checkout)
    view.call("update-index", "-q", "--refresh")
    status, _, err = view.call("read-tree", "-m", "-u", move.onto, move.sha)
    if status and IN_THE_WAY.search(err):
        msg = f"local edits in {checkout} stand in the way of landing {move}: commit or stash them, then `adw resume` ({err.strip()})"
        raise Blocked(msg)
    if status:
        msg = f"git cannot move the files of {checkout}: {err.strip()}"
        raise GitFailed(msg)


@dataclass(frozen=True, slots=True)
class Note:
    """What a landing was about to do, kept on disk while it does it, so that one that was killed can be cleared up after."""

    since: float
    onto: str
    sha: str
    locks_before: list[str]  # lock files that somebody else had


@contextmanager
def declared(hub: Hub, move: Move, file: Path) -> Iterator[None]:
    """Keep the note for the block; clear up at once if git is killed in it, and leave it if we are."""
    before = [str(path) for path in _locks(hub) if path.exists()]
    file.write_text(json.dumps(asdict(Note(time.time(), move.onto, move.sha, before))))
    try:
        yield
    except GitKilled:
        clear_up(hub, file)
        raise
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    file.unlink(missing_ok=True)


def clear_up(hub: Hub, file: Path) -> None:
    """After a landing that was killed: remove its lock files, and put back what it had moved in the checkout.

    Call it with the landing lock held. A lock that was there before, or came later, is somebody else's and stays.
    """
    try:
        note = Note(**json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return
    for stale in _locks(hub):
        with suppress(FileNotFoundError):
            if str(stale) not in note.locks_before and note.since - 1 <= stale.stat().st_mtime <= note.since + LONGEST:
                stale.unlink()
    if (checkout := checkout_of(hub)) and hub.git.find(hub.ref) == note.onto and hub.git.has(note.sha):
        _put_back(Git(checkout / ".git", work_tree=checkout), note)
    file.unlink()


def _locks(hub: Hub) -> list[Path]:
    """The lock files that a landing may leave behind when git is killed in it."""
    directory, checkout = hub.git.directory, checkout_of(hub)
    heads = {directory / "HEAD.lock", directory / "packed-refs.lock", directory / "refs" / "heads" / f"{hub.branch}.lock"}
    if checkout:
        own = Git(checkout / ".git").run("rev-parse", "--absolute-git-dir")
        heads |= {Path(own, "index.lock"), Path(own, "HEAD.lock")}
    return sorted([*heads, *(directory / "refs" / "adw").glob("*/landed.lock")])


def _put_back(view: Git, note: Note) -> None:
    """Make those files of a checkout what the branch says that a killed landing had already moved; edits of the user stay."""
    for path in view.touched(note.onto, note.sha):
        file = view.work_tree / path if view.work_tree else Path(path)
        moved, was = view.find(f"{note.sha}:{path}"), view.find(f"{note.onto}:{path}")
        now = view.run("hash-object", "--", str(file)) if file.is_file() and not file.is_symlink() else None
        if now != moved:
            continue
        if was:
            view.run("checkout", note.onto, "--", path)
        else:
            view.run("rm", "--quiet", "--force", "--ignore-unmatch", "--", path)
            file.unlink(missing_ok=True)
