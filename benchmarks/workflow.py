"""The analysis' workflow as work of the real system: `workflow.toml` says what it is made of, this lays it out and says what it takes.

What a skill, an agent or a test does is wait. Skills come by a plug-in, as anybody's do: a package of one module with an entry point,
found by PYTHONPATH. Agents are the shipped scripted one, which tells what tokens it took. Tests sleep in `sh`.
"""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from adw.config import SkillsConfig
from adw.model import INTEGRATE, Issue
from benchmarks.limits import Limits, Piece
from benchmarks.workload import PROBE, WARM, Workload, own

HERE = Path(__file__).parent
PLUGIN = HERE / "bench_skills.py"


@cache
def model() -> dict[str, Any]:
    """What the workflow is made of."""
    return tomllib.loads((HERE / "workflow.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True)
class Switches:
    """How it is delivered: each is a setting of adw."""

    features: int = 1
    slots: int = 1
    skills: bool = True  # at once; else `skills.limit = 1`
    pieces: bool = True  # `build.parallel`, and `[test.groups]`
    known: bool = False  # the base was looked at for an earlier issue, and `memory.mode` is not "off"
    document: bool = False  # the analysis has it in one feature, not in several
    same: int = 0  # how many features ask for the same

    @property
    def in_pieces(self) -> bool:
        """Whether there is a slot for more than one piece."""
        return self.pieces and self.slots > 1

    def whole(self, skills: list[dict[str, Any]]) -> float:
        """Seconds that skills take together."""
        return float(sum(one["seconds"] * (1 if self.skills else one["count"]) for one in skills))

    def pieces_of(self, feature: str) -> Iterator[Piece]:
        """The pieces of a feature, behind `base`."""
        plan, build, review = (model()[phase] for phase in ("plan", "build", "review"))
        yield Piece(f"{feature} plan", plan["agent"], () if self.known else ("base",))
        files = build["files"]
        rest = build["integration"] + self.whole(build["skills"])
        if self.in_pieces:
            parts = [f"{feature} build {number}" for number in range(files["count"])]
            yield from (Piece(part, files["seconds"], (f"{feature} plan",)) for part in parts)
            yield Piece(f"{feature} build", rest, tuple(parts))
            yield from (Piece(f"{feature} test-{name}", seconds, (f"{feature} build",)) for name, seconds in groups())
        else:
            yield Piece(f"{feature} build", rest + files["count"] * files["seconds"], (f"{feature} plan",))
            yield Piece(f"{feature} test", tests(), (f"{feature} build",))
        yield Piece(f"{feature} review", self.whole(review["skills"]) + review["agent"], (f"{feature} build",))
        if self.document:
            yield Piece(f"{feature} document", model()["document"]["agent"], (f"{feature} build",))

    @property
    def limits(self) -> Limits:
        """What no schedule of it is shorter than, in seconds of the analysis."""
        base = [] if self.known else [Piece("base", self.whole(model()["plan"]["skills"]))]
        return Limits([*base, *(piece for number in range(self.features) for piece in self.pieces_of(f"f{number}"))], self.slots)

    def planned(self, minute: float) -> dict[str, float]:
        """What each phase and piece takes by itself, with a minute of so many seconds, by adw's names."""
        build, took = model()["build"], {piece.name.partition(" ")[2]: piece.seconds for piece in self.pieces_of("f")}
        took["plan"] += 0.0 if self.known else self.whole(model()["plan"]["skills"])
        if self.in_pieces:
            took |= {f"build-{number}": build["files"]["seconds"] for number in range(1, build["files"]["count"] + 1)}
            took |= {INTEGRATE: took["build"]}
            took |= {f"test-{name}": seconds for name, seconds in groups()}
        return {name: seconds * minute / 60 for name, seconds in took.items()}

    @property
    def alone(self) -> float:
        """Seconds of the analysis for the same, one after another."""
        return self.features * sum(seconds for phase, seconds in by_phase().items() if self.document or phase != "document")


def groups() -> Iterator[tuple[str, float]]:
    """The groups of tests by name, each with its seconds."""
    for group in model()["test"]["groups"]:
        yield from ((f"{group['name']}-{letter}", group["seconds"]) for letter in ascii_lowercase[: group["count"]])


def tests() -> float:
    """Seconds of all tests, one after another."""
    return float(sum(seconds for _, seconds in groups()))


def by_phase() -> dict[str, float]:
    """Seconds of each phase with everything one after another."""
    found = {phase: sum(one["count"] * one["seconds"] for one in part.get("skills", [])) + part.get("agent", 0) for phase, part in model().items()}
    build = model()["build"]
    found["build"] += build["files"]["count"] * build["files"]["seconds"] + build["integration"]
    return {**{phase: float(found[phase]) for phase in ("plan", "build", "review", "document")}, "test": tests()}


@dataclass(frozen=True)
class Workflow(Workload):
    """Features that are delivered with some switches; and the same for a plain script, which knows only phases."""

    switches: Switches = Switches()

    @classmethod
    def of(cls, switches: Switches, minute: float) -> "Workflow":
        """The features that are asked for."""
        edits = {f"feature-{n:02}": ([own(f"feature-{n:02}")],) for n in range(1, switches.features + 1)}
        return cls(edits, minute, switches)

    def scaled(self, seconds: float) -> float:
        """Seconds of ours for some of the analysis."""
        return round(seconds * self.minute / 60, 3)

    @property
    def seconds(self) -> dict[str, float]:
        """What each phase takes, one thing after another: of a plain script."""
        return {phase: self.scaled(seconds) * (self.switches.document or phase != "document") for phase, seconds in by_phase().items()}

    @property
    def issues(self) -> list[Issue]:
        """As adw knows them."""
        first, *others = super().issues
        return [first, *(replace(other, title=first.title) if n < self.switches.same - 1 else other for n, other in enumerate(others))]

    def script(self, *, whole: bool = False) -> dict[str, Any]:
        """What the player plays: the agents' part of a phase, or the whole phase for a plain script."""
        parts: dict[str, Any] = {name: self._feature(name, whole=whole) for name in self.edits}
        at_once = {phase: [{"say": phase}] for phase in by_phase()}
        return {**parts, PROBE: at_once, WARM: {**at_once, "build": [{"edits": [own(WARM)]}]}}

    def _feature(self, name: str, *, whole: bool) -> dict[str, Any]:
        build, phases = model()["build"], self.seconds
        paths = [f"features/{name}-{number}.txt" for number in range(1, build["files"]["count"] + 1)]
        edits = [{"path": path, "write": f"{name}\n"} for path in paths]
        items = [{"title": f"File {path}", "files": [path]} for path in paths]
        says = {"plan": json.dumps({"summary": name, "files": paths, "items": items, "integration": "put it together"})}
        alone = {phase: self.scaled(model()[phase]["agent"]) * bool(phases[phase]) for phase in ("plan", "review", "document")}
        building = self.scaled(build["files"]["count"] * build["files"]["seconds"] + build["integration"])
        took = phases if whole else {**alone, "build": building}
        pieces = {
            f"build-{number}": [{"seconds": self.scaled(build["files"]["seconds"]), "edits": [edit], "spent": spent("part")}]
            for number, edit in enumerate(edits, 1)
        }
        return {
            **{phase: [{"seconds": took[phase], "say": says.get(phase, phase), "spent": spent(phase) if took[phase] else {}}] for phase in alone},
            "build": [{"seconds": took["build"], "edits": [*edits, own(name)], "spent": spent("build")}],
            **pieces,
            INTEGRATE: [{"seconds": self.scaled(build["integration"]), "edits": [own(name)], "spent": spent("integrate")}],
        }

    def config(self, script: Path, slots: int) -> str:
        """What adw.toml says: the switches, as settings."""
        switches, skills = self.switches, {phase: list(named(model()[phase]["skills"])) for phase in ("plan", "build", "review")}
        lines = [
            super().config(script, slots),
            f'[memory]\nmode = "{"lexical" if switches.known else "off"}"',
            f"[build]\nparallel = {json.dumps(switches.pieces)}",
            f"[skills]\nlimit = {SkillsConfig().limit if switches.skills else 1}",
            *(f"{phase} = {json.dumps(names)}" for phase, names in skills.items()),
        ]
        # A group each, as at some seconds a minute adw would not share out modules (`adw.shards.LEAST`); another line each, as one is run once.
        lines += [f'[test.groups.{name}]\ncommand = "sh wait.sh {self.scaled(seconds)} {name}"' for name, seconds in groups() if switches.pieces]
        return "\n".join(lines) + "\n"

    def lay_out(self, folder: Path, slots: int, more: str = "", *, whole: bool = False) -> Path:
        """The same as for any features, and beside it the plug-in with the skills."""
        hub = super().lay_out(folder, slots, more, whole=whole)
        write_plugin(folder / "plugin", self.minute)
        return hub


def spent(of: str) -> dict[str, Any]:
    """What an agent tells of its tokens."""
    given, put = model()["tokens"][of]
    return {model()["tokens"]["model"]: {"calls": 1, "input": given, "output": put}}


def named(skills: list[dict[str, Any]]) -> Iterator[str]:
    """The names of skills that there are several of."""
    return (f"{one['name']}_{number}" for one in skills for number in range(one["count"]))


def write_plugin(folder: Path, minute: float) -> None:
    """Write a package that brings the skills, as if it had been installed there (`pip install --target`)."""
    about = folder / f"{PLUGIN.stem}-1.dist-info"
    about.mkdir(parents=True)
    (folder / "bench_skills.py").write_text(PLUGIN.read_text(encoding="utf-8"))
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bench_skills\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[adw.skills]\nbench = bench_skills\n")
    skills = [one for phase in ("plan", "build", "review") for one in model()[phase]["skills"]]
    waits = [
        {"name": name, "seconds": one["seconds"] * minute / 60, "after": [*named([each for each in skills if each["name"] == one.get("after")])]}
        for one in skills
        for name in named([one])
    ]
    (folder / "waits.json").write_text(json.dumps(waits))
