"""What skills look at: the files of a tree, each by its content, and the folder in which they lie."""

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from adw.errors import Misuse
from adw.git import Git, locate

LARGEST = 512_000  # bytes of a file that is looked at: what is larger was written by no person
PASSED_OVER = re.compile(r"(^|/)(node_modules|\.venv|venv|__pycache__|\.git)/|\.min\.(js|mjs|cjs)$")


@dataclass(slots=True)
class Tree:
    """The plain files of a tree, by path, each with its blob; `ready` sees to it that they lie in a folder, and is asked only where one is looked at."""

    files: dict[str, str]
    ready: Callable[[], Path]
    folder: Path | None = field(default=None, init=False)
    _named: dict[str, list[tuple[str, str]]] = field(default_factory=dict, init=False)  # files whose names match a pattern, and their blobs

    def laid_out(self) -> Path:
        """The folder that they lie in."""
        self.folder = self.folder or self.ready()
        return self.folder

    def named(self, pattern: str) -> list[tuple[str, str]]:
        """The files whose names match a pattern, in whatever folder, each with its blob."""
        if pattern not in self._named:
            fits = re.compile(rf"(?:.*/)?(?:{pattern})").fullmatch
            self._named[pattern] = [(path, blob) for path, blob in self.files.items() if fits(path)]
        return self._named[pattern]


def of_git(git: Git, tree: str, ready: Callable[[], Path]) -> Tree:
    """A tree of git's. Links lead anywhere, and are no files of it."""
    return Tree(dict(_wanted(_listed(git, tree))), ready)


def _listed(git: Git, tree: str) -> Iterator[tuple[str, str, int]]:
    for line in git.run("ls-tree", "-r", "-l", "-z", "--full-tree", tree).split("\0"):
        about, _, path = line.partition("\t")
        if about.startswith("100"):
            _, _, blob, size = about.split()
            yield path, blob, int(size)


def of_folder(folder: Path) -> Tree:
    """A folder as it is, with the files that git knows or would take up, where it is in a checkout."""
    return Tree(dict(_wanted(_read(folder, _names(folder)))), lambda: folder)


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
