"""What a project's own tools say: its type checker, and its tests as far as they can be collected. They run the repository's code."""

import configparser
import json
import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from adw.errors import SkillFailed, ToolMissing
from adw.skills.finding import Finding
from adw.skills.registry import Given

MYPY = r"\.?mypy\.ini|setup\.cfg|pyproject\.toml|.*\.lock|requirements.*\.txt"
PYTEST = r"\.?pytest\.(ini|toml)|setup\.cfg|tox\.ini|pyproject\.toml|.*\.lock|requirements.*\.txt"
TESTS = re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$")
WRONG = re.compile(r"_+ ERROR collecting (.+?) _+\n(.*?)(?=\n_+ ERROR collecting |\n=+ )", re.DOTALL)
COLLECTED, NO_TESTS, BROKEN = 0, 5, 2  # exit statuses of pytest


async def types(given: Given) -> list[Finding]:
    """What mypy says, where the repository has configured it."""
    if not _types_wanted(given.folder):
        msg = "the repository configures no type checker (mypy)"
        raise ToolMissing(msg)
    mypy = given.tools.program("mypy")
    status, said = await given.tools.call(
        [mypy, "--output", "json", "--no-error-summary", f"--cache-dir={os.devnull}", *([] if _names_files(given.folder) else ["."])]
    )
    lines = said.splitlines()
    if status > 1 and not any(line.startswith("{") for line in lines):
        msg = f"mypy ended with status {status}: {said[-1000:].strip()}"
        raise SkillFailed(msg)
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return [
        Finding("validate_types", each["file"], max(each["line"], 0), "error", f"{each['message']} [{each['code']}]")
        for each in told
        if each["severity"] == "error"
    ]


def _types_wanted(folder: Path) -> bool:
    return (folder / "mypy.ini").is_file() or (folder / ".mypy.ini").is_file() or bool(_mypy(folder))


def _names_files(folder: Path) -> bool:
    """Whether the configuration says what is checked."""
    own = next((folder / name for name in ("mypy.ini", ".mypy.ini") if (folder / name).is_file()), None)
    settings = _section(own) if own else _mypy(folder)
    return not settings.keys().isdisjoint({"files", "packages", "modules"})


def _mypy(folder: Path) -> dict[str, object]:
    """The settings of mypy in the files of a project; none if there are none, or they cannot be read."""
    try:
        return dict(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"])
    except (OSError, ValueError, KeyError, TypeError):
        return _section(folder / "setup.cfg")


def _section(file: Path) -> dict[str, object]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
        return dict(parser["mypy"])
    except (OSError, ValueError, KeyError, configparser.Error):
        return {}


async def tests(given: Given) -> list[Finding]:
    """The modules of tests that cannot be collected."""
    if not any(TESTS.search(file) for file in given.files):
        return []
    pytest = _pytest(given.tools.program("pytest"))
    status, said = await given.tools.call(
        [*pytest, "--collect-only", "-q", "-p", "no:cacheprovider", "--color=no", "--tb=short", "--maxfail=0", "--continue-on-collection-errors"]
    )
    if status in {COLLECTED, NO_TESTS}:
        return []
    found = list(_uncollected(said))
    if not found:
        msg = f"pytest ended with status {status}: {said[-1000:].strip()}"
        raise SkillFailed(msg)
    return found


def _pytest(program: str) -> list[str]:
    """How it is called: by the Python beside it, so that the folder is on `sys.path`, as it is in most projects' own test command."""
    python = Path(program).with_name("python")
    return [str(python), "-m", "pytest"] if python.exists() else [program]


def _uncollected(said: str) -> Iterator[Finding]:
    """The modules that pytest says it could not collect, each with the last error it gives for it."""
    for file, about in WRONG.findall(said):
        errors = [line[1:].strip() for line in about.splitlines() if line.startswith("E  ")]
        line = re.search(rf"{re.escape(file)}:(\d+)", about)
        yield Finding("validate_tests", file, int(line[1]) if line else 0, "error", f"it cannot be collected: {errors[-1] if errors else about.strip()[-300:]}")
