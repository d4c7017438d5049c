"""Where installed programs have their files: what of a hidden home must be shown for them to run."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path


def behind(argv: Sequence[str], path: str, hidden: Collection[Path]) -> set[Path]:
    """The places below hidden folders that a command needs: the programs of PATH, its own, the files that a line for sh names, and adw's Python.

    Links are followed: ~/.local/bin/claude leads to a file in ~/.local/share, a Python of a virtual environment to the installation
    that it was made from. A whole folder is shown only where it is an installation, with a `lib` beside its `bin`.
    """
    found: set[Path] = set()
    programs = [f"{folder}/any" for folder in path.split(os.pathsep) if folder.startswith("/")]
    named = [*programs, sys.executable, shutil.which(argv[0], path=path) or argv[0], *_named(argv)]
    todo = [Path(form) for name in named for form in (name, os.path.realpath(name))]
    while todo:
        file = todo.pop()
        if file.parent.is_dir() and any(file.parent.is_relative_to(place) for place in hidden):
            new = set(_around(file, hidden)) - found
            found |= new
            todo += [target for place in new for target in _led_to(place)]
    return {place for place in found if found.isdisjoint(place.parents)}


def _named(argv: Sequence[str]) -> Iterator[str]:
    """The files that a line for sh names by their whole path. The user configured it; other arguments may be what an issue says."""
    line = argv[2] if tuple(argv[:2]) == ("sh", "-c") else ""
    words = set(re.findall(r"[^\s'\"=;&|<>()]+", line))
    with suppress(ValueError):  # a quote is left open
        words.update(shlex.split(line))
    yield from (name for name in words if name.startswith("/") and os.path.isfile(name))  # noqa: PTH113 - any text


def _around(file: Path, hidden: Collection[Path]) -> Iterator[Path]:
    """What of its surroundings a program needs."""
    folder, above = file.parent, file.parent.parent
    if "node_modules" in file.parts:
        yield Path(*file.parts[: file.parts.index("node_modules") + 1])
    elif folder.name not in {"bin", "shims"} and file.name != "any":
        yield file
    elif above.name != ".local" and above not in hidden and ((above / "lib").is_dir() or (above / "libexec").is_dir()):
        yield above
    else:  # in ~/.local, for one, there is more than programs
        yield from (place for place in (folder, above / "lib") if place.is_dir())


def _led_to(place: Path) -> Iterator[Path]:
    """Where the links among some programs lead to."""
    folder = next((path for path in (place / "shims", place / "bin", place) if path.is_dir()), None)
    with os.scandir(folder) if folder and folder.name in {"bin", "shims"} else nullcontext() as entries:
        for entry in entries or ():
            if entry.is_symlink() and os.path.isfile(entry.path):  # noqa: PTH113 - of as many as there are
                yield Path(os.path.realpath(entry.path))
