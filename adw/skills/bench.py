"""How skills run tools: kept like all that adw runs, so that nothing of them is left, and in the slot's sandbox where there is a slot.

That goes for tools that only read, too: what configures them was written by an agent, and may name any file as another configuration.
"""

import json
import os
import shutil
import sys
import tempfile
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from anyio import from_thread, to_thread
from anyio.lowlevel import checkpoint_if_cancelled

import adw
from adw import proc
from adw.errors import SkillFailed, ToolMissing
from adw.skills.finding import Finding
from adw.skills.registry import Given
from adw.slot import PASSED_ON, Lease

LONGEST = 60.0  # minutes; whoever calls has a shorter limit
TIME_UP = "its time is up"
TAIL = 1000  # characters of what a tool printed that are told when it fails
QUIET = {"PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1", "COLUMNS": "200"}


@dataclass(frozen=True, slots=True)
class KeptBench:
    """Runs the tools of one run of skills."""

    folder: Path  # where they are run
    env: Mapping[str, str]
    box: Callable[[Sequence[str], Sequence[Path]], list[str]]  # the command line inside of the sandbox, to which some paths are shown
    fds: tuple[int, ...] = ()
    watch: Callable[[], str] = field(default=lambda: "", repr=False)

    @classmethod
    def of(cls, lease: Lease) -> "KeptBench":
        """In a slot, whose tree they cannot write in."""
        box = partial(_boxed, lease)
        return cls(lease.tree, {**lease.env, **QUIET}, box, lease.fds, lease.watch)

    @classmethod
    def by_hand(cls, folder: Path) -> "KeptBench":
        """In a folder of the user's own, as if they had called the tools themselves."""
        passed = {name: os.environ[name] for name in (*PASSED_ON, "HOME", "TMPDIR") if name in os.environ}
        return cls(folder, {"PATH": os.defpath, **passed, **QUIET}, lambda argv, _: list(argv))

    def program(self, name: str) -> str:
        """A program of the project's own: of its virtual environment, or of PATH."""
        for path in (self.folder / ".venv" / "bin", self.folder / "node_modules" / ".bin"):
            if os.access(path / name, os.X_OK):
                return str(path / name)
        if there := shutil.which(name, path=self.env["PATH"]):
            return there
        msg = f"{name} is not installed"
        raise ToolMissing(msg)

    async def call(self, argv: Sequence[str], stdin: str = "", readable: Sequence[Path] = ()) -> tuple[int, str]:
        """Run a command in the folder; its exit status, and all that it printed."""
        done = await to_thread.run_sync(self._call, argv, stdin, readable)
        await checkpoint_if_cancelled()
        return done

    def _call(self, argv: Sequence[str], stdin: str, readable: Sequence[Path]) -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as scratch:
            given, out = Path(scratch, "in"), Path(scratch, "out")
            given.write_text(stdin, encoding="utf-8")
            boxed = self.box(argv, readable)
            ended = proc.kept(boxed, cwd=self.folder, env=self.env, log=out, minutes=LONGEST, stdin=given, fds=self.fds, watch=self._why_not)
            said = out.read_text(encoding="utf-8", errors="replace")
        if ended.cut and ended.cut != TIME_UP:
            msg = f"it was stopped: {ended.cut}"
            raise SkillFailed(msg)
        return ended.status, said

    def _why_not(self) -> str:
        """Why the command is to be cut: nobody waits for it any more, or it fills the slot."""
        try:
            from_thread.check_cancelled()
        except CancelledError:
            return TIME_UP
        return self.watch()

    async def apart(self, function: Callable[[Given], Iterable[Finding]], given: Given) -> list[Finding]:
        """Call a function in a process of its own, as it would hold the GIL; and what reads hostile code may crash."""
        tops = {function.__module__.partition(".")[0], "adw"}
        shown = [Path(file).parent for top in tops if (file := getattr(sys.modules.get(top), "__file__", None))]
        order = {
            "path": sys.path,
            "function": [function.__module__, function.__qualname__],
            "folder": str(given.folder),
            "files": given.files,
        }
        worker = str(Path(adw.__file__).with_name("skills") / "worker.py")
        status, said = await self.call([sys.executable, "-I", worker], json.dumps(order), shown)
        lines = said.splitlines()
        if status or not lines:
            msg = f"its process ended with status {status}: {said[-TAIL:].strip()}"
            raise SkillFailed(msg)
        return [Finding(**each) for each in json.loads(lines[-1])]


def _boxed(lease: Lease, argv: Sequence[str], readable: Sequence[Path]) -> list[str]:
    return lease.boxed(argv, readable=readable, edits=False)
