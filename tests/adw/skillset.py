"""Skills that only tests run: each notes in the folder's `ran` that it was run, so that any process can be watched."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from adw.skills import Finding, Given, skill

NOTES = "ran.log"


def note(given: Given, name: str) -> None:
    with Path(given.folder, NOTES).open("a", encoding="utf-8") as file:
        file.write(f"{name} {' '.join(given.files)}\n")


def register() -> None:
    """Put them in the registry that there is now."""

    @skill("waits", version="1", about="", suffixes=(".py",), scope="tree")
    async def waits(given: Given) -> list[Finding]:
        note(given, "waits")
        await anyio.sleep(0.3)
        return [Finding("waits", "a.py", 1, "note", "waited")]

    @skill("follows", version="1", about="", suffixes=(".py",), scope="tree", after=("waits",))
    async def follows(given: Given) -> list[Finding]:
        note(given, "follows")
        return [Finding("follows", "a.py", 1, "note", "followed")]

    @skill("fails", version="1", about="", suffixes=(".py",))
    async def fails(given: Given) -> list[Finding]:
        msg = f"nothing to divide by in {len(given.files)}"
        raise ZeroDivisionError(msg)

    @skill("hangs", version="1", about="", suffixes=(".py",))
    async def hangs(given: Given) -> list[Finding]:
        await given.tools.call(["sh", "-c", f"echo $$ > '{given.folder}/pid.txt'; sleep 600"])
        return []

    @skill("echoes", version="1", about="", suffixes=(".py",), scope="tree")
    async def echoes(given: Given) -> list[Finding]:  # noqa: ARG001
        return [Finding("echoes", "a.py", 1, "note", "waited"), Finding("echoes", "a.py", 2, "note", "waited")]

    skill("counts", version="1", about="", suffixes=(".py",))(counts)
    skill("crashes", version="1", about="", suffixes=(".py",))(crashes)


def counts(given: Given) -> Iterator[Finding]:
    """Reads files as what holds the GIL does: in a process of its own."""
    note(given, "counts")
    for file in given.files:
        lines = len((given.folder / file).read_text().splitlines())
        yield Finding("counts", file, 1, "note", f"{lines} lines, {os.getpid()}")
    while Path(given.folder, "wait").exists():
        time.sleep(0.01)


def crashes(given: Given) -> list[Finding]:  # noqa: ARG001
    os.abort()
