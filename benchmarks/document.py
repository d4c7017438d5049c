"""Writes `docs/benchmarks.md` and its pictures from results: `make benchmarks-doc RESULTS=bench.jsonl`. Nothing in it is written by hand."""

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from adw.charts.levels import Curve, bars, speed_up
from benchmarks import pages
from benchmarks.levels import Level, tables
from benchmarks.pages import faster
from benchmarks.results import Line, Spread, read, spread, trials

DOCS = Path(__file__).parent.parent / "docs"
MISSING = "*(not measured yet: `{how}`)*"
TITLES = {
    "one": "One workflow",
    "features": "Five features",
    "agents": "More and more agents",
    "peer": "A peer",
    "resources": "What it takes of the machine",
    "money": "What it costs",
}
ABOUT = {
    "one": "Plan, build, test, review and document of one feature. Each line switches one more thing on, by a setting of adw: `skills.limit` (1, then 16), "
    "`pool.size` (1, then 5), `memory.mode` together with a base that was looked at for an earlier issue, and in the full stack `build.parallel` and "
    "`[test.groups]`. *Memory* saves here what it really does: the analyses of the base are known; agents that only wait learn nothing from what they are told.",
    "features": "Without document, as in the analysis. Each feature is tested as it is merged onto those before it; the analysis' classes test no merged result. "
    "With skills, changes are also built in parts and tests run in groups.",
    "agents": "Plain phases: plan 3, build 7, test 4 and review 3 minutes, without skills and pieces. Behind the efficiency stands that of the analysis, "
    "which has one feature's minutes for any number of agents.",
    "peer": "agent-conductor 0.3.2 is what was found that installs from a registry, delivers several features in worktrees, and can be driven without a key "
    "(its planner against a model on loopback). It has one plan for two agents, and merges what they leave; it tests nothing, and knows no review, no try after a "
    "no and no resume. Its agents are taken to build, test and review by themselves.",
    "resources": "Agents here are small processes that wait: those of a real CLI take some hundred megabytes each ([agents](agents.md)). As minutes are "
    "short, adw's own work comes closer together, so its share of a core is larger than in real minutes.",
    "money": "Priced by adw's ledger, from tokens that the scripted agent tells: those of the analysis for each phase. Tests take none, as they are commands. "
    "Each agent that builds a part is taken to read as much as one that builds all, which is the worst case.",
}
REST = (
    "In *growth* agents and tests are over at once, so that what is left is adw's own. Of *real changes* the agent is over at once, and the tests compute: with two "
    "cores, twice as fast is about the most, whatever a schedule says that knows no cores. *Claude Code* is the real CLI, against a model on loopback that takes a "
    "second for a minute of the analysis."
)
NEAR = 1.05
BEYOND = (
    "What is beyond the best schedule is what a phase takes beside its waiting: slot, sandbox, process, git, a task of Prefect's. In minutes of six seconds that "
    "counts ten times what it does in real ones. Below each table is where it goes; what was done about it is told in decisions [27]"
    "(adr/0027-a-phase-gets-ready-before-it-has-its-slot.md) and [28](adr/0028-a-slot-is-kept-for-what-comes-behind.md)."
)
HEAD = """# Benchmarks

Made by `make benchmarks-doc` from results of `adw bench`; figures are medians. The analysis that adw comes from has estimates; these are measured, by real
deliveries of the `adw` command in a repository made for each, with agents, skills and tests that wait as long as the analysis says
([workflow.toml](../benchmarks/workflow.toml), [levels.toml](../benchmarks/levels.toml)).

- *times as fast*: against the same one after another, which takes exactly what its parts take: 19 minutes a workflow, 17 without document.
- *best schedule*: the shortest that is found for the same pieces and slots, if nothing else took any time; no schedule is shorter than the longest chain, or
  than all work divided by the slots (`benchmarks/limits.py`).
- *against it*: ours divided by the analysis'. Below 1 we are slower than it says.

To repeat a figure: `adw bench NAME --minute 6 --repeat 3 --out FILE`; one level of a table with `--level NAME`. `adw bench compare OLD NEW` says what moved
beyond noise. `adw bench deploy` offers all of it in the Prefect UI.
"""


def document(lines: Sequence[Line], pictures: Path) -> str:
    """The page; its pictures go into a folder beside it, in which those of runs are already."""
    parts = [HEAD, "## Aims\n\n" + aims(lines)]
    for name, title in TITLES.items():
        text = pages.of_table(tables()[name], lines).partition("\n\n")[2] or MISSING.format(how=f"adw bench {name}")
        files = [*drawings(name, lines, pictures), *sorted(pictures.glob(f"{name}-*.svg"))]
        drawn = "\n\n".join(f"![{title}]({pictures.name}/{file.name})" for file in files)
        parts.append("\n\n".join(filter(None, [f"## {title}", ABOUT[name], text, drawn, where(name, lines)])))
    parts.append("## Which phase gains how much\n\n" + (pages.matrix(lines) or MISSING.format(how="adw bench one")))
    parts.append(
        f"## Each thing alone, growth, and real work\n\n{REST}\n\n" + (pages.rest(lines) or MISSING.format(how="adw bench overheads, growth and real"))
    )
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def aims(lines: Sequence[Line]) -> str:
    """What was to be reached, and what was."""
    rows = [[name, *row] for name, table in tables().items() for level in table.levels if (row := _aim(level, trials(lines, name).get(level.name, [])))]
    waits = [line["used"]["waiting_cpu"] for line in lines if line.get("used", {}).get("waiting_cpu") is not None and line["by"] == "adw"]
    cpu = f"\n\n{_waiting(Spread(tuple(waits)))}" if waits else ""
    return pages.grid(("", "level", "to be", "is", f"of the best schedule (to be: {NEAR})"), rows) + cpu + "\n\n" + BEYOND


def _waiting(cpu: Spread) -> str:
    """What adw takes itself while nothing begins or ends: in some runs that is a few seconds, in which what its server does now and then weighs much."""
    most = f"{min(cpu.values):.1%} to {max(cpu.values):.1%} in single runs, some of which have but a few such seconds"
    return f"While agents wait, adw takes {cpu.middle:.1%} of a core (to be: less than 10 %); {most}."


def _aim(level: Level, lines: Sequence[Line]) -> list[str]:
    if not level.aim:
        return []
    if not lines:
        return [level.name, f"{level.aim:g}×", "not measured", ""]
    speed, of_best = faster(lines), spread(lines, "wall").middle / lines[0]["best"]
    missed = [" ✗" if no else "" for no in (speed < level.aim, of_best > NEAR)]
    return [level.name, f"{level.aim:g}×", f"{speed:.2f}×{missed[0]}", f"{of_best:.3f}{missed[1]}"]


def where(name: str, lines: Sequence[Line]) -> str:
    """Where the time went of the level that is furthest from its best schedule, beyond what its parts wait."""
    found = [line for some in trials(lines, name).values() for line in some if "where" in line]
    if not found or name in {"money", "resources"}:
        return ""
    worst = max(found, key=lambda line: float(line["wall"]) / float(line["best"]))
    steps = "; ".join(f"{step} {took:.1f} s" for step, took in worst["where"] if took > 0.05)  # noqa: PLR2004 - no more than noise
    return f"Furthest from its best schedule, {worst['wall'] - worst['best']:.1f} s: {worst['level']}. The way of its last issue, beyond its waiting: {steps}."


def drawings(name: str, lines: Sequence[Line], folder: Path) -> Iterator[Path]:
    """The pictures of a table."""
    found = trials(lines, name)
    levels = [level for level in tables()[name].levels if level.name in found]
    if name == "agents" and len(levels) > 1:
        at = {level.switches.slots: found[level.name] for level in levels}
        ours = {slots: faster(some) for slots, some in at.items()}
        around = {slots: tuple(some[0]["alone"] / wall for wall in _ends(some)) for slots, some in at.items()}
        curves = [
            Curve(name="adw", values=ours, spread=around),  # type: ignore[arg-type]
            Curve(name="the best schedule", values={slots: some[0]["alone"] / some[0]["best"] for slots, some in at.items()}, bound=True),
            Curve(name="the analysis", values={level.switches.slots: level.speed for level in levels}, bound=True),
        ]
        speed_up(folder / "agents.svg", curves, title="Ten features")
        yield folder / "agents.svg"
    if name == "money" and levels:
        bars(folder / "money.svg", {level.name: {"usd": spread(found[level.name], "usd").middle} for level in levels}, title="A workflow", value="US dollars")
        yield folder / "money.svg"


def _ends(lines: Sequence[Line]) -> tuple[float, float]:
    values = spread(lines, "wall").values
    return max(values), min(values)


def main() -> int:
    """Write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.document", description="Write docs/benchmarks.md from results.")
    parser.add_argument("results", type=Path, nargs="+", help="files that `adw bench` has written")
    parser.add_argument("--docs", type=Path, default=DOCS, help="the folder to write into")
    given = parser.parse_args()
    pictures = given.docs / "benchmarks"
    pictures.mkdir(parents=True, exist_ok=True)
    for drawn in (drawn for file in given.results for drawn in file.with_suffix("").glob("*.svg")):
        shutil.copy(drawn, pictures)
    (given.docs / "benchmarks.md").write_text(document([line for file in given.results for line in read(file)], pictures), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
