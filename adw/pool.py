"""The pool: worktrees on one host that are lent to agents and tests, one holder at a time.

A slot is a folder with
    tree/    the work tree that is lent, and its `.git` file, which points to
    git/     a git directory of the slot's own, with the mirror's objects behind it: whatever an agent does to it (commits,
             branches, configuration, hooks) stays there, and is thrown away
    index    adw's own index of the work tree, by which it checks out and takes up what was written
    home/ tmp/   HOME and TMPDIR of the holder
    lock     locked by the holder, and by the agents it starts; names the last lease
    setup    what the setup command last ran for
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

from adw import guard, lock, proc
from adw.config import PoolConfig
from adw.errors import AgentCut, AgentFailed, DiskFull, GitFailed
from adw.git import Git, author
from adw.mirror import Hub
from adw.model import Order, digest

PASSED_ON = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TERM",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
PORTS_FROM, PORTS_EACH = 20000, 20


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to use a slot until the block ends."""

    tree: Path
    env: dict[str, str]
    fds: tuple[int, ...]  # to be inherited by what works in the slot: it holds the slot as long as it lives
    git: Git  # adw's own view of the tree
    watch: "Watch"


@dataclass(slots=True)
class Watch:
    """Says why a slot's holder must be cut: it, or the disk, is filling up."""

    slot: Path
    limit: float
    floor: float
    due: float = 0.0

    def __call__(self) -> str:
        """A reason, or nothing. Measures seldom enough to cost a twentieth of the time at most."""
        now = time.monotonic()
        if now < self.due:
            return ""
        used = guard.size(self.slot)
        self.due = time.monotonic() + max(1.0, 20 * (time.monotonic() - now))
        if used > self.limit * guard.GB:
            return f"it filled its slot with more than {self.limit:g} GB (pool.slot_gb in adw.toml)"
        if guard.free_percent(self.slot) < self.floor / 2:
            return f"the disk is nearly full: less than {self.floor / 2:g} % is free"
        return ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a slot, or held it last, as its lock file says."""

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

    hub: Hub
    config: PoolConfig = field(default_factory=PoolConfig)

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
        slot, held = self._take()
        with held:
            _rescue(self.hub, slot, _holder(held))
            holder = Holder(uuid.uuid4().hex, os.getpid(), proc.born(os.getpid()), order.issue_key, commit, order.phase, order.issue)
            _write(held, holder)
            lease = _prepare(self, slot, holder, order, held.fileno())
            try:
                yield lease
            except AgentCut:
                raise  # its work is pinned before the slot is lent again, like that of a run that was killed
            except AgentFailed:
                _write(held, replace(holder, returned=True))
                raise
            _write(held, replace(holder, returned=True))

    def _take(self) -> tuple[Path, IO[str]]:
        """The first free slot, locked; among slots that were never made only when no made one is free."""
        while True:
            proc.go_on()
            for slot in sorted(self.slots(), key=lambda s: (not s.exists(), int(s.name))):
                if held := lock.try_lock(slot / "lock"):
                    return slot, held
                holder = _read(slot / "lock")
                if holder and not holder.returned and holder.gone:
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
        for slot in [p for p in self.folder.glob("*") if p.name.isdigit()]:
            if held := lock.try_lock(slot / "lock"):
                with held:
                    _rescue(self.hub, slot, _holder(held))
                    _remove(slot)
                removed += 1
        return removed

    def reconcile(self) -> int:
        """Kill what dead runs left running, and pin what they had written; returns how many slots were taken back."""
        back = 0
        for slot in self.slots():
            holder = _read(slot / "lock")
            if holder is None or holder.returned or not holder.gone:
                continue
            proc.sweep(holder.lease)
            if held := lock.try_lock(slot / "lock"):
                with held:
                    _rescue(self.hub, slot, _holder(held))
                    _write(held, replace(holder, returned=True))
                back += 1
        return back


def _holder(held: IO[str]) -> Holder | None:
    held.seek(0)
    return _parse(held.read())


def _read(path: Path) -> Holder | None:
    try:
        return _parse(path.read_text())
    except FileNotFoundError:
        return None


def _parse(text: str) -> Holder | None:
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):
        return None  # empty, or cut off when its writer was killed


def _write(held: IO[str], holder: Holder) -> None:
    held.seek(0)
    held.truncate()
    held.write(json.dumps(asdict(holder)))
    held.flush()


def _view(hub: Hub, slot: Path) -> Git:
    """Adw's own view of a slot's tree: the mirror, and an index outside of the tree."""
    return Git(hub.mirror.directory, work_tree=slot / "tree", index=slot / "index")


def _rescue(hub: Hub, slot: Path, last: Holder | None) -> None:
    """After a holder that did not return its slot: kill what is left of it, and pin what it had written to a ref."""
    if last is None or last.returned:
        return
    proc.sweep(last.lease)
    (slot / "index.lock").unlink(missing_ok=True)
    git = _view(hub, slot)
    if last.phase not in {"build", "document"} or not (slot / "tree").is_dir() or not (slot / "index").exists() or not git.has(last.commit):
        return
    try:
        tree = git.snapshot()
    except GitFailed:
        return  # git cannot take up what was written; the slot must come clean all the same
    if tree == git.tree_of(last.commit):
        return
    number = 1 + len(git.refs(f"refs/adw/{last.issue_key}/rescued-*"))
    sha = git.commit(tree, [last.commit], f"What an interrupted {last.phase} of {last.issue} had written", author(hub.git))
    git.point(f"refs/adw/{last.issue_key}/rescued-{number}", sha)
    hub.publish(last.issue_key)


def _prepare(pool: Pool, slot: Path, holder: Holder, order: Order, fd: int) -> Lease:
    """Make a locked slot ready to be lent: the commit, nothing else, and its own HOME, TMPDIR and git directory."""
    git = _view(pool.hub, slot)
    (slot / "index.lock").unlink(missing_ok=True)
    tree = slot / "tree"
    if tree.is_symlink() or not tree.is_dir():
        _remove(tree)  # an earlier holder put something else in its place
    tree.mkdir(exist_ok=True)
    exclude = pool.hub.mirror.directory / "info" / "exclude"
    patterns = "".join(f"{p}\n" for p in (*pool.config.keep, *pool.config.include, *_listed(pool.hub)))
    if not exclude.exists() or exclude.read_text() != patterns:
        exclude.write_text(patterns)
    _lend_git(pool.hub, slot, holder.commit)
    try:
        git.check_out(holder.commit, pool.config.keep)
    except Exception:  # noqa: BLE001 - whatever an earlier holder did to it: a slot that does not come clean is made again
        _scrap(slot)
        tree.mkdir()
        _lend_git(pool.hub, slot, holder.commit)
        git.check_out(holder.commit, pool.config.keep)
    shutil.copyfile(slot / "index", slot / "git" / "index")
    for name in ("home", "tmp"):
        _remove(slot / name)
        (slot / name).mkdir()
    _include(pool, tree)
    watch = Watch(slot, pool.config.slot_gb, pool.config.disk_floor)
    lease = Lease(tree, _environment(pool.config, slot, holder, order), (fd,), git, watch)
    _set_up(pool.config, slot, lease)
    return lease


def _lend_git(hub: Hub, slot: Path, commit: str) -> None:
    """Give the slot a fresh git directory of its own, with the commit checked out and the mirror's objects behind it."""
    own = slot / "git"
    _remove(own)
    (own / "objects" / "info").mkdir(parents=True)
    (own / "refs").mkdir()
    (own / "objects" / "info" / "alternates").write_text(f"{hub.mirror.directory / 'objects'}\n")
    (own / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n[user]\n\tname = agent\n\temail = agent@localhost\n")
    (own / "HEAD").write_text(f"{commit}\n")
    link = slot / "tree" / ".git"
    _remove(link)
    link.write_text(f"gitdir: {own}\n")


def _remove(path: Path) -> None:
    """Remove a file or folder, also one whose folders were made read-only."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        for folder, _, _ in os.walk(path):
            with suppress(OSError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path)


def _scrap(slot: Path) -> None:
    for name in ("tree", "git", "index", "index.lock", "setup"):
        _remove(slot / name)


def _listed(hub: Hub) -> list[str]:
    """The patterns of the checkout's `.worktreeinclude`."""
    file = hub.checkout / ".worktreeinclude" if hub.checkout else None
    return file.read_text(encoding="utf-8").splitlines() if file and file.is_file() else []


def _include(pool: Pool, tree: Path) -> None:
    """Copy the ignored files of the user's checkout that work needs (`include`, `.worktreeinclude`) into a slot."""
    checkout = pool.hub.checkout
    if checkout is None:
        return
    patterns = [f"--exclude={pattern}" for pattern in (*pool.config.include, *_listed(pool.hub))]
    if not patterns:
        return
    files = Git(pool.hub.git.directory, work_tree=checkout).run("ls-files", "--others", "--ignored", "-z", *patterns)
    for name in filter(None, files.split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        _remove(tree / name)  # one that was kept
        shutil.copy2(checkout / name, tree / name, follow_symlinks=False)


def _environment(config: PoolConfig, slot: Path, holder: Holder, order: Order) -> dict[str, str]:
    """All that a holder's processes get to see of adw's environment, and what tells them where they are."""
    passed = {name: os.environ[name] for name in (*PASSED_ON, *config.env) if name in os.environ}
    return {
        "PATH": os.defpath,
        "HOME": str(slot / "home"),
        "TMPDIR": str(slot / "tmp"),
        **passed,
        "ADW_RUN": order.run,
        "ADW_ISSUE": order.issue,
        "ADW_PHASE": order.phase,
        "ADW_TRY": str(order.attempt),
        "ADW_SLOT": slot.name,
        "ADW_PORT_BASE": str(PORTS_FROM + PORTS_EACH * int(slot.name)),
        proc.MARKER: holder.lease,
    }


def _set_up(config: PoolConfig, slot: Path, lease: Lease) -> None:
    """Run the setup command if it, or a file that it depends on, is not what it last ran for in this slot."""
    if not config.setup:
        return
    blobs = lease.git.run("ls-files", "--stage", "--", *config.setup_files) if config.setup_files else ""
    wanted, done = digest(config.setup, blobs), slot / "setup"
    if done.is_file() and done.read_text() == wanted:
        return
    done.unlink(missing_ok=True)
    log = slot / "setup.log"
    log.unlink(missing_ok=True)
    ended = proc.kept(["sh", "-c", config.setup], cwd=lease.tree, env=lease.env, log=log, minutes=config.setup_minutes, fds=lease.fds, watch=lease.watch)
    if ended.status or ended.cut:
        tail = log.read_text(errors="replace")[-2000:]
        msg = f"the setup command `{config.setup}` failed ({ended.cut or f'exit status {ended.status}'}):\n{tail}"
        raise AgentFailed(msg)
    done.write_text(wanted)
