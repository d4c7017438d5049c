"""Mutual exclusion between processes and threads by the kernel's `flock`: nothing to reap after a crash."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def try_lock(path: Path) -> IO[str] | None:
    """Lock the file and return it open, or None if another holds it. Closing it unlocks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    if _current(file, path):
        return file
    file.close()
    return try_lock(path)


def _current(file: IO[str], path: Path) -> bool:
    """Whether the file is still the one of that name: whoever clears up may have removed it before we had the lock."""
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock for the block, waiting for it as long as another process lives that has it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _current(file, path):
                yield
                return


@contextmanager
def shared(path: Path) -> Iterator[None]:
    """Hold the lock together with others who share it: whoever wants it alone sees that it is in use."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def wait_until_free(path: Path, seconds: float) -> bool:
    """Whether nobody held the lock at some moment of the next seconds."""
    until = time.monotonic() + seconds
    while True:
        if file := try_lock(path):
            file.close()
            return True
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
