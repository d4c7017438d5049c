"""The pool: worktrees on one host that are lent to agents and tests, one holder at a time."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

from adw import guard, lock, proc
from adw.config import PoolConfig, SandboxConfig
from adw.errors import AgentCrashed, AgentCut, AgentFailed, DiskFull, GitFailed, Halted, Interrupted, ModelAway, SetupFailed
from adw.git import Git
from adw.journal import Journal
from adw.mirror import Source
from adw.model import Order, phase_of
from adw.sessions import LEASE, Shelf
from adw.slot import Lease, Watch, empty, prepare, remove, tame, view


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slot, or held it last: a note beside the lock, for nobody but adw to write."""

    lease: str
    pid: int
    birth: float
    issue_key: str
    commit: str
    phase: str = ""
    issue: str = ""
    returned: bool = False

    @property
    def gone(self) -> bool:
        """Whether the process that took the lease no longer runs."""
        return not proc.alive(self.pid, self.birth)


@dataclass(frozen=True, slots=True)
class Pool:
    """The slots of one repository on this host."""

    hub: Source
    config: PoolConfig = field(default_factory=PoolConfig)
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    journal: Journal | None = field(default=None, compare=False)  # what is told of leases

    @property
    def folder(self) -> Path:
        """Where the slots are."""
        base = self.config.base_path
        return Path(base).expanduser() / self.hub.place.root.name if base else self.hub.place.pool

    def slots(self) -> list[Path]:
        """The folders of all slots that the pool may have, made or not."""
        return [self.folder / str(number) for number in range(1, self.config.size + 1)]

    @contextmanager
    def lease(self, commit: str, order: Order) -> Iterator[Lease]:
        """Lend a clean worktree at a commit, ours alone until the block ends; waits while all are lent.

        What works in it is to be run by `proc.kept`, which leaves nothing running.
        DiskFull before anything is written where there is too little room.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        self.hub.bring(commit, order.issue_key)
        slot, held = self._take()
        with held:
            _rescue(self.hub, self.config, slot)
            holder = Holder(uuid.uuid4().hex, os.getpid(), proc.born(os.getpid()), order.issue_key, commit, order.phase, order.issue)
            _note(slot, holder)
            if self.journal:
                self.journal.event("leased", **order.fields, lease=holder.lease, slot=slot.name)
            try:
                yield prepare(self.hub, self.config, self.sandbox, slot, commit, order, holder.lease, held.fileno())
            except Interrupted:
                raise  # nobody has time now: its work is pinned before the slot is lent again, like that of a run that was killed
            except (AgentCut, AgentCrashed, ModelAway, Halted):
                _rescue(self.hub, self.config, slot)  # what it had written is what the next try may go on with
                _note(slot, replace(holder, returned=True))
                raise
            except (AgentFailed, SetupFailed):
                _note(slot, replace(holder, returned=True))
                raise
            _note(slot, replace(holder, returned=True))

    def _take(self) -> tuple[Path, IO[str]]:
        """The first free slot, locked; among slots that were never made only when no made one is free."""
        swept = 0.0
        while True:
            proc.go_on()
            due = time.monotonic() - swept > 1
            swept = time.monotonic() if due else swept
            for slot in sorted(self.slots(), key=lambda s: (not s.exists(), int(s.name))):
                if held := lock.try_lock(slot / "lock"):
                    return slot, held
                holder = _holder(slot)
                if due and holder and holder.gone:
                    proc.sweep(holder.lease)  # orphans of a killed run hold the slot for nobody
            time.sleep(0.1)

    def _make_room(self) -> None:
        try:
            guard.check_disk(self.folder, self.config.disk_floor)
        except DiskFull:
            self.remove_idle()
            guard.check_disk(self.folder, self.config.disk_floor)

    def remove_idle(self) -> int:
        """Remove the slots that nobody holds; returns how many. What an interrupted holder wrote is pinned first."""
        removed = 0
        for slot in [p for p in self.folder.glob("*") if (p / "tree").exists()]:
            if held := lock.try_lock(slot / "lock"):
                with held:
                    _rescue(self.hub, self.config, slot)
                    empty(slot)
                removed += 1
        return removed

    def reconcile(self) -> int:
        """Kill what dead runs left running, and pin what they had written; returns how many slots were taken back."""
        back = 0
        for slot in self.slots():
            holder = _holder(slot)
            if holder is None or holder.returned or not holder.gone:
                continue
            proc.sweep(holder.lease)
            if held := lock.try_lock(slot / "lock"):
                with held:
                    _rescue(self.hub, self.config, slot)
                    _note(slot, replace(holder, returned=True))
                back += 1
        return back


def _holder(slot: Path) -> Holder | None:
    try:
        return Holder(**json.loads((slot / "holder").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None  # there was none yet


def _note(slot: Path, holder: Holder) -> None:
    """Say who holds a slot; at once and whole, as others read it at any time."""
    whole = slot / "holder.new"
    remove(whole)
    whole.write_text(json.dumps(asdict(holder)), encoding="utf-8")
    whole.replace(slot / "holder")


def _rescue(hub: Source, config: PoolConfig, slot: Path) -> None:
    """After a holder that did not return its slot: kill what is left of it, and pin what it had written to a ref."""
    last = _holder(slot)
    if last is None or last.returned:
        return
    proc.sweep(last.lease)
    (slot / "index.lock").unlink(missing_ok=True)
    git = view(hub, slot)
    if phase_of(last.phase) not in {"build", "document"} or not (slot / "tree").is_dir() or not (slot / "index").exists() or not git.has(last.commit):
        return
    tree = _written(git, config, slot)
    if tree is None:
        Shelf(hub.place.sessions / last.issue_key / last.phase).forget()  # it cannot go on without its files
        return
    if tree == git.tree_of(last.commit):
        return
    number = 1 + len(hub.found(f"refs/adw/{last.issue_key}/rescued-*"))
    sha = git.commit(tree, [last.commit], f"What an interrupted {last.phase} of {last.issue} had written\n\n{LEASE}: {last.lease}\n", hub.author())
    ref = f"refs/adw/{last.issue_key}/rescued-{number}"
    git.point(ref, sha)
    hub.publish(ref)


def _written(git: Git, config: PoolConfig, slot: Path) -> str | None:
    """The tree of what was left in a slot; None if git cannot take it up: the slot must come clean all the same."""
    if Watch(slot, config.slot_gb, 0)():
        return None  # git would be at it for hours
    try:
        tame(slot / "tree", config.keep)
        return git.snapshot()
    except (GitFailed, OSError):
        return None
