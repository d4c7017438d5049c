"""A slot of the pool, and making it ready to be lent.

It is a folder with
    tree/    the work tree that is lent, and its `.git` file, which points to
    git/     a git directory of the slot's own, with the mirror's objects behind it: whatever an agent does to it (commits,
             branches, configuration, hooks) stays there, and is thrown away
    index    adw's own index of the work tree, by which it checks out and takes up what was written
    home/ tmp/   HOME and TMPDIR of the holder
    lock     locked by the holder and its keepers, and by agents that have no sandbox; empty
    holder   names the last lease
    setup    what the setup command last ran for
"""

import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from adw import guard, proc
from adw.config import PoolConfig, SandboxConfig
from adw.errors import AdwError, SetupFailed
from adw.git import Git
from adw.mirror import Source
from adw.model import Order, digest, phase_of
from adw.sandbox import Sandbox

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

    id: str
    commit: str  # that the tree was at when it was lent
    tree: Path
    env: dict[str, str]
    fds: tuple[int, ...]  # to be inherited by what works in the slot: it holds the slot as long as it lives
    git: Git  # adw's own view of the tree
    watch: "Watch"
    sandbox: Sandbox
    network: bool  # whether what is no agent reaches it
    keep: tuple[str, ...]

    def full(self) -> str:
        """Why what was left is more than a slot may hold, or nothing: a file of a terabyte is made in no time, and git reads all of it."""
        self.watch.due = 0.0
        return self.watch()

    def snapshot(self) -> str:
        """The tree of what was left; GitFailed if git cannot take it up."""
        tame(self.tree, self.keep)
        return self.git.snapshot()

    def boxed(self, argv: Sequence[str], *, agent: bool = False, readable: Iterable[Path] = (), writable: Iterable[Path] = (), edits: bool = True) -> list[str]:
        """The command line that runs another one in the slot's sandbox, with the network for agents, and for others as configured.

        `edits` says whether it may write in the tree. Misuse if a sandbox is required, and there is none.
        """
        path = self.env["PATH"]
        return self.sandbox.boxed(argv, path, network=agent or self.network, readable=readable, writable=writable, edits=edits)


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


def view(hub: Source, slot: Path) -> Git:
    """Adw's own view of a slot's tree: the mirror, and an index outside of the tree."""
    return Git(hub.mirror.directory, work_tree=slot / "tree", index=slot / "index")


def prepare(  # noqa: PLR0913 - all that a lease is made of
    hub: Source, config: PoolConfig, box: SandboxConfig, slot: Path, commit: str, order: Order, lease_id: str, fd: int
) -> Lease:
    """Make a locked slot ready to be lent: the commit, nothing else, and its own HOME, TMPDIR and git directory."""
    git = view(hub, slot)
    (slot / "index.lock").unlink(missing_ok=True)
    tree = slot / "tree"
    if tree.is_symlink() or not tree.is_dir():
        remove(tree)  # an earlier holder put something else in its place
    tree.mkdir(exist_ok=True)
    exclude = hub.mirror.directory / "info" / "exclude"
    patterns = "".join(f"{p}\n" for p in (*config.keep, *config.include, *_listed(hub)))
    if not exclude.exists() or exclude.read_text() != patterns:
        exclude.write_text(patterns)
    tame(tree, config.keep)
    _lend_git(hub, slot, commit)
    try:
        git.check_out(commit, config.keep)
    except Exception:  # noqa: BLE001 - whatever an earlier holder did to it: a slot that does not come clean is made again
        _scrap(slot)
        tree.mkdir()
        _lend_git(hub, slot, commit)
        git.check_out(commit, config.keep)
    shutil.copyfile(slot / "index", slot / "git" / "index")
    for name in ("home", "tmp"):
        remove(slot / name)
        (slot / name).mkdir()
    _include(hub, config, tree)
    watch = Watch(slot, config.slot_gb, config.disk_floor)
    sandbox = Sandbox(box, slot, hub.mirror.directory / "objects", hub.owned)
    lease = Lease(lease_id, commit, tree, _environment(config, slot, lease_id, order), (fd,), git, watch, sandbox, box.network, config.keep)
    _set_up(config, slot, lease)
    return lease


def _lend_git(hub: Source, slot: Path, commit: str) -> None:
    """Give the slot a fresh git directory of its own, with the commit checked out and the mirror's objects behind it."""
    own = slot / "git"
    remove(own)
    (own / "objects" / "info").mkdir(parents=True)
    (own / "refs").mkdir()
    (own / "objects" / "info" / "alternates").write_text(f"{hub.mirror.directory / 'objects'}\n")
    (own / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = false\n[user]\n\tname = agent\n\temail = agent@localhost\n")
    (own / "HEAD").write_text(f"{commit}\n")
    link = slot / "tree" / ".git"
    remove(link)
    link.write_text(f"gitdir: {own}\n")


def tame(tree: Path, keep: Sequence[str]) -> None:
    """Remove pipes, sockets and devices: git waits for ever for who writes into a pipe named .gitignore."""
    for entry in guard.entries(tree, [name.strip("/") for name in keep]):
        if not entry.is_file(follow_symlinks=False) and not entry.is_symlink():
            Path(entry.path).parent.chmod(0o700)
            Path(entry.path).unlink()


def rein(folder: Path) -> None:
    """Remove pipes, and links that lead out: adw writes into the folder, and must write nowhere else."""
    tame(folder, ())
    for entry in guard.entries(folder):
        if entry.is_symlink() and not Path(os.path.realpath(entry.path)).is_relative_to(os.path.realpath(folder)):
            Path(entry.path).parent.chmod(0o700)
            Path(entry.path).unlink()


def remove(path: Path) -> None:
    """Remove whatever is there, also a folder that was made read-only, and one that is too deep for Python."""
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    try:
        for folder, _, _ in os.walk(path):
            with suppress(OSError):
                Path(folder).chmod(0o700)
        shutil.rmtree(path)
    except RecursionError:
        status, said = proc.heard(["rm", "-rf", "--", str(path)], seconds=600)
        if status:
            msg = f"cannot remove {path}: {said[-1000:].strip()}"
            raise AdwError(msg) from None


def _scrap(slot: Path) -> None:
    for name in ("tree", "git", "index", "index.lock", "setup"):
        remove(slot / name)


def empty(slot: Path) -> None:
    """Remove all that is in a locked slot but the lock: another who waits for it has it open."""
    for path in slot.iterdir():
        if path.name != "lock":
            remove(path)


def _listed(hub: Source) -> list[str]:
    """The patterns of the checkout's `.worktreeinclude`."""
    file = hub.checkout / ".worktreeinclude" if hub.checkout else None
    return file.read_text(encoding="utf-8").splitlines() if file and file.is_file() else []


def _include(hub: Source, config: PoolConfig, tree: Path) -> None:
    """Copy the ignored files of the user's checkout that work needs (`include`, `.worktreeinclude`) into a slot."""
    checkout = hub.checkout
    if checkout is None:
        return
    patterns = [f"--exclude={pattern}" for pattern in (*config.include, *_listed(hub))]
    if not patterns:
        return
    files = Git(checkout / ".git", work_tree=checkout).run("ls-files", "--others", "--ignored", "-z", *patterns)
    for name in filter(None, files.split("\0")):
        for above in reversed(Path(name).parents):
            if (tree / above).is_symlink() or (tree / above).is_file():
                remove(tree / above)  # in what was kept: it could lead out of the slot
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        remove(tree / name)  # one that was kept
        shutil.copy2(checkout / name, tree / name, follow_symlinks=False)


def _environment(config: PoolConfig, slot: Path, lease_id: str, order: Order) -> dict[str, str]:
    """All that a holder's processes get to see of adw's environment, and what tells them where they are."""
    passed = {name: os.environ[name] for name in (*PASSED_ON, *config.env) if name in os.environ}
    phase = phase_of(order.phase)
    return {
        "PATH": os.defpath,
        "HOME": str(slot / "home"),
        "TMPDIR": str(slot / "tmp"),
        **passed,
        "ADW_RUN": order.run,
        "ADW_ISSUE": order.issue,
        "ADW_PHASE": phase,
        "ADW_PART": order.phase[len(phase) + 1 :],  # of the phase, if it is done in pieces
        "ADW_TRY": str(order.attempt),
        "ADW_TRACE": order.id,
        "ADW_SLOT": slot.name,
        "ADW_PORT_BASE": str(PORTS_FROM + PORTS_EACH * int(slot.name)),
        proc.MARKER: lease_id,
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
    ended = proc.kept(
        lease.boxed(["sh", "-c", config.setup]), cwd=lease.tree, env=lease.env, log=log, minutes=config.setup_minutes, fds=lease.fds, watch=lease.watch
    )
    if ended.status or ended.cut:
        tail = log.read_text(errors="replace")[-2000:]
        msg = f"the setup command `{config.setup}` failed ({ended.cut or f'exit status {ended.status}'}):\n{tail}"
        raise SetupFailed(msg)
    done.write_text(wanted)
