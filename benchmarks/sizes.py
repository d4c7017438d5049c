"""What adw itself takes for an issue, with more and more issues in a run, files in a repository, and commits in its history."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from adw.errors import AdwError
from benchmarks.journals import wall
from benchmarks.machine import Book, Seen, watched
from benchmarks.runs import CONFIG, more_issues
from benchmarks.small import adw, git, init
from benchmarks.trial import ended, newest, read, served

BEGAN = 1_700_000_000  # the first commit, in epoch seconds


def measure(folder: Path, book: Book, issues: Sequence[int], files: Sequence[int], commits: Sequence[int]) -> None:
    """What adw itself takes for an issue, by what there is more of."""
    if issues:
        more_issues(folder, book, issues)
    repositories = [("files", size, size, 10) for size in files] + [("commits", size, 100, size) for size in commits]
    for what, size, *of in repositories:
        first, again, seen = larger(folder / f"{size}-{what}", *of)
        book.note(seen, what=f"an issue in a repository of {size:,} {what}", unit="s", value=again)
        book.note(seen, what=f"the first issue in a repository of {size:,} {what}, mirror and slots made", unit="s", value=first)
        print(f"{size:,} {what}: an issue takes {again:.2f} s, the very first {first:.2f} s", flush=True)


def larger(folder: Path, files: int, commits: int) -> tuple[float, float, Seen]:
    """Seconds for the first and for a later issue in a repository with so many files and so long a history."""
    folder.mkdir()
    home, hub = folder / "home", imported(folder / "hub", files, commits)
    took = list[float]()
    with served(home), watched() as seen:
        for name in ("first", "again"):
            issue = folder / f"{name}.md"
            issue.write_text(f"# Add {name}\n\nplease\n")
            if status := ended(adw(home, hub, "run", str(issue))):
                msg = f"adw run ended with status {status}: {newest(home)}"
                raise AdwError(msg)
            took.append(wall(read(newest(home))))
    return took[0], took[1], seen


def imported(folder: Path, files: int, commits: int) -> Path:
    """A repository with so many files in its first commit, and so many commits, by `git fast-import`."""
    folder.mkdir()
    init(folder)
    with subprocess.Popen(["git", "-C", str(folder), "fast-import", "--quiet"], stdin=subprocess.PIPE, text=True) as git_import:
        stream = cast("IO[str]", git_import.stdin)
        for number in range(commits):
            stream.write(f"commit refs/heads/main\ncommitter bench <bench@example.invalid> {BEGAN + number} +0000\ndata 6\nchange\n")
            for path, text in _written(files, number):
                stream.write(f"M 100644 inline {path}\ndata {len(text)}\n{text}\n")
    git(folder, "reset", "-q", "--hard", "main")
    return folder


def _written(files: int, number: int) -> Iterator[tuple[str, str]]:
    """What a commit writes: the first one all files, the others one of them."""
    if number == 0:
        yield from (("adw.toml", CONFIG), ("code.txt", "code"))
    for file in range(files) if number == 0 else [number % files]:
        yield f"d{file % 100}/f{file}.txt", f"file {file}, commit {number}\n" * 20
