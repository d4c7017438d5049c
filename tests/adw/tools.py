"""What several test files need to watch processes and other threads without guessing times."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from adw.agents import find_agent
from adw.agents.base import Job, Reader
from adw.config import AgentConfig
from adw.errors import AdwError

Found = TypeVar("Found")
LIMIT = 60  # seconds for anything


def until(what: Callable[[], Found]) -> Found:
    """Wait for something to become true; fails if it does not."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.01)
    pytest.fail(f"did not become true in {LIMIT} s")


def number_in(file: Path) -> int:
    """The number that another process writes into a file with a line break behind it, once it is there."""
    return int(until(lambda: file.exists() and (text := file.read_text()).endswith("\n") and text))


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def python(code: str, *args: object, prefix: Sequence[str] = ()) -> "Iterator[subprocess.Popen[str]]":
    """Run some Python that can import adw; it does not outlive the block."""
    command = [*prefix, sys.executable, "-c", code, *map(str, args)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def family(root: type[AdwError] = AdwError) -> list[type[AdwError]]:
    """An error and all that stem from it."""
    return [root, *(kind for child in root.__subclasses__() for kind in family(child))]


def job(folder: Path, **given: Any) -> Job:
    """A build in a folder, with all that it needs there."""
    tree, own, prompt = folder / "tree", folder / "own", folder / "prompt.md"
    for path in (tree, own):
        path.mkdir(exist_ok=True)
    prompt.write_text("Please add b.py.")
    return Job(phase="build", prompt=prompt, tree=tree, folder=own, **given)


def read(name: str, lines: Iterable[str], given: Job, model: str = "m") -> Reader:
    """What an agent's reader makes of lines that its CLI printed."""
    reader = find_agent(AgentConfig(name=name, model=model), given.tree).reader(given)
    for line in lines:
        reader.take(line)
    return reader
