"""Runs one command and lets nothing of it live on: what `adw.proc` puts between adw and an agent.

    keeper.py LIFE GRACE ARGV...

LIFE is the descriptor of a pipe whose other end only adw's process has: when it closes, because the time is up, the run is
stopped, or adw itself was killed with SIGKILL, everything that the command started is told to end, and after GRACE seconds is
killed. The same is done with whatever the command leaves behind when it ends by itself. Tools of agents make sessions of their
own, so a process group does not hold them; on Linux the keeper is their subreaper instead: orphans become its children.

Where the command is bubblewrap, what is in its sandbox ends with it, and so with the keeper. It is told to end last, that the
others may end in good order; and it is lent no descriptor: who has that of the slot's lock can unlock it.

A program by itself, with the standard library alone, so that it starts in milliseconds and stays small.
Ends with the command's exit status, or 128 + N if signal N killed it.
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
OPEN_MAX = 65536
PATIENCE = 10.0  # seconds of SIGKILL before what does not die is given up


def descendants() -> list[int]:
    """All processes below this one, on Linux; elsewhere the command's process group stands for them (see `kill`)."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc") if sys.platform == "linux" else []:
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill(leader: int, number: int, spared: int = 0) -> None:
    """Send a signal to the command's group and to every descendant; with `spared`, to every descendant but that one."""
    if not spared:
        with contextlib.suppress(OSError):
            os.killpg(leader, number)
    for pid in descendants():
        if pid != spared:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def reap(leader: int, status: int | None) -> tuple[int | None, bool]:
    """Collect what has ended: the command's exit status once it is known, and whether children are left."""
    while True:
        try:
            pid, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status, False
        if pid == 0:
            return status, True
        if pid == leader:
            status = os.waitstatus_to_exitcode(code)


def end_all(leader: int, status: int | None, grace: float, spared: int) -> int | None:
    """Tell all but `spared` to end, kill those that stay, and return the command's status."""
    status, left = reap(leader, status)
    if left:
        kill(leader, signal.SIGTERM, spared)
    until = time.monotonic() + grace
    while left and time.monotonic() < until:
        time.sleep(0.002)
        status, left = reap(leader, status)
    if not left:
        with contextlib.suppress(OSError):
            os.killpg(leader, signal.SIGKILL)  # where we are no subreaper, members of its group may have stayed
        return status
    until += PATIENCE
    while time.monotonic() < until:
        kill(leader, signal.SIGKILL)
        status, left = reap(leader, status)
        if not left:
            return status
        time.sleep(0.02)
    sys.stderr.write(f"adw: these processes cannot be killed: {descendants()}\n")  # another user's, perhaps
    return status


def main() -> int:
    """Start the command, wait for its end or for adw's, and clear up."""
    life, grace, argv = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only the pipe decides
    boxed = os.path.basename(argv[0]) == "bwrap"
    leader = os.fork()
    if leader == 0:
        os.setsid()
        os.closerange(3, OPEN_MAX) if boxed else os.close(life)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        try:
            os.execvp(argv[0], argv)
        except OSError as no:
            sys.stderr.write(f"{argv[0]}: {no.strerror}\n")
            os._exit(127 if isinstance(no, FileNotFoundError) else 126)
    status: int | None = None
    while status is None:
        ready, _, _ = select.select([life, bell], [], [])
        if bell in ready:
            os.read(bell, 512)
            status, _ = reap(leader, status)
        if life in ready:
            break
    status = end_all(leader, status, grace, leader if boxed else 0)
    return 128 - status if status is not None and status < 0 else status or 0


if __name__ == "__main__":
    sys.exit(main())
