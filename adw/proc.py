"""The one place where adw starts, watches and ends processes.

Agents, tests and setup commands run under `keeper.py`, which lets nothing of them outlive adw. If the keeper itself is killed,
`sweep` finds what it kept by the lease's marker in the environment.
"""

import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired, run

import psutil

from adw.errors import Interrupted
from adw.pulse import Pulse

__all__ = [
    "MARKER",
    "PIPE",
    "Ended",
    "Process",
    "alive",
    "born",
    "converse",
    "end_all",
    "end_children",
    "go_on",
    "heard",
    "held",
    "insist",
    "keepers",
    "kept",
    "spawn",
    "stopped",
    "sweep",
    "unwanted",
    "used",
]

MARKER = "ADW_LEASE"
GRACE = 1.0  # seconds between SIGTERM and SIGKILL
KEEPER = Path(__file__).with_name("keeper.py")


@dataclass
class _Tally:
    """What commands that were kept have used, and which keepers are at work."""

    seconds: float = 0.0  # of a core, by those that have ended
    keepers: set[int] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, pid: int) -> None:
        """A keeper is at work."""
        with self.guard:
            self.keepers.add(pid)

    def end(self, pid: int, seconds: float) -> None:
        """A keeper has ended; with it all that it kept."""
        with self.guard:
            self.keepers.discard(pid)
            self.seconds += seconds


# Whether nobody waits any more for what the current task does; set by whoever runs tasks for another process.
unwanted: ContextVar[Callable[[], bool]] = ContextVar("unwanted", default=lambda: False)
_lives: "set[_Life]" = set()
_pulses: dict[Pulse, tuple[str, str]] = {}  # of what is kept now, by issue and phase
_tally = _Tally()
_stop = threading.Event()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its exit status (128 + N after signal N), and why adw cut it short, if it did."""

    status: int
    cut: str = ""
    silent: bool = False  # cut because it gave no sign of life
    memory: int = field(default=0, compare=False)  # bytes that its processes held at once at most, as far as was looked; 0 if it was over sooner

    @property
    def killed(self) -> bool:
        """Whether somebody else killed it, as the kernel does when memory runs out."""
        return not self.cut and self.status in {128 + signal.SIGKILL, 128 + signal.SIGTERM}


class _Life:
    """A pipe to a keeper: when our end closes, the keeper ends what it keeps."""

    def __init__(self) -> None:
        self.theirs, self._ours = os.pipe()
        self._open = True
        self._guard = threading.Lock()
        _lives.add(self)

    def end(self) -> None:
        """Close our end, once: its number may be another thread's a moment later."""
        with self._guard:
            if self._open:
                self._open = False
                _lives.discard(self)
                os.close(self._ours)


def stopped() -> bool:
    """Whether this process was told to end all work."""
    return _stop.is_set()


def go_on() -> None:
    """Interrupted if this process was told to end all work, or the current task is wanted no more: called before more of it is begun."""
    insist()
    if unwanted.get()():
        msg = "nobody waits for it any more"
        raise Interrupted(msg)


def insist() -> None:
    """Interrupted if this process was told to end all work; the same for all its tasks."""
    if stopped():
        msg = "interrupted: `adw resume` goes on where it was"
        raise Interrupted(msg)


def end_all() -> None:
    """End every kept command of this process, now, and begin no other: what a signal handler calls first."""
    _stop.set()
    for life in list(_lives):
        life.end()


def kept(  # noqa: PLR0913 - what decides how a command runs is this much
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    minutes: float,
    silent_minutes: float = 0.0,
    stdin: Path | None = None,
    fds: Sequence[int] = (),
    watch: Callable[[], str] = lambda: "",
) -> Ended:
    """Run a command under a keeper until it ends, its time is up, or `watch` (called each half second) names a reason to cut it.

    It is cut, too, if for `silent_minutes` (0: never) it has printed nothing, and its processes have done next to nothing.
    Interrupted if all work is to end, or nobody waits for this one any more (`unwanted`).
    Its output goes to `log`, so that it survives adw. Nothing that it started is left when this returns.
    """
    go_on()
    log.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + minutes * 60
    life = _Life()
    try:
        with log.open("ab") as out, (stdin or Path(os.devnull)).open("rb") as given:
            command = [sys.executable, "-I", "-S", str(KEEPER), str(life.theirs), str(GRACE), *argv]
            keeper = Popen(command, cwd=cwd, env=dict(env), stdin=given, stdout=out, stderr=STDOUT, pass_fds=[life.theirs, *fds], start_new_session=True)
    except BaseException:
        life.end()
        raise
    finally:
        os.close(life.theirs)
    cut, silent, pulse = "", False, Pulse(keeper.pid, log, silent_minutes)
    _tally.begin(keeper.pid)
    _pulses[pulse] = (env.get("ADW_ISSUE", ""), "-".join(filter(None, (env.get("ADW_PHASE"), env.get("ADW_PART")))))
    try:
        while True:
            if _over(keeper, max(0.01, min(0.5, until - time.monotonic()))):
                break
            pulse.look()
            cut = cut or watch() or ("" if time.monotonic() < until else f"it took longer than {minutes:g} minutes")
            if pulse.silent and not cut:
                cut, silent = f"it printed nothing and did next to nothing for {silent_minutes:g} minutes", True
            if cut or unwanted.get()():
                life.end()
    finally:
        life.end()
        _over(keeper, math.inf)
        del _pulses[pulse]
    if (keeper.returncode < 0 or sys.platform != "linux") and (marker := env.get(MARKER)):
        sweep(marker)  # the keeper itself was killed, or cannot see sessions of others: what it kept is on its own
    go_on()
    return Ended(128 - keeper.returncode if keeper.returncode < 0 else keeper.returncode, cut, silent, pulse.most)


def _over(keeper: "Popen[bytes]", seconds: float) -> bool:
    """Whether a keeper has ended, waited for at most so long. By `wait4`, as it says what the keeper and all below it have used; Popen does not ask."""
    until = time.monotonic() + seconds
    while keeper.returncode is None:
        try:
            pid, status, usage = os.wait4(keeper.pid, os.WNOHANG)
        except ChildProcessError:  # who killed it has waited for it, as `sweep` does by psutil
            keeper.returncode = -signal.SIGKILL
            _tally.end(keeper.pid, 0.0)
            return True
        if pid:
            keeper.returncode = os.waitstatus_to_exitcode(status)
            _tally.end(pid, usage.ru_utime + usage.ru_stime)
        elif (left := until - time.monotonic()) > 0:
            _rest(keeper.pid, left)
        else:
            return False
    return True


def _rest(pid: int, seconds: float) -> None:
    """Wait for at most so long, but not beyond the end of a child: Linux tells of that at once."""
    if sys.platform == "linux":
        with suppress(OSError):  # the kernel is too old, or whoever killed it has waited for it
            file = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(file, select.POLLIN)
                poll.poll(None if math.isinf(seconds) else math.ceil(seconds * 1000))
            finally:
                os.close(file)
            return
    time.sleep(min(0.02, seconds))


def keepers() -> list[int]:
    """The processes that keep commands of this process now."""
    with _tally.guard:
        return list(_tally.keepers)


def used() -> float:
    """Seconds of a core that kept commands of this process have used, all together, those that have ended; their keepers included."""
    return _tally.seconds


def held() -> dict[tuple[str, str], int]:
    """The bytes that commands hold which this process keeps, by issue and phase, as far as was looked."""
    found: dict[tuple[str, str], int] = {}
    for pulse, about in list(_pulses.items()):
        found[about] = found.get(about, 0) + pulse.now
    return found


def heard(argv: Sequence[str], seconds: float) -> tuple[int, str]:
    """Run a short command of adw's own, without input; its exit status (124 if it took too long) and all that it printed."""
    try:
        done = run(argv, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True, errors="replace", timeout=seconds, check=False)
    except TimeoutExpired:
        return 124, f"it took longer than {seconds:g} seconds"
    return done.returncode, done.stdout


def sweep(marker: str) -> int:
    """Kill every process that carries the lease's marker in its environment; returns how many there were."""
    mine = {os.getpid(), os.getppid()}
    killed: set[int] = set()
    while True:
        found = [p for p in psutil.process_iter() if p.pid not in mine and _carries(p, marker)]
        if not found:
            return len(killed)
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        killed |= {p.pid for p in found}
        psutil.wait_procs(found, timeout=1)


def _carries(process: psutil.Process, marker: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == marker
    except (psutil.Error, OSError, ValueError):
        return False


class Process:
    """A long-lived process of adw's own, in a session of its own."""

    def __init__(self, popen: "Popen[bytes]") -> None:
        self._popen = popen
        self.pid = popen.pid

    def poll(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._popen.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end at most so long; None if it still runs."""
        try:
            return self._popen.wait(seconds)
        except TimeoutExpired:
            return None

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with suppress(ProcessLookupError):
            self._popen.send_signal(number)

    def say(self, line: str) -> None:
        """Write a line to its standard input; OSError if it has ended."""
        if self._popen.stdin:
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()

    def lines(self) -> Iterator[str]:
        """What it says on its standard output, line by line, until it ends."""
        if self._popen.stdout:
            with self._popen.stdout as said:
                yield from (line.decode(errors="replace") for line in said)

    def hang_up(self) -> None:
        """Close its standard input."""
        if self._popen.stdin:
            with suppress(OSError):  # what it was last told did not reach it
                self._popen.stdin.close()


def spawn(argv: Sequence[str], *, env: Mapping[str, str], log: Path, leash: bool = False, cwd: Path | None = None) -> Process:
    """Start a process of adw's own; with `leash`, its standard input is a pipe that closes when we die."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        stdin = PIPE if leash else DEVNULL
        return Process(Popen(argv, cwd=cwd, env=dict(env), stdin=stdin, stdout=out, stderr=STDOUT, start_new_session=True))


def converse(argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path, fds: Sequence[int] = ()) -> Process:
    """Start a process of adw's own that is told things (`say`) and tells things (`lines`). Its standard input closes when we die."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as err:
        return Process(Popen(argv, cwd=cwd, env=dict(env), stdin=PIPE, stdout=PIPE, stderr=err, pass_fds=fds, start_new_session=True))


def end_children(seconds: float) -> None:
    """Ask our child processes to end, and kill those that have not after so many seconds."""
    children = psutil.Process().children()
    for child in children:
        with suppress(psutil.Error):
            child.terminate()
    for child in psutil.wait_procs(children, timeout=seconds)[1]:
        with suppress(psutil.Error):
            child.kill()


def born(pid: int) -> float:
    """When a process started (epoch seconds), 0.0 if there is none: with its id, what tells it from a later one."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


def alive(pid: int, birth: float) -> bool:
    """Whether the process that started then still runs."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - birth) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
