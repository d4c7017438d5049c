"""What ruff says of Python files, by the repository's own configuration of it: one run, and one family of rules, for each skill."""

import json
import sys
from collections.abc import Collection, Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from adw.errors import SkillFailed
from adw.skills.finding import Finding, Severity
from adw.skills.registry import Given

CONFIG = r"\.?ruff\.toml|pyproject\.toml"
PYTHON = (".py", ".pyi")
SYNTAX = "invalid-syntax"
AT_ONCE = 1000  # files in one command line
CIRCLES = 50
TESTS = ("test_*.py", "*_test.py", "conftest.py")
IN_TESTS = ",".join(f"{name}:{rules}" for name in TESTS for rules in ("S101", "D1"))  # tests assert, and their names say it all
FOUND, MISUSED = 1, 2  # exit statuses of ruff: something was found; its configuration is wrong


async def check(given: Given, source: str, severity: Severity, select: Sequence[str]) -> list[Finding]:
    """What some rules find; none selected: those that the repository has chosen, or ruff's own default. Syntax only where nothing else is asked for."""
    found = []
    files = given.of(*PYTHON).files
    for start in range(0, len(files), AT_ONCE):
        for told in await _told(given, select, files[start : start + AT_ONCE]):
            code = told["code"] or SYNTAX
            if (code == SYNTAX) == (source == "validate_syntax"):
                message = told["message"] if code == SYNTAX else f"{code} {told['message']}"
                found.append(Finding(source, told["filename"].removeprefix(f"{given.folder}/"), told["location"]["row"], severity, message))
    return found


async def _told(given: Given, select: Sequence[str], files: Sequence[str]) -> list[Any]:
    rules = ["--select", ",".join(select)] if select else []
    argv = [
        program(),
        "check",
        "--quiet",
        "--no-cache",
        "--force-exclude",
        "--no-fix",
        "--output-format",
        "json-lines",
        "--extend-per-file-ignores",
        IN_TESTS,
        *rules,
    ]
    said = await _said(given, argv, ["--", *(str(given.folder / file) for file in files)], {0, FOUND})
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


async def _said(given: Given, argv: Sequence[str], where: Sequence[str], good: Collection[int]) -> str:
    """What a command of ruff prints. SkillFailed if its exit status is not a good one."""
    status, said = await given.tools.call([*argv, *where])
    if status == MISUSED:  # the configuration may be for another version: better without it than nothing
        status, said = await given.tools.call([*argv, "--isolated", *where])
    if status not in good:
        msg = f"ruff {argv[1]} ended with status {status}: {said[-1000:].strip()}"
        raise SkillFailed(msg)
    return said


async def circles(given: Given, source: str) -> list[Finding]:
    """The modules that import each other in a circle, imports for types aside."""
    said = await _said(given, [program(), "analyze", "graph", "--quiet", "--no-type-checking-imports"], ["."], {0})
    graph = json.loads(said[said.index("{") : said.rindex("}") + 1])
    return [Finding(source, ring[0], 0, "warning", f"imports itself in a circle: {' → '.join(ring)}") for ring in _rings(graph)]


def _rings(graph: dict[str, list[str]]) -> Iterator[list[str]]:
    """Circles of a graph, each from its first name on; one import of each is passed over to find the next."""
    left = {name: set(needed) for name, needed in sorted(graph.items())}
    for _ in range(CIRCLES):
        try:
            TopologicalSorter({name: sorted(needed) for name, needed in left.items()}).prepare()
        except CycleError as no:
            ring = list(reversed(no.args[1]))[:-1]  # each imports the next
            first = ring.index(min(ring))
            ring = [*ring[first:], *ring[:first]]
            yield [*ring, ring[0]]
            left[ring[-1]].discard(ring[0])
        else:
            return


def program() -> str:
    """Adw's own ruff: the version that it is tried with."""
    return str(Path(sys.executable).with_name("ruff"))
