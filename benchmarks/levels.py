"""What is measured, as `levels.toml` has it: tables of the analysis, and the levels of each."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.limits import Limits
from benchmarks.trial import By
from benchmarks.workflow import Switches, Workflow
from benchmarks.workload import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One way to deliver, and what the analysis says of it (0: nothing)."""

    table: str
    name: str
    switches: Switches
    plain: bool = False  # plain phases instead of the workflow
    by: By = "adw"
    minutes: float = 0.0
    speed: float = 0.0
    usd: float = 0.0  # a workflow
    aim: float = 0.0  # ours: at least so many times as fast as one after another

    @property
    def picture(self) -> str:
        """How pictures of a run of it begin to be called; empty if none are wanted."""
        return f"{self.table}-{self.switches.slots}" if self.by == "adw" and (self.aim or self.table == "resources") else ""

    def workload(self, minute: float) -> Workload:
        """What is delivered, with a minute of so many seconds."""
        return Workload.alike(self.switches.features, minute) if self.plain else Workflow.of(self.switches, minute)

    def planned(self, minute: float) -> dict[str, float]:
        """What each phase and piece takes by itself."""
        return self.workload(minute).seconds if self.plain else self.switches.planned(minute)

    def limits(self, minute: float) -> tuple[float, float, float]:
        """Seconds for the same one after another, what no schedule is shorter than, and the best schedule that is found."""
        workload = self.workload(minute)
        alone = workload.alone if self.plain else self.switches.alone * minute / 60
        if self.by != "adw":  # the phases of a feature one after another, each feature in one worktree
            rounds = -(-self.switches.features // self.switches.slots)
            return alone, (shortest := alone / self.switches.features * rounds), shortest
        if self.plain:
            limits = Limits(workload.pieces, self.switches.slots)
            return alone, limits.bound, limits.best
        limits = self.switches.limits
        return alone, limits.bound * minute / 60, limits.best * minute / 60


@dataclass(frozen=True, slots=True)
class Table:
    """Some levels that stand beside each other."""

    name: str
    title: str
    levels: tuple[Level, ...]


@cache
def tables() -> Mapping[str, Table]:
    """All tables, by name."""
    found = tomllib.loads(Path(__file__).with_name("levels.toml").read_text(encoding="utf-8"))
    return {name: _table(name, given) for name, given in found.items()}


def _table(name: str, given: dict[str, Any]) -> Table:
    levels = given.pop("level")
    title = given.pop("title")
    return Table(name, title, tuple(_level({"table": name, **given, **level}) for level in levels))


def _level(given: dict[str, Any]) -> Level:
    ours = {field.name for field in fields(Switches)}
    switches = Switches(**{key: value for key, value in given.items() if key in ours})
    return Level(switches=switches, **{key: value for key, value in given.items() if key not in ours})
