"""What adw itself costs, beside its agents and tests: `make bench-small`.

Everything is measured in one run on this machine, with agents that only sleep. Times vary with the machine; the ratio of the
lease to `git worktree add` is taken side by side. Exit status 1 if a limit is not met.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from adw.config import PoolConfig
from adw.mirror import find_hub, sync
from adw.model import Order
from adw.pool import Pool

SECONDS = 1.0  # what each agent and test takes
FILES, LINES, CHANGED, ROUNDS = 10_000, 120, 20, 7  # 6 KB a file, like source code
MB = 1024**2
SERVERS = ("PREFECT_API_", "PREFECT_HOME", "PREFECT_PROFILES", "PREFECT__")  # what tells a process of one


@dataclass(frozen=True)
class Figure:
    """A measurement and its limit."""

    what: str
    value: float
    unit: str
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = f"{'at least' if self.at_least else 'at most'} {self.limit:g} {self.unit}"
        return f"{'ok ' if self.met else 'NO '} {self.what:<62} {self.value:8.2f} {self.unit:<3} ({bound})"


def git(folder: Path, *args: str) -> str:
    """Plain git, as a user calls it."""
    return subprocess.run(["git", "-C", str(folder), *args], check=True, capture_output=True, text=True).stdout.strip()


def init(folder: Path) -> None:
    """Make a folder a repository of somebody's."""
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "bench")
    git(folder, "config", "user.email", "bench@example.invalid")


def repository(folder: Path, files: int) -> Path:
    """A repository with so many small files, and a second commit that changes a few."""
    folder.mkdir()
    init(folder)
    for number in range(files):
        path = folder / f"d{number % 100}" / f"f{number}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(f"line {line} of file {number}, as long as lines of code are\n" for line in range(LINES)))
    (folder / "code.txt").write_text("code\n")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
    return folder


def adw(home: Path, hub: Path, *args: str) -> "subprocess.Popen[bytes]":
    """Start the command. It is told of no Prefect server that we may use ourselves, as in a flow."""
    env = {**{name: value for name, value in os.environ.items() if not name.startswith(SERVERS)}, "ADW_HOME": str(home)}
    return subprocess.Popen([sys.executable, "-m", "adw", *args], cwd=hub, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def deliver(home: Path, hub: Path, name: str, look: Callable[[], None] = lambda: None) -> tuple[float, list[dict[str, Any]]]:
    """Deliver one issue with sleeping agents; the time it was started, and what happened."""
    issue = hub.parent / f"{name}.md"
    issue.write_text(f"# Add {name}\n\nplease\n")
    agent = f'sleep {SECONDS}; [ "$ADW_PHASE" != build ] || echo x > "$ADW_ISSUE.txt"'
    began = time.time()
    process = adw(home, hub, "run", str(issue), "--agent-command", agent, "--test-command", f"sleep {SECONDS}; test -f code.txt")
    while process.poll() is None:
        look()
        time.sleep(0.05)
    if process.returncode:
        sys.exit(f"adw run failed with status {process.returncode}")
    newest = max(home.glob("repositories/*/runs/*/events.jsonl"), key=lambda path: path.stat().st_mtime)
    return began, [json.loads(line) for line in newest.read_text().splitlines()]


def first_agent(events: list[dict[str, Any]]) -> float:
    """When the first agent was started."""
    return next(float(e["timestamp"]) for e in events if e["event"] == "phase" and e["phase"] == "plan" and e["state"] == "running")


def own_memory(home: Path) -> float:
    """MB of all that adw runs (each page once: PSS where the system tells it), agents and tests aside."""
    total = 0.0
    for process in psutil.process_iter():
        try:
            command, env = process.cmdline(), process.environ()
            ours = env.get("ADW_HOME") == str(home) and "-m" in command[:4]
            keeps = any(part.endswith("keeper.py") for part in command[:4]) and str(home) in env.get("HOME", "") + env.get("ADW_HOME", "")
            if ours or keeps:
                full = process.memory_full_info()
                total += getattr(full, "pss", full.rss)
        except (psutil.Error, OSError):
            continue
    return total / MB


def overheads(folder: Path) -> Iterator[Figure]:
    """A run from nothing, and one with the server warm."""
    home, hub = folder / "home", repository(folder / "hub", 10)
    began, events = deliver(home, hub, "cold")
    yield Figure("adw run to its first agent, the very first time", first_agent(events) - began, "s", 20)
    most = [0.0]
    began, events = deliver(home, hub, "warm", lambda: most.append(max(most.pop(), own_memory(home))))
    yield Figure("adw run to its first agent, the server warm", first_agent(events) - began, "s", 5)
    landed = next(float(e["timestamp"]) for e in events if e["event"] == "outcome")
    yield Figure("one issue of five phases, less agents and tests on its path", landed - first_agent(events) - 3 * SECONDS, "s", 3)
    yield Figure("memory of all but agents and tests, the server included", most[0], "MB", 600)
    subprocess.run([sys.executable, "-m", "adw", "clean", "--server"], cwd=hub, env={**os.environ, "ADW_HOME": str(home)}, check=True, capture_output=True)


@contextmanager
def timed(into: list[float]) -> Iterator[None]:
    """Note how long the block takes."""
    began = time.perf_counter()
    yield
    into.append(time.perf_counter() - began)


def lease_against_worktree(folder: Path) -> Iterator[Figure]:
    """The switch of a warm slot between neighbouring commits, and a fresh worktree, in turn."""
    os.environ["ADW_HOME"] = str(folder / "home")
    path = repository(folder / "large", FILES)
    for number in range(CHANGED):
        (path / f"d{number}" / f"f{number}.txt").write_text("changed\n")
    git(path, "commit", "-qam", "second")
    commits = git(path, "rev-list", "main").split()
    hub = find_hub(path)
    sync(hub)
    pool = Pool(hub, PoolConfig(size=1, memory_gb=0, disk_floor=0))
    leases: list[float] = []
    fresh: list[float] = []
    for number in range(ROUNDS + 1):
        with timed(leases), pool.lease(commits[number % 2], Order(run="bench", issue="b", issue_key="b", phase="plan")):
            pass
        with timed(fresh):
            git(path, "worktree", "add", "--detach", str(folder / f"fresh-{number}"), commits[number % 2])
    lease, worktree = statistics.median(leases[1:]), statistics.median(fresh[1:])  # the first lease made the slot
    yield Figure(f"a lease, {FILES} files, {CHANGED} of them differ", lease * 1000, "ms", worktree * 100)
    yield Figure("git worktree add of the same, as a multiple of the lease", worktree / lease, "x", 10, at_least=True)


def main() -> int:
    """Measure all and print it."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        for measure in (overheads, lease_against_worktree):
            for figure in measure(Path(folder)):
                print(figure, flush=True)
                figures.append(figure)
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
