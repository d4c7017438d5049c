"""Skills inside of a phase, in its slot: of the base for plan, of what was written for build, of the change for review.

Only what is new is told of a change: what its base has already is nobody's fault now. Nothing that is found refuses a change by itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from adw import prompts
from adw.config import SkillsConfig
from adw.errors import Misuse
from adw.journal import Journal
from adw.mirror import Source
from adw.model import Order
from adw.skills import registry, trees
from adw.skills.bench import KeptBench
from adw.skills.finding import Finding, Table, fresh, merged
from adw.skills.running import Inputs, run_skills
from adw.slot import Lease

TOLD, DIGEST, WORST = 60, 15, 10  # findings of a change in a prompt; of a base; files of a base
IN_EVENT = 50  # findings that an event carries


@dataclass(frozen=True, slots=True)
class AtWork:
    """The skills of one phase, and the slot to run them in."""

    hub: Source
    config: SkillsConfig
    journal: Journal
    lease: Lease
    order: Order

    def all(self, tree: str) -> Table:
        """What they find in the tree that is checked out."""
        if not (names := self._names()):
            return Table()
        found = self._run(names, tree, None, lambda: self.lease.tree)
        self._tell(found, ())  # what the base has already is in no report
        return found

    def new(self, base: str, tree: str) -> Table:
        """What they find new in the tree that is in the slot, compared with a base; the base is laid out for a moment, if it must be looked at."""
        names = self._names()
        touched = frozenset(self.hub.mirror.touched(base, tree)) if names else frozenset()
        if not any(registry.found(name).takes(path) for name in names for path in touched):
            return Table()
        after = self._run(names, tree, touched, lambda: self.lease.tree)
        before, own = Table(), {finding.source for finding in after.findings}
        if own:
            laid_out: list[str] = []
            try:
                before = self._run([name for name in names if name in own], base, touched, lambda: self._lay_out(base, laid_out))
            finally:
                if laid_out:
                    self.lease.git.lay_out(tree)
        found = Table(_new(after, before, touched), merged([*after.troubles, *before.troubles]), after.ran)
        self._tell(found, found.findings[:IN_EVENT])
        return found

    def _lay_out(self, tree: str, done: list[str]) -> Path:
        done.append(tree)
        self.lease.git.lay_out(tree)
        return self.lease.tree

    def _names(self) -> list[str]:
        """Those of the phase that this host has: a plug-in may be missing on another one, which is told when a run begins."""
        wanted = self.config.at(self.order.phase)
        skills = registry.known() if wanted else {}
        return [name for name in wanted if name in skills]

    def _run(self, names: Iterable[str], tree: str, only: frozenset[str] | None, ready: Callable[[], Path]) -> Table:
        inputs = Inputs(tree=trees.of_git(self.hub.mirror, tree, ready), bench=KeptBench.of(self.lease), place=self.hub.place, only=only)
        return run_skills(names, inputs, limit=self.config.limit, seconds=self.config.seconds)

    def _tell(self, found: Table, shown: Iterable[Finding]) -> None:
        """Put into the journal what was run, and what came of it."""
        if not any(ran.looked or ran.known for ran in found.ran) and not found.troubles:
            return
        lost = [Finding(name, "", 0, "note", f"the plug-in could not be loaded: {why}") for name, why in registry.broken().items()]
        self.journal.event(
            "skills",
            **self.order.fields,
            ran=[asdict(ran) for ran in found.ran],
            found=len(found.findings),
            findings=[asdict(finding) for finding in shown],
            troubles=[asdict(finding) for finding in [*found.troubles, *lost]],
        )


def _new(after: Table, before: Table, touched: frozenset[str]) -> tuple[Finding, ...]:
    """What was not found before; where a skill could not look at the base, what it finds in files that the change touches."""
    blind = {trouble.source for trouble in before.troubles}
    known = [finding for finding in after.findings if finding.source not in blind or finding.file in touched]
    return fresh(known, before.findings)


def insist(config: SkillsConfig) -> None:
    """Misuse if the configuration names a skill that there is not."""
    for phase in ("plan", "build", "review"):
        for name in config.at(phase):
            try:
                registry.found(name)
            except Misuse as no:
                msg = f"skills.{phase} in adw.toml: {no}"
                raise Misuse(msg) from no
        registry.in_order(config.at(phase))


def versions(config: SkillsConfig, phase: str) -> list[str]:
    """The skills of a phase with their versions, for its key; one that is not known here by its name alone."""
    skills = registry.known() if config.at(phase) else {}
    return [f"{name} {skills[name].version}" if name in skills else name for name in config.at(phase)]


def of_base(found: Table) -> str:
    """What plan is told of the base: how much was found by whom, the files with the most, and the worst; nothing if nothing was found."""
    if not found.findings:
        return ""
    by_skill, by_file = Counter(f.source for f in found.findings), Counter(f.file for f in found.findings if f.file)
    lines = [
        f"findings: {', '.join(f'{name} {number}' for name, number in sorted(by_skill.items()))}",
        f"most in: {', '.join(f'{file} {number}' for file, number in by_file.most_common(WORST))}",
        found.text(DIGEST),
    ]
    return f"What tools say of the code as it is, for your orientation only:\n\n{prompts.fence('findings', chr(10).join(lines))}"


def of_change(found: Table) -> str:
    """What review is told of a change, or build of what it wrote; nothing if nothing was found."""
    if not found.findings:
        return ""
    return f"What tools found that is new with this change; a tool may be wrong:\n\n{prompts.fence('findings', found.text(TOLD))}"
