"""`adw skills` and `adw skills run`: what skills there are, and what they find in a folder."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table as Shown

from adw import mirror
from adw.cli.view import print_json
from adw.config import SkillsConfig
from adw.errors import Misuse, ToolMissing
from adw.git import locate
from adw.home import Place, writable_home
from adw.skills import registry, trees
from adw.skills.bench import KeptBench
from adw.skills.finding import Table
from adw.skills.registry import Skill
from adw.skills.running import Inputs, run_skills

LANGUAGES = {".py": "Python", ".js": "JavaScript", ".ts": "TypeScript", ".c": "C", ".cpp": "C++", ".cs": "C#", ".go": "Go", ".java": "Java", ".kt": "Kotlin"}
LANGUAGES |= {".lua": "Lua", ".php": "PHP", ".rb": "Ruby", ".rs": "Rust", ".scala": "Scala", ".swift": "Swift"}
WHERE = ("plan", "build", "review")
SOME = 3  # languages that a row names


def listed(repo: Path, *, as_json: bool) -> None:
    """Print all skills; and the plug-ins that could not be loaded."""
    config, folder = _config(repo), repo.absolute()
    rows = [_about(skill, config, folder) for skill in registry.known().values()]
    if as_json:
        print_json({"skills": rows, "broken": registry.broken()})
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    table = Shown(box=None, pad_edge=False)
    table.add_column("skill", no_wrap=True)
    for title in ("version", "finds", "languages", "tool", "told in"):
        table.add_column(title)
    for row in rows:
        table.add_row(*(str(row[name]) for name in ("name", "version", "about", "languages", "tool", "used")))
    console.print(table)
    console.print("\nAgents of build do two more, where a plan's items can be built at once: generate_code (each its items) and integrate (the whole).")
    for name, why in registry.broken().items():
        console.print(f"the plug-in {name} could not be loaded: {why}")


def _about(skill: Skill, config: SkillsConfig, folder: Path) -> dict[str, str]:
    used = ", ".join(phase for phase in WHERE if skill.name in config.at(phase))
    return {
        "name": skill.name,
        "version": skill.version,
        "about": skill.about,
        "languages": _some([LANGUAGES[suffix] for suffix in skill.suffixes if suffix in LANGUAGES] or list(skill.suffixes) or ["all"]),
        "tool": ", ".join(_tool(skill, folder)),
        "used": used or "-",
    }


def _some(names: Sequence[str]) -> str:
    """Names, as many as a column holds."""
    return ", ".join(names[:SOME]) + (f" and {len(names) - SOME} more" if len(names) > SOME else "")


def _tool(skill: Skill, folder: Path) -> list[str]:
    """Its tools, each with its version, or that it is not there."""
    own = [f"{have} (not installed)" if have == name else have for name, have in zip(skill.tools, skill.installed(), strict=True)]
    if not skill.program:
        return own
    try:
        return [*own, KeptBench.by_hand(folder).program(skill.program)]
    except ToolMissing as no:
        return [*own, str(no)]


def by_hand(names: Sequence[str], *, as_json: bool) -> int:
    """Run skills on the folder that comes last, and print what they find; 1 if that is an error, or one did not come to an end."""
    *asked, path = names
    folder = Path(os.path.realpath(path))
    if not asked:
        msg = f"name skills and a folder, as in `adw skills run all {path}`; `adw skills` lists them"
        raise Misuse(msg)
    for name in asked:
        if name != "all":
            registry.found(name)
    if not folder.is_dir():
        msg = f"there is no folder {path}: name the one to look at behind the skills"
        raise Misuse(msg)
    writable_home()
    inputs = Inputs(tree=trees.of_folder(folder), bench=KeptBench.by_hand(folder), place=_place(folder))
    config = _config(folder)
    found = run_skills(registry.known() if "all" in asked else asked, inputs, limit=config.limit, seconds=config.seconds)
    _print(found, as_json=as_json)
    return 1 if any(finding.severity == "error" for finding in found.findings) or any(row.severity != "note" for row in found.troubles) else 0


def _print(found: Table, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(found))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    table = Shown("severity", "place", "finding", "skill", box=None)
    for row in found.rows:
        table.add_row(row.severity, f"{row.file}:{row.line}" if row.line else row.file, row.message, row.source)
    console.print(table if found.rows else "nothing was found")
    known, looked = sum(ran.known for ran in found.ran), sum(ran.looked for ran in found.ran)
    console.print(f"{len(found.findings)} findings; {looked} files were looked at, and {known} were known")


def _config(folder: Path) -> SkillsConfig:
    try:
        hub = mirror.find_hub(folder)
    except Misuse:
        return SkillsConfig()  # in no repository, or in one without a branch
    return hub.config().skills


def _place(folder: Path) -> Place:
    """Where results are kept: with those of the repository that the folder is in."""
    try:
        return Place.of(locate(folder).directory)
    except Misuse:
        return Place.of(folder)
