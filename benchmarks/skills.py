"""What running skills at once gives, and what knowing their results gives: `make bench-skills`.

First the analysis' own workload (5.4), skills that wait, a minute of it in six seconds: four analyses of half a minute, a generation of
three minutes, four validations of twenty seconds, an integration of half a minute. Then all of adw's skills on real code: installed
packages, and the repositories of the replay data sets, if `--replay` or ADW_REPLAY says where they are.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import count
from pathlib import Path

from adw.git import Git
from adw.home import Place
from adw.skills import Finding, Given, registry, skill, trees
from adw.skills.bench import KeptBench
from adw.skills.finding import Table
from adw.skills.ruff import IN_TESTS
from adw.skills.running import Inputs, run_skills
from benchmarks import small
from benchmarks.machine import Book, watched
from benchmarks.small import Figure

MINUTE = 6.0  # seconds that stand for one of the analysis
ANALYSES = tuple(f"wait_analysis_{number}" for number in range(4))
VALIDATIONS = tuple(f"wait_validation_{number}" for number in range(4))
WORKLOAD = {  # minutes, and what comes before
    **dict.fromkeys(ANALYSES, (0.5, ())),
    "wait_generation": (3.0, ANALYSES),
    **dict.fromkeys(VALIDATIONS, (1 / 3, ("wait_generation",))),
    "wait_integration": (0.5, VALIDATIONS),
}
LONGEST = (0.5 + 3.0 + 1 / 3 + 0.5) * MINUTE
PACKAGES = ("sqlalchemy", "prefect")
DATA_SETS = ("boltons", "cachetools")
WITH_PIP = str(Path(sys.base_prefix, "bin", "python3"))
ROUNDS = 3


def waiting(name: str, minutes: float, after: tuple[str, ...]) -> None:
    """A skill that waits for a command, as for a model."""

    @skill(name, version="1", about="waits", scope="tree", after=after)
    async def waits(given: Given) -> list[Finding]:
        await given.tools.call(["sleep", f"{minutes * MINUTE:.2f}"])
        return []


def run(folder: Path, home: Path, names: list[str], limit: int = 16) -> tuple[float, Table]:
    """How long some skills take on what is committed in a checkout, as phases have it, with what is known in a home."""
    git = Git(folder / ".git", work_tree=folder)
    tree = git.run("rev-parse", "HEAD^{tree}")
    began = time.perf_counter()
    inputs = Inputs(tree=trees.of_git(git, tree, lambda: folder), bench=KeptBench.by_hand(folder), place=Place(home))
    table = run_skills(names, inputs, limit=limit, seconds=600)
    return time.perf_counter() - began, table


def workload(folder: Path, book: Book) -> None:
    """The analysis' workload, at once and one after another."""
    (folder / "code").mkdir()
    (folder / "code" / "a.py").write_text("a = 1\n")
    committed(folder / "code")
    for name, (minutes, after) in WORKLOAD.items():
        waiting(name, minutes, after)
    whole = sum(minutes for minutes, _ in WORKLOAD.values()) * MINUTE
    for what, limit, path in (("at once", 16, LONGEST), ("one after another", 1, whole)):
        with watched() as seen:
            took, table = run(folder / "code", folder / f"home-{limit}", list(WORKLOAD), limit)
        if table.troubles:
            sys.exit("\n".join(map(str, table.troubles)))
        length = f"{took / MINUTE:.2f} min of the analysis"
        book.add(Figure(f"5.4, {what} ({length}): more than its longest path", 100 * (took / path - 1), "%", 3 if limit > 1 else 10), seen, seconds=took)
        print(f"    {seen}")


def committed(folder: Path) -> Path:
    """The folder, as the checkout of a repository of its own with one commit."""
    small.init(folder)
    small.git(folder, "add", "-A")
    small.git(folder, "commit", "-q", "-m", "All")
    return folder


def after_a_change(folder: Path, home: Path, names: list[str]) -> float:
    """How long they take when one file has changed since; the change is taken back."""
    first = min(path for path in folder.rglob("*.py") if path.stat().st_size)
    first.write_text(f"{first.read_text()}\n# a line more\n")
    small.git(folder, "commit", "-q", "-a", "-m", "Change")
    took, _ = run(folder, home, names)
    small.git(folder, "reset", "-q", "--hard", "HEAD~1")
    return took


def real(name: str, folder: Path, homes: Iterator[Path], book: Book) -> None:
    """All skills on real code: cold at once and one after another in turn, then warm."""
    skills = [one for one in registry.known() if not one.startswith("wait_")]
    cold, alone, warm, changed = list[float](), list[float](), list[float](), list[float]()
    with watched() as seen:
        for _ in range(ROUNDS):
            home = next(homes)
            took, table = run(folder, home, skills)
            cold.append(took)
            took, again = run(folder, home, skills)
            warm.append(took)
            changed.append(after_a_change(folder, home, skills))
            took, one_by_one = run(folder, next(homes), skills, limit=1)
            alone.append(took)
            if not table.findings == again.findings == one_by_one.findings:
                sys.exit(f"{name}: not the same was found")
    files = sum(path.endswith(".py") for path in trees.of_folder(folder).files)
    middle = statistics.median(cold)
    about = {"repository": name, "files": files, "cold": cold, "warm": warm, "changed": changed, "alone": alone, "findings": len(table.findings)}
    print(f"{name}: {files} files, {len(table.findings)} findings; {'; '.join(map(str, table.troubles))}")
    slowest = ", ".join(f"{ran.name} {ran.seconds:.1f} s" for ran in sorted(table.ran, key=lambda ran: -ran.seconds)[:3])
    print(
        f"    cold {middle:.2f} s ({slowest}), warm {statistics.median(warm):.3f} s, one file changed {statistics.median(changed):.3f} s, one after another {statistics.median(alone):.2f} s; {seen}"
    )
    book.add(Figure(f"{name}: cold as a multiple of warm", middle / statistics.median(warm), "x", 20, at_least=True), seen, **about)
    book.add(Figure(f"{name}: one after another as a multiple of at once", statistics.median(alone) / middle, "x", 0.9, at_least=True), seen, **about)
    differ = by_ruff(folder) ^ {(f.file, f.line, f.message) for f in run(folder, next(homes), ["analyze_security"])[1].findings}
    book.add(Figure(f"{name}: findings of security that ruff by hand has not, or has alone", len(differ), "", 0), seen, **about)


def by_ruff(folder: Path) -> set[tuple[str, int, str]]:
    """What ruff finds that is called by hand."""
    argv = [
        str(Path(sys.executable).with_name("ruff")),
        "check",
        "--no-cache",
        "--select",
        "S",
        "--extend-per-file-ignores",
        IN_TESTS,
        "--output-format",
        "json",
        ".",
    ]
    told = json.loads(subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False).stdout)
    found = ((one["code"], one) for one in told)
    return {
        (os.path.relpath(one["filename"], folder), one["location"]["row"], f"{code} {one['message']}")
        for code, one in found
        if code and code != "invalid-syntax"
    }


def repositories(folder: Path, replay: str) -> Iterator[tuple[str, Path]]:
    """The code to look at, each in a folder of its own."""
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            sys.exit(f"{name} is not installed")
        code = shutil.copytree(spec.submodule_search_locations[0], folder / name / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        yield name, committed(Path(code).parent)
    for name in DATA_SETS if replay else ():
        subprocess.run([WITH_PIP, str(Path(replay, "prepare.py")), name, str(folder / name)], check=True, stdout=subprocess.DEVNULL)
        yield name, folder / name / "hub"


def main() -> int:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skills", description="What running skills at once, and knowing their results, gives.")
    parser.add_argument("--replay", default=os.environ.get("ADW_REPLAY", ""), help="the folder of the replay data sets (ADW_REPLAY)")
    parser.add_argument("--out", type=Path, default=Path("bench-skills.jsonl"), help="the file that the results are added to, as JSON lines")
    given = parser.parse_args()
    book = Book("skills", given.out.absolute())
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # the projects' own mypy and pytest
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        workload(folder, book)
        homes = (folder / f"cold-{number}" for number in count())
        for repository, code in repositories(folder, given.replay):
            real(repository, code, homes, book)
    return 0 if book.met else 1


if __name__ == "__main__":
    sys.exit(main())
