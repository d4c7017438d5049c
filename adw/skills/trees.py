"""What skills look at: the files of a tree, each by its content, and the folder in which they lie."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from adw.errors import Misuse
from adw.git import Git, locate
from adw.model import digest

LARGEST = 512_000  # bytes of a file that is looked at: what is larger was written by no person
PASSED_OVER = re.compile(r"(^|/)(node_modules|\.venv|venv|__pycache__|\.git)/|\.min\.(js|mjs|cjs)$")


@dataclass
class Tree:
    """The plain files of a tree, and a name that no tree with other content has.

    What costs is done when it is asked for: `listed` tells each file's path and blob, and `ready` sees to it that they lie in a folder.
    """

    name: str
    listed: Callable[[], dict[str, str]]
    ready: Callable[[], Path]
    _named: dict[str, list[tuple[str, str]]] = field(default_factory=dict, init=False)  # files whose names match a pattern, and their blobs

    @cached_property
    def files(self) -> dict[str, str]:
        """The blob of each file, by its path."""
        return self.listed()

    @cached_property
    def laid_out(self) -> Path:
        """The folder that they lie in."""
        return self.ready()

    def named(self, pattern: str) -> list[tuple[str, str]]:
        """The files whose names match a pattern, in whatever folder, each with its blob."""
        if pattern not in self._named:
            fits = re.compile(rf"(?:.*/)?(?:{pattern})").fullmatch
            self._named[pattern] = [(path, blob) for path, blob in self.files.items() if fits(path)]
        return self._named[pattern]


def of_git(git: Git, tree: str, ready: Callable[[], Path]) -> Tree:
    """A tree of git's, by its SHA. Links lead anywhere, and are no files of it."""
    return Tree(tree, lambda: dict(_wanted(_listed(git, tree))), ready)


def _listed(git: Git, tree: str) -> Iterator[tuple[str, str, int]]:
    for line in git.run("ls-tree", "-r", "-l", "-z", "--full-tree", tree).split("\0"):
        about, _, path = line.partition("\t")
        if about.startswith("100"):
            _, _, blob, size = about.split()
            yield path, blob, int(size)


def of_folder(folder: Path) -> Tree:
    """A folder as it is, with the files that git knows or would take up, where it is in a checkout."""
    files = dict(_wanted(_read(folder, _names(folder))))
    return Tree(digest(*files.items()), lambda: files, lambda: folder)


def _read(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    for name in names:
        path = os.path.join(folder, name)  # noqa: PTH118 - of as many as there are
        with suppress(FileNotFoundError):  # git may list what was removed
            about = os.lstat(path)
            if not stat.S_ISREG(about.st_mode) or about.st_size > LARGEST:
                continue
            content = Path(path).read_bytes()
            yield name, hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(), len(content)  # noqa: S324 - as git does


def _names(folder: Path) -> list[str]:
    try:
        checkout = locate(folder).checkout
    except Misuse:
        checkout = None
    if checkout and (listed := _of_checkout(checkout, folder)):
        return listed
    found = []
    for above, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not PASSED_OVER.search(f"{name}/")]
        found += [os.path.relpath(os.path.join(above, name), folder) for name in files]  # noqa: PTH118 - of as many as there are
    return found


def _of_checkout(checkout: Path, folder: Path) -> list[str]:
    """What git lists below a folder of a checkout; nothing for one that it ignores, such as an installed package."""
    git = Git(checkout / ".git", work_tree=checkout)
    inside = os.path.relpath(os.path.realpath(folder), os.path.realpath(checkout))
    listed = git.run("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", inside).split("\0")
    return [os.path.relpath(name, inside) for name in listed if name]


def _wanted(listed: Iterable[tuple[str, str, int]]) -> Iterator[tuple[str, str]]:
    return ((path, blob) for path, blob, size in sorted(listed) if size <= LARGEST and not PASSED_OVER.search(path))
