"""A small project with five issues and a script for the agent: what `adw demo` delivers.

The issues are chosen to show: two that have nothing to do with each other (search, export), one that depends on another
(import), two that change the same line, so that the second is built again on the new tip (author, currency), and one that fails
its tests at first and passes with the feedback (search).
"""

import shlex
import shutil
import sys
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

from adw.errors import Misuse
from adw.git import make_repository

CONFIG = """branch = "main"
docs = ["docs", "README*"]

[test]
command = {test}

[agent]
name = "scripted"
script = "../script.json"
"""


def write(folder: Path) -> Path:
    """Write the project (a git repository), its issues and the script into a folder that is new; returns the repository."""
    if folder.exists() and any(folder.iterdir()):
        msg = f"{folder} is there already: run the same demo once more with --again, or name another folder"
        raise Misuse(msg)
    repository = folder.absolute() / "shelf"
    with as_file(files(__name__)) as data:
        shutil.copytree(data / "project", repository, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(data / "issues", folder / "issues")
        shutil.copyfile(data / "script.json", folder / "script.json")
    command = f"{shlex.quote(sys.executable)} -m pytest -q -p no:cacheprovider"
    (repository / "adw.toml").write_text(CONFIG.format(test=f"'''{command}'''"), encoding="utf-8")
    # A project of its own each time, or the cache would know all of it from the last demo.
    stamp = f'"""Keeps a list of books. Made by `adw demo` at {datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}."""\n'
    (repository / "shelf" / "__init__.py").write_text(stamp, encoding="utf-8")
    make_repository(repository, "A shelf of books")
    return repository
