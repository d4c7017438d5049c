"""Benchmarks as flows: each level of a table of the analysis is delivered for real, by the `adw` command in a home of its own.

What is measured is in `benchmarks/`; here it has an order, a task for each delivery, and a page in the UI in the end.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect import Flow, State, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, Failed
from pydantic import BaseModel, ConfigDict, Field

from adw.benchmarks import OTHERS, TABLES
from adw.errors import AdwError, Misuse
from adw.home import home
from benchmarks import overheads as alone
from benchmarks import pages, results, sizes
from benchmarks.levels import Level, tables
from benchmarks.machine import Book
from benchmarks.measure import measured
from benchmarks.real import by_claude, replayed
from benchmarks.trial import served
from flows.blocks import limit
from flows.threads import threads
from tasks.phases import LLM

FILE = "bench.jsonl"


class Settings(BaseModel):
    """How a table is measured."""

    model_config = ConfigDict(extra="forbid")

    minute: float = Field(6.0, gt=0, description="Seconds for a minute of the analysis.")
    repeat: int = Field(3, ge=1, le=100, description="How often each level is measured.")
    levels: list[str] = Field(default_factory=list, description="Only these levels, by their names.")
    out: str = Field("", description="The file that results are added to, as lines of JSON; by default bench.jsonl in adw's own folder.")


class Sizes(BaseModel):
    """How large what is grown gets."""

    model_config = ConfigDict(extra="forbid")

    issues: list[int] = Field(default_factory=lambda: [1, 50, 100, 200, 500], description="Issues in one run.")
    files: list[int] = Field(default_factory=lambda: [100, 10_000, 100_000], description="Files in the repository.")
    commits: list[int] = Field(default_factory=lambda: [10, 100_000], description="Commits in its history.")
    out: str = Field("", description="The file that results are added to.")


class Rounds(BaseModel):
    """How often something short is measured."""

    model_config = ConfigDict(extra="forbid")

    repeat: int = Field(20, ge=3, le=10_000, description="How often each is measured.")
    out: str = Field("", description="The file that results are added to.")


class Agents(BaseModel):
    """With how many agents real work is done."""

    model_config = ConfigDict(extra="forbid")

    agents: list[int] = Field(default_factory=lambda: [1, 2, 4, 8], min_length=1, description="How many agents, the fewest first.")
    repeat: int = Field(3, ge=1, le=100, description="How often each is measured.")
    data: str = Field("", description="The folder of the data sets of real changes; empty: the real Claude Code CLI, against a model on loopback.")
    minute: float = Field(1.0, gt=0, description="For Claude Code: seconds of the model for a minute of the analysis.")
    out: str = Field("", description="The file that results are added to.")


USUAL, USUAL_SIZES, USUAL_ROUNDS, USUAL_AGENTS = Settings(), Sizes(), Rounds(), Agents()


@task(name="measure", task_run_name="{level.name}, {number}", cache_policy=NO_CACHE)
def measure(level: Level, number: int, minute: float, folder: Path, book: Book) -> float:
    """Deliver what a level asks for, once; the seconds that it took."""
    return float(measured(level, number, minute, folder, folder / "home", book)["wall"])


def of_table(name: str, settings: Settings) -> State[Any]:
    """Measure a table, in rounds: what changes on the machine meanwhile changes for all levels."""
    table = tables()[name]
    chosen = [level for level in table.levels if level.name in settings.levels or not settings.levels]
    if unknown := set(settings.levels) - {level.name for level in table.levels}:
        msg = f"{name} has no level {'; '.join(sorted(unknown))}: it has {'; '.join(level.name for level in table.levels)}"
        return Failed(message=msg, data=Misuse(msg))

    def all_of(folder: Path, book: Book) -> None:
        for number in range(1, settings.repeat + 1):
            for level in chosen:
                took = measure(level, number, settings.minute, folder, book)
                said = f"{took:.1f} s, {took / settings.minute:.2f} min of the analysis"
                get_run_logger().info("%s, %d of %d: %s", level.name, number, settings.repeat, said)

    return _noted(name, settings.out, all_of)


def _noted(name: str, out: str, do: Callable[[Path, Book], None]) -> State[Any]:
    """Measure something into a file, and show all that the file then has of it."""
    file = Path(out).absolute() if out else home() / FILE
    before = len(results.read(file)) if file.exists() else 0
    try:
        with _workshop() as folder:
            do(folder, Book(name, file))
    except AdwError as no:
        return Failed(message=str(no), data=no)
    lines = results.read(file)[before:]
    text = "\n\n".join(filter(None, [pages.page(lines), pages.matrix(lines)]))
    create_markdown_artifact(text, key=f"bench-{name}", description=f"adw bench {name}")
    return Completed(message=f"the results are in {file}", data=text)


@contextmanager
def _workshop() -> Iterator[Path]:
    """For the block, a folder for everything, with a home in it whose server ends with it."""
    with tempfile.TemporaryDirectory(prefix="adw-bench-") as name, served(Path(name) / "home"):
        yield Path(name)


def _measuring(name: str) -> Flow[[Settings], State[Any]]:
    """The flow that measures a table. It is called as it is in this module, where a deployment looks for it."""

    def measures(settings: Settings = USUAL) -> State[Any]:
        return of_table(name, settings)

    measures.__name__ = name
    return flow(name=f"benchmark {name}", description=TABLES[name])(measures)


one = _measuring("one")
features = _measuring("features")
agents = _measuring("agents")
resources = _measuring("resources")
money = _measuring("money")
peer = _measuring("peer")
small = _measuring("small")


@flow(name="benchmark overheads", task_runner=threads(), description=OTHERS["overheads"])
def overheads(settings: Rounds = USUAL_ROUNDS) -> State[Any]:
    """Lease, candidate, landing, cache, task, recall, tracker."""
    limit(0, 1)  # that there is one
    return _noted("overheads", settings.out, lambda folder, book: alone.measure(folder, book, settings.repeat, submit))


@flow(name="benchmark growth", description=OTHERS["growth"])
def growth(settings: Sizes = USUAL_SIZES) -> State[Any]:
    """How adw's own time grows."""
    return _noted("growth", settings.out, lambda folder, book: sizes.measure(folder, book, settings.issues, settings.files, settings.commits))


@flow(name="benchmark real", description=OTHERS["real"])
def real(settings: Agents = USUAL_AGENTS) -> State[Any]:
    """Replayed, or by a CLI."""

    def do(folder: Path, book: Book) -> None:
        if settings.data:
            replayed(folder, book, Path(settings.data), settings.agents, settings.repeat)
        else:
            by_claude(folder, book, settings.agents, settings.repeat, settings.minute)

    return _noted("real", settings.out, do)


@task(cache_policy=NO_CACHE, persist_result=True)
def nothing() -> None:
    """A task with nothing to do: what is left is the submitting."""


def submit(*, asks_model: bool = False) -> None:
    """Have a task run that does nothing, as if it asked a model or not, and wait for it."""
    nothing.with_options(tags=[LLM] if asks_model else []).submit().result()


FLOWS: dict[str, Any] = {flow.fn.__name__: flow for flow in (one, features, agents, resources, money, peer, small, overheads, growth, real)}
SETTINGS: dict[str, type[BaseModel]] = dict.fromkeys(tables(), Settings) | {"overheads": Rounds, "growth": Sizes, "real": Agents}


def run(name: str, given: dict[str, Any]) -> tuple[str, str]:
    """Run a benchmark as a flow; its page, and where its results are. AdwError with what went wrong."""
    state = FLOWS[name](SETTINGS[name].model_validate(given), return_state=True)
    if isinstance(no := state.result(raise_on_failure=False), BaseException):
        raise no
    return str(no), str(state.message)
