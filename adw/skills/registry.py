"""What skills there are: functions that are registered by a name, and what decides their results.

    @skill("find_todos", version="1", about="What is left to be done", suffixes=(".py",))
    def find_todos(given: Given) -> list[Finding]: ...

An async function runs in adw's own process, and is to run tools (`given.tools`). Any other runs in a process of its own, as it
would hold the GIL: it must be a function of a module, and sees only `folder` and `files`.

Another package brings skills by an entry point of the group `adw.skills` that names a module, which registers them when it is imported.
"""

import importlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from adw.errors import Misuse, SkillFailed
from adw.skills.finding import Finding

GROUP = "adw.skills"
Function = TypeVar("Function", bound=Callable[["Given"], Iterable[Finding] | Awaitable[Iterable[Finding]]])
_registered: dict[str, "Skill"] = {}


class Bench(Protocol):
    """How a skill runs tools."""

    async def call(self, argv: Sequence[str], stdin: str = "") -> tuple[int, str]:
        """Run a command in the folder; its exit status and all that it printed."""

    def program(self, name: str) -> str:
        """The path of a program of the project's own; ToolMissing if it is not there."""

    async def apart(self, function: "Callable[[Given], Iterable[Finding]]", given: "Given") -> list[Finding]:
        """Call a function of a module in a process of its own."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a skill is given: a folder, and the files in it that it is to look at."""

    folder: Path
    files: tuple[str, ...]
    bench: Bench | None = field(default=None, repr=False)  # none in a process of its own

    @property
    def tools(self) -> Bench:
        """How it runs tools."""
        if self.bench is None:
            msg = "only an async skill runs tools"
            raise SkillFailed(msg)
        return self.bench

    def of(self, *suffixes: str) -> "Given":
        """The same with only the files that end so."""
        return Given(self.folder, tuple(file for file in self.files if file.endswith(suffixes)), self.bench)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """A skill, and all that decides its results beside the files."""

    name: str
    version: str
    about: str
    function: Callable[[Given], Iterable[Finding] | Awaitable[Iterable[Finding]]]
    suffixes: tuple[str, ...] = ()  # of the files that it looks at; none: all
    scope: Literal["file", "tree"] = "file"  # whether what it finds in a file depends on that alone
    after: tuple[str, ...] = ()  # skills that must have ended before it begins, where they are run together
    config: str = ""  # a pattern (re) of the names of files that configure its tool
    tools: tuple[str, ...] = ()  # distributions of adw's own environment that it uses
    program: str = ""  # a program of the project's own that it uses

    def takes(self, path: str) -> bool:
        """Whether it looks at a file."""
        return path.endswith(self.suffixes) if self.suffixes else True

    def installed(self) -> list[str]:
        """Its tools of adw's own environment, each with its version; with none if it is not there."""
        return [f"{name} {_version(name)}".strip() for name in self.tools]


def skill(  # noqa: PLR0913 - what a skill is
    name: str,
    *,
    version: str,
    about: str,
    suffixes: tuple[str, ...] = (),
    scope: Literal["file", "tree"] = "file",
    after: tuple[str, ...] = (),
    config: str = "",
    tools: tuple[str, ...] = (),
    program: str = "",
) -> Callable[[Function], Function]:
    """Register a function as a skill. Misuse if another one has the name."""

    def register(function: Function) -> Function:
        new = Skill(
            name=name,
            version=version,
            about=about,
            function=function,
            suffixes=suffixes,
            scope=scope,
            after=after,
            config=config,
            tools=tools,
            program=program,
        )
        if (old := _registered.get(name)) and where(old) != where(new):
            msg = f"two skills are called {name}: one of {where(old)}, and one of {where(new)}"
            raise Misuse(msg)
        _registered[name] = new
        return function

    return register


def where(of: Skill) -> str:
    """The module and the name of a skill's function."""
    return f"{of.function.__module__}:{of.function.__qualname__}"


@cache
def broken() -> dict[str, str]:
    """Bring in adw's own skills and those of other packages, once; the plug-ins that could not be, each with the reason."""
    importlib.import_module("adw.skills.builtin")
    found = {}
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as no:  # noqa: BLE001 - another package's code: whatever is wrong with it is one line for the report
            found[point.name] = f"{type(no).__name__}: {no}"
    return found


def known() -> dict[str, Skill]:
    """All skills, by name."""
    broken()
    return dict(sorted(_registered.items()))


def found(name: str) -> Skill:
    """A skill by its name; Misuse that names the nearest, if there is none."""
    skills = known()
    if name not in skills:
        near = get_close_matches(name, skills, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(skills)}"
        lost = f"; the plug-ins {', '.join(broken())} could not be loaded" if broken() else ""
        msg = f"there is no skill {name!r}: {hint}{lost}"
        raise Misuse(msg)
    return skills[name]


def in_order(names: Iterable[str]) -> list[Skill]:
    """Skills by their names, each behind those that it comes after, as far as these are among them; Misuse if there is no such order."""
    skills = {name: found(name) for name in names}
    try:
        order = TopologicalSorter({name: [a for a in one.after if a in skills] for name, one in skills.items()}).static_order()
        return [skills[name] for name in order]
    except CycleError as no:
        msg = f"these skills wait for each other: {' → '.join(no.args[1])}"
        raise Misuse(msg) from no


@cache
def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
