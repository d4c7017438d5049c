"""Runs skills at once, as far as their order allows, and only where what they would find is not known.

One that fails or takes too long is a finding of its own. Who else asks for the same meanwhile, in whatever process, waits and finds it.
"""

import inspect
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import anyio

from adw import lock
from adw.errors import AdwError, Interrupted, ToolMissing
from adw.home import Place
from adw.model import digest
from adw.skills.cache import Results
from adw.skills.finding import Finding, Ran, Severity, Table, merged
from adw.skills.registry import Bench, Given, Skill, in_order
from adw.skills.trees import Tree

LIMIT, SECONDS = 16, 120.0
EACH = 0.02  # seconds between looks while another process looks at the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What skills are to look at."""

    tree: Tree
    bench: Bench
    place: Place  # where results are kept
    only: frozenset[str] | None = None  # the files that are asked about; none: all


def run_skills(names: Iterable[str], inputs: Inputs, *, limit: int = LIMIT, seconds: float = SECONDS) -> Table:
    """What some skills find, in one table. Misuse if one is not known. Interrupted if all work is to end."""
    asked, results = in_order(names), Results(inputs.place.skills)
    whole = digest(inputs.tree.name, *(_about(one, inputs.bench) for one in asked)) if inputs.only is None else ""
    if whole and (known := results.table(whole)):
        return known
    files = {one.name: _files(one, inputs) for one in asked}
    at_work = [one for one in asked if files[one.name]]
    if not at_work:
        return Table(ran=tuple(Ran(one.name) for one in asked))
    run = _Run(inputs, results, files, limit, seconds)
    anyio.run(run.all, at_work)
    if run.interrupted:
        raise run.interrupted
    findings = [finding for one in at_work for finding in run.found.get(one.name, ())]
    table = Table(merged(findings), merged(run.troubles), tuple(run.ran.get(one.name, Ran(one.name)) for one in asked))
    if whole and all(trouble.severity == "note" for trouble in table.troubles):  # what is not there is decided by the key, too
        results.keep_table(whole, table)
    return table


def _files(skill: Skill, inputs: Inputs) -> list[str]:
    """The files that a skill is to look at: of a whole tree, all or none."""
    files = [path for path in inputs.tree.files if skill.takes(path)]
    if inputs.only is None:
        return files
    asked = [path for path in files if path in inputs.only]
    return files if asked and skill.scope == "tree" else asked


@dataclass(slots=True)
class _Run:
    """Some skills at work."""

    inputs: Inputs
    results: Results
    files: Mapping[str, Sequence[str]]
    limit: int
    seconds: float
    ended: dict[str, anyio.Event] = field(default_factory=dict)
    found: dict[str, list[Finding]] = field(default_factory=dict)
    troubles: list[Finding] = field(default_factory=list)
    ran: dict[str, Ran] = field(default_factory=dict)
    interrupted: Interrupted | None = None

    async def all(self, skills: Sequence[Skill]) -> None:
        """Run them."""
        places = anyio.CapacityLimiter(self.limit)
        self.ended = {skill.name: anyio.Event() for skill in skills}
        async with anyio.create_task_group() as group:
            for skill in skills:
                group.start_soon(self._one, skill, places)

    async def _one(self, skill: Skill, places: anyio.CapacityLimiter) -> None:
        for name in skill.after:
            if name in self.ended:
                await self.ended[name].wait()
        try:
            async with places:
                await self._result(skill)
        except Interrupted as no:
            self.interrupted = no
        except ToolMissing as no:
            self._trouble(skill, "note", f"not run: {no}")
        except TimeoutError:
            self._trouble(skill, "warning", f"stopped: it took longer than {self.seconds:g} seconds (skills.seconds in adw.toml)")
        except AdwError as no:
            self._trouble(skill, "warning", f"failed: {no}")
        except Exception as no:  # noqa: BLE001 - a skill may be another package's: whatever is wrong with it, the others' results stand
            self._trouble(skill, "warning", f"failed: {type(no).__name__}: {no}")
        finally:
            self.ended[skill.name].set()

    def _trouble(self, skill: Skill, severity: Severity, message: str) -> None:
        self.troubles.append(Finding(skill.name, "", 0, severity, message))

    async def _result(self, skill: Skill) -> None:
        began, results = time.monotonic(), self.results
        keys = _keys(skill, self.files[skill.name], self.inputs)
        known = results.known(keys)
        missing = {key: files for key, files in keys.items() if key not in known}
        if missing:
            async with self._alone(skill, next(iter(missing))):
                known |= results.known(missing)  # another may have looked meanwhile
                missing = {key: files for key, files in missing.items() if key not in known}
                if missing:
                    with anyio.fail_after(self.seconds):
                        new = await self._looked(skill, missing)
                    results.keep(new)
                    known |= new
        self.found[skill.name] = [finding for found in known.values() for finding in found]
        self.ran[skill.name] = Ran(skill.name, time.monotonic() - began, _count(missing), _count(keys) - _count(missing))

    async def _looked(self, skill: Skill, missing: Mapping[str, Sequence[str]]) -> dict[str, list[Finding]]:
        """What a skill finds in files that nobody has looked at, by their keys."""
        if lost := [name for name, have in zip(skill.tools, skill.installed(), strict=True) if name == have]:
            msg = f"{', '.join(lost)} is not installed"
            raise ToolMissing(msg)
        given = Given(self.inputs.tree.laid_out, tuple(file for files in missing.values() for file in files), self.inputs.bench)
        if inspect.iscoroutinefunction(skill.function):
            findings = list(await skill.function(given))
        else:
            findings = await self.inputs.bench.apart(skill.function, given)  # type: ignore[arg-type]
        if skill.scope == "tree":
            return dict.fromkeys(missing, findings)
        by_file: dict[str, list[Finding]] = {}
        for finding in findings:
            by_file.setdefault(finding.file, []).append(finding)
        return {key: by_file.get(files[0], []) for key, files in missing.items()}

    @asynccontextmanager
    async def _alone(self, skill: Skill, key: str) -> AsyncIterator[None]:
        """As the only one on this host that looks at the same: of single files, as the only one with this skill."""
        path = self.inputs.place.locks / f"skill-{skill.name}{f'-{key[:24]}' if skill.scope == 'tree' else ''}"
        while (held := lock.try_lock(path)) is None:  # noqa: ASYNC110 - another process has it
            await anyio.sleep(EACH)
        with held:
            yield


def _keys(skill: Skill, files: Sequence[str], inputs: Inputs) -> dict[str, list[str]]:
    """The files that a skill looks at, by the keys of what it finds in them: one for each, or one for all of a tree."""
    blobs = inputs.tree.files
    config = inputs.tree.named(skill.config) if skill.config else []
    about = digest(_about(skill, inputs.bench), *config)
    if skill.scope == "tree":
        return {digest(about, *((path, blobs[path]) for path in files)): list(files)}
    return {sha256(f"{about}{blobs[path]}{path}".encode()).hexdigest(): [path] for path in files}  # of thousands; only the path has no fixed length


def _about(skill: Skill, bench: Bench) -> str:
    """What decides the results of a skill beside the files that it looks at, and those that configure its tool."""
    return digest(skill.name, skill.version, *skill.installed(), _program(skill, bench))


def _program(skill: Skill, bench: Bench) -> str:
    """The version of a program of the project's own, by what is installed beside it; else by when it was."""
    if not skill.program:
        return ""
    try:
        path = Path(bench.program(skill.program))
    except ToolMissing:
        return ""  # whether that matters, the skill knows
    beside = path.resolve().parent.parent.glob(f"lib/python*/site-packages/{skill.program}-*.dist-info")
    return ", ".join(sorted(each.name for each in beside)) or str(path.stat().st_mtime_ns)


def _count(keys: Mapping[str, Sequence[str]]) -> int:
    return sum(map(len, keys.values()))
