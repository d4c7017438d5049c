"""What keeps commands that a model wrote from all but their slot: bubblewrap, on Linux.

    the file system      read-only
      home, temporary folders, sockets, adw's own folder      not there
        programs of PATH, what is configured as readable      read-only
        the slot's tree, home and tmp, what is configured as writable      writable
          the slot's git directory and the tree's .git      read-only

The most specific path decides, whatever lies in what. Other processes are not there either, and capabilities are none.

The sandbox is a child of the keeper: bubblewrap ends with it, and with bubblewrap all that is inside, at once.
What it does not keep away: the network of the host, where it is on, with what listens on loopback.
"""

import os
import pwd
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adw import installed, proc, server
from adw.config import SandboxConfig
from adw.errors import Misuse
from adw.home import home

# Temporary folders and sockets (of containers, D-Bus, ssh-agent): who reaches them is out of the sandbox.
HIDDEN = ("/tmp", "/var/tmp", "/run", "/var/run", "/var/lib/lxd", "/var/lib/incus", "/var/snap/lxd")  # noqa: S108 - hidden, not used
# As root a file of /proc/sys is written without any capability, and core_pattern there names a program that the kernel runs outside.
PROC = ("sys", "sysrq-trigger", "irq", "bus", "fs")
BASE = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--cap-drop", "ALL", "--die-with-parent"),
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
    *(word for name in PROC for word in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")),
)
HIDE, SHOW, LEND = "--tmpfs", "--ro-bind-try", "--bind-try"


def why_not(config: SandboxConfig) -> str:
    """Why there is no sandbox although one is wanted, and the mend; empty if there is one, or none is wanted."""
    return "" if config.mode == "off" else _why_not()


@cache
def _why_not() -> str:
    if sys.platform != "linux":
        return "agents and tests run without a sandbox: it needs Linux"
    if not shutil.which("bwrap"):
        return "agents and tests run without a sandbox: bubblewrap is not installed; install it (`apt install bubblewrap`, `dnf install bubblewrap`)"
    status, said = proc.heard(["bwrap", *BASE, "--unshare-net", "true"], seconds=20)
    if status == 0:
        return ""
    return (
        f"agents and tests run without a sandbox: bubblewrap cannot make one ({said.strip() or f'exit status {status}'}); "
        "allow user namespaces (kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; in a container: --privileged)"
    )


def require(config: SandboxConfig) -> None:
    """Misuse if a sandbox is required, and there is none."""
    if config.mode == "required" and (reason := why_not(config)):
        msg = f'sandbox.mode is "required", but {reason}; or set sandbox.mode = "auto" in adw.toml'
        raise Misuse(msg)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the commands of one lease may touch."""

    config: SandboxConfig
    slot: Path
    objects: Path  # of the mirror, behind the slot's own
    guarded: tuple[Path, ...]  # the hub: never writable, whatever is configured

    def boxed(  # noqa: PLR0913 - what differs from command to command
        self, argv: Sequence[str], path: str, *, network: bool, readable: Iterable[Path], writable: Iterable[Path], edits: bool
    ) -> list[str]:
        """The command line that runs another one inside; the same one where there is no sandbox. `path` is the command's PATH.

        Misuse if a sandbox is required, and there is none.
        """
        require(self.config)
        if self.config.mode == "off" or _why_not():
            return list(argv)
        mounts = self._mounts(argv, path, readable, writable, edits=edits)
        words = [word for place in sorted(mounts, key=lambda p: len(p.parts)) for word in _mount(mounts[place], place)]
        return [shutil.which("bwrap") or "bwrap", *BASE, *([] if network else ["--unshare-net"]), *words, "--chdir", str(self.slot / "tree"), "--", *argv]

    def _mounts(self, argv: Sequence[str], path: str, readable: Iterable[Path], writable: Iterable[Path], *, edits: bool) -> dict[Path, str]:
        """How each place is mounted: later entries of the same place win, deeper places are mounted later."""
        hidden = set(_real(_hidden()))
        shown = [*_real([Path("/etc/resolv.conf"), *map(_expanded, self.config.readable), *readable]), *installed.behind(argv, path, hidden)]
        lent = _real([*map(_expanded, self.config.writable), *writable])
        mounts = dict.fromkeys(hidden, HIDE) | dict.fromkeys(shown, SHOW) | dict.fromkeys(lent, LEND)
        mounts |= {place: SHOW for place in _real(self.guarded) if any(place.is_relative_to(other) for other in lent)}
        mounts |= dict.fromkeys(_real([home(), server.folder(), self.slot.parent]), HIDE)
        own = {"tree": LEND if edits else SHOW, "home": LEND, "tmp": LEND, "git": SHOW, "tree/.git": SHOW}
        return mounts | {self.slot / name: kind for name, kind in own.items()} | {self.objects: SHOW}


def _mount(kind: str, place: Path) -> list[str]:
    return [kind, str(place)] if kind == HIDE else [kind, str(place), str(place)]


def _hidden() -> Iterator[Path]:
    """What is not there in a sandbox; a home that is the whole file system, as in some containers, cannot be hidden."""
    homes = {os.path.expanduser("~"), pwd.getpwuid(os.getuid()).pw_dir}  # noqa: PTH111 - Path.home() fails where there is none
    for path in map(Path, (*HIDDEN, *homes)):
        if path.is_dir() and path != Path("/"):
            yield path


def _real(paths: Iterable[Path]) -> list[Path]:
    """Where paths lead to."""
    return [Path(os.path.realpath(path)) for path in paths]


def _expanded(path: str) -> Path:
    return Path(path).expanduser()
