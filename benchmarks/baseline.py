"""The baseline: the analysis' own classes at the same work, as it has them (`python -m benchmarks.baseline FOLDER HOW`).

The analysis says                                                         here
2.3, 5.2  a queue of worktrees, reset when they are given back            `WorktreePool`, word for word but for what a linter wants
5.1       a graph of tasks, run in rounds by `asyncio.gather`             `ParallelScheduler`, the same
5.2       a feature in a worktree of the pool (`build_in_worktree`)       `Script.feature`
3.3       plan, build, test, review of a feature, one after another       `Script.phase`, a process for each, as in 1.1
3.2, 5.1  "merge results", a task that depends on all others              `Script.merge`
2.3       "Merge complexity: Automated via git merge"                     `git merge`; what conflicts is given up, as no code says more

Where its text leaves a choice, the one is taken that is better for it: a feature begins on a branch of its own from main, its work is
committed, and a change that conflicts does not keep those behind it from being merged. It tests a feature in its own worktree (6.2 has
no test of what was merged), and knows nothing of an earlier run.

HOW is `parallel`, or `sequential`: its adw_sdlc.py (1.1), one phase after another, each feature merged before the next one begins.
FOLDER is what `Workload.lay_out` wrote. What happens is in `baseline.jsonl`, in adw's words.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workload import TEST, agent

PHASES = ("plan", "build", "test", "review")


@dataclass
class Task:
    """5.1."""

    id: str
    name: str
    depends_on: list[str]
    estimated_time_min: int


class ParallelScheduler:
    """5.1. `execute_task` is not in the analysis: it is given."""

    def __init__(self, execute_task: Callable[[Task], Awaitable[Any]]) -> None:
        self.execute_task = execute_task

    def build_dependency_graph(self, tasks: list[Task]) -> dict[str, set[str]]:
        """Build graph of task dependencies."""
        graph = {}
        for task in tasks:
            graph[task.id] = set(task.depends_on)
        return graph

    def find_ready_tasks(self, graph: dict[str, set[str]], completed: set[str]) -> list[str]:
        """Find tasks with all dependencies completed."""
        ready = []
        for task_id, deps in graph.items():
            if task_id not in completed and deps.issubset(completed):
                ready.append(task_id)
        return ready

    async def execute_parallel_schedule(self, tasks: list[Task]) -> dict[str, Any]:
        """Execute tasks respecting dependencies with max parallelism."""
        graph = self.build_dependency_graph(tasks)
        completed: set[str] = set()
        results: dict[str, Any] = {}
        while len(completed) < len(tasks):
            ready = self.find_ready_tasks(graph, completed)
            if not ready:
                msg = "Circular dependency detected"
                raise ValueError(msg)
            task_map = {t.id: t for t in tasks}
            batch_results = await asyncio.gather(*[self.execute_task(task_map[task_id]) for task_id in ready])
            for task_id, result in zip(ready, batch_results, strict=True):
                completed.add(task_id)
                results[task_id] = result
        return results


class WorktreePool:
    """2.3, 5.2. Manage pool of git worktrees for parallel execution."""

    def __init__(self, size: int = 5, base_path: Path = Path(".worktrees")) -> None:
        self.size = size
        self.base_path = base_path
        self.available: asyncio.Queue[Path] = asyncio.Queue()
        self.worktrees: list[Path] = []

    async def initialize(self) -> None:
        """Create worktree pool."""
        self.base_path.mkdir(exist_ok=True)
        for i in range(self.size):
            wt_path = self.base_path / f"agent-{i}"
            result = subprocess.run(["git", "worktree", "add", str(wt_path), "HEAD"], capture_output=True, text=True, check=False)  # noqa: ASYNC221 - as it has it
            if result.returncode == 0:
                self.worktrees.append(wt_path)
                await self.available.put(wt_path)
                print(f"Created worktree: {wt_path}")
        print(f"Initialized worktree pool: {self.size} worktrees")

    async def acquire(self) -> Path:
        """Acquire worktree from pool (blocks if none available)."""
        return await self.available.get()

    async def release(self, wt_path: Path) -> None:
        """Release worktree back to pool."""
        subprocess.run(["git", "reset", "--hard", "HEAD"], cwd=wt_path, capture_output=True, check=False)  # noqa: ASYNC221 - as it has it
        subprocess.run(["git", "clean", "-fd"], cwd=wt_path, capture_output=True, check=False)  # noqa: ASYNC221 - as it has it
        await self.available.put(wt_path)

    async def cleanup(self) -> None:
        """Cleanup all worktrees."""
        for wt_path in self.worktrees:
            subprocess.run(["git", "worktree", "remove", str(wt_path), "--force"], capture_output=True, check=False)  # noqa: ASYNC221 - as it has it
        print("Cleaned up worktree pool")


class Script:
    """What the analysis leaves to whoever uses its classes: the phases, and the merge."""

    def __init__(self, folder: Path, slots: int) -> None:
        self.features = sorted(path.stem for path in (folder / "issues").glob("*.md"))
        self._agent, self._journal = agent(folder / "script.json"), folder / "baseline.jsonl"
        script = json.loads((folder / "script.json").read_text())
        documents = any(part.get("seconds") for feature in script.values() for part in feature.get("document", []))
        self._phases = (*PHASES, "document") if documents else PHASES
        self._pool = WorktreePool(slots)

    async def parallel(self) -> None:
        """5.2's usage, by 5.1's scheduler: all features side by side, then the merge."""
        await self._pool.initialize()
        try:
            tasks = [*(Task(name, f"Deliver {name}", [], 17) for name in self.features), Task("merge", "Merge results", self.features, 1)]
            await ParallelScheduler(self.execute).execute_parallel_schedule(tasks)
        finally:
            await self._pool.cleanup()

    async def sequential(self) -> None:
        """1.1: one phase after another, in the one checkout that there is."""
        for name in self.features:
            await self.in_phases(name, Path())
            git("checkout", "-q", "main")
            git("merge", "-q", "--no-edit", name)

    async def execute(self, task: Task) -> None:
        """A feature, or the merge of all."""
        await (self.merge() if task.id == "merge" else self.feature(task.id))

    async def feature(self, name: str) -> None:
        """5.2: `build_in_worktree`."""
        wt = await self._pool.acquire()
        try:
            await self.in_phases(name, wt)
        finally:
            await self._pool.release(wt)

    async def in_phases(self, name: str, tree: Path) -> None:
        """3.3: one phase after another, in one worktree."""
        git("checkout", "-q", "-B", name, "main", cwd=tree)
        for phase in self._phases:
            await self.phase(name, phase, tree)
            if phase == "build":
                git("add", "-A", "--", ".", ":!.worktrees", cwd=tree)
                git("commit", "-q", "-m", f"Add {name}", cwd=tree)

    async def phase(self, name: str, phase: str, tree: Path) -> None:
        """1.1: a process."""
        argv = ["sh", "-c", TEST] if phase == "test" else self._agent
        self.tell("phase", issue=name, phase=phase, state="running")
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(*argv, cwd=tree, env={**os.environ, "ADW_ISSUE": name, "ADW_PHASE": phase, "ADW_TRY": "1"})
        if await process.wait():
            msg = f"{phase} of {name} failed"
            raise RuntimeError(msg)
        self.tell("phase", issue=name, phase=phase, state="done", seconds=time.monotonic() - began)

    async def merge(self) -> None:
        """3.2, 2.3: all features into main, by git."""
        for name in self.features:
            status = git("merge", "-q", "--no-edit", name, check=False)
            if status:
                git("merge", "--abort", check=False)
            self.tell("outcome", issue=name, state="conflict" if status else "merged")

    def tell(self, event: str, **fields: Any) -> None:
        """Note what happens."""
        with self._journal.open("a") as file:
            file.write(json.dumps({**fields, "event": event, "timestamp": time.time()}) + "\n")


def git(*args: str, cwd: Path = Path(), check: bool = True) -> int:
    """Plain git."""
    return subprocess.run(["git", *args], cwd=cwd, check=check, capture_output=True).returncode


def main(folder: Path, how: str, slots: int) -> None:
    """Deliver."""
    os.chdir(folder / "hub")
    script = Script(folder, slots)
    script.tell("flow started")
    asyncio.run(script.parallel() if how == "parallel" else script.sequential())
    script.tell("run ended")


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2], int(sys.argv[3]))
