"""Results as Markdown: for the terminal, for the Prefect UI and for `docs/benchmarks.md`. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from benchmarks.levels import Level, Table, tables
from benchmarks.results import Line, Spread, figures, loads, spread, trials

MATRIX = (  # what, what adw does about it, the phase and its agent's share that is no part of it, and what the analysis says at least and at most
    ("Planning", "skills at once, and known for the base", "plan", 0.0, (1.0, 1.0)),
    ("Code generation", "parts in slots of their own, skills at once", "build", 0.0, (1.3, 1.5)),
    ("Testing", "groups in slots of their own", "test", 0.0, (1.5, 2.0)),
    ("Review", "skills at once", "review", 0.0, (1.3, 1.5)),
    ("Documentation", "beside test and review, so that nobody waits for it", "document", 0.0, (1.5, 2.0)),
    ("Analysis", "skills at once: those of review", "review", 90.0, (2.0, 3.0)),
)
RESOURCES = (  # what, in which unit, where in a line and by what divided, and how many times as much the analysis says
    ("CPU of agents and tests, mean", "cores", ("mean", "agents_cpu", 1), 4.0),
    ("CPU of adw, mean", "cores", ("mean", "adw_cpu", 1), 0.0),
    ("memory of agents and tests, at most", "MB", ("peak", "agents_memory", 1e6), 3.5),
    ("memory of adw with its server, at most", "MB", ("peak", "adw_memory", 1e6), 0.0),
    ("disk of the slots, at most", "MB", ("peak", "pool_disk", 1e6), 6.0),
    ("disk of all that adw has, at most", "MB", ("peak", "home_disk", 1e6), 0.0),
    ("network, mean", "kB/s", ("mean", "network", 1e3), 3.0),
)
SWITCHED = ("one after another, by adw", "full stack")  # the levels whose phases are compared


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def page(lines: Sequence[Line]) -> str:
    """All tables that there are results for."""
    parts = [part for table in tables().values() if (part := of_table(table, lines))]
    return "\n\n".join(filter(None, [*parts, rest(lines)]))


def rest(lines: Iterable[Line]) -> str:
    """Figures that are in no table of the analysis; nothing if there are none."""
    others = [line for line in lines if "what" in line]
    shares = {f"{line['benchmark']}, {line['what']}": f"{line['times']} times, {line['share']:.2%}" for line in others if "share" in line}
    head = ("figure", "median", "spread", *(["in a workflow"] if shares else []))
    rows = [
        [name, f"{found.middle:,.3g} {unit}", _range(found), *([shares.get(name, "")] if shares else [])] for (name, unit), found in figures(others).items()
    ]
    return grid(head, rows) if rows else ""


def of_table(table: Table, lines: Iterable[Line]) -> str:
    """A table of the analysis, beside what was measured; nothing if nothing was."""
    found = trials(lines, table.name)
    if not found:
        return ""
    if table.name == "money":
        return f"**{table.title}**\n\n" + _money(table, found)
    if table.name == "resources":
        return f"**{table.title}**\n\n" + "\n\n".join([_resources(table, found), *_notes(table, found)])
    head = ["", "time", "spread", "times as fast", "the analysis", "against it", "best schedule", "of it", *(["efficiency"] if table.name == "agents" else [])]
    rows = [list(_row(table, level, found[level.name])) for level in table.levels if level.name in found]
    notes = list(_notes(table, found))
    return f"**{table.title}**\n\n" + "\n\n".join([grid(head, rows), *notes])


def _row(table: Table, level: Level, lines: Sequence[Line]) -> Iterator[str]:
    minute, wall, speed = float(lines[0]["minute"]), spread(lines, "wall"), faster(lines)
    yield level.name + (f" (aim: {level.aim:g}×)" if level.aim else "")
    yield f"{wall.middle / minute:.2f} min"
    yield f"{min(wall.values) / minute:.2f}–{max(wall.values) / minute:.2f}"
    yield f"{speed:.2f}×" + (" ✗" if level.aim and speed < level.aim else "")
    yield f"{level.speed:.2f}×" if level.speed else ""
    yield f"{speed / level.speed:.2f}" if level.speed else ""
    yield f"{lines[0]['best'] / minute:.2f} min"
    yield f"{wall.middle / lines[0]['best']:.3f}"
    if table.name == "agents":
        yield f"{speed / level.switches.slots:.0%}" + (f" ({level.speed / level.switches.slots:.0%})" if level.speed else "")


def _resources(table: Table, found: Mapping[str, Sequence[Line]]) -> str:
    """What the levels take, the last one also as a multiple of the first one."""
    levels = [level.name for level in table.levels if level.name in found]

    def row(name: str, unit: str, of: Callable[[Line], float], said: float) -> list[str]:
        values = [Spread(tuple(of(line) for line in found[level])).middle for level in levels]
        times = f"{values[-1] / values[0]:.1f}×" if len(values) > 1 and values[0] else ""
        return [name, *(f"{value:,.3g} {unit}" for value in values), times, f"{said:g}×" if said else ""]

    return grid(
        ("", *levels, "as a multiple", "the analysis"),
        [row(name, unit, lambda line, of=of: line["used"][of[0]][of[1]] / of[2], said) for name, unit, of, said in RESOURCES]  # type: ignore[misc]
        + [row("calls of the model a minute of the analysis", "", lambda line: line["used"]["calls"] * line["minute"] / 60, 3.0)],
    )


def faster(lines: Sequence[Line]) -> float:
    """How many times as fast as one after another, which takes what its parts take."""
    return float(lines[0]["alone"]) / spread(lines, "wall").middle


def _notes(table: Table, found: Mapping[str, Sequence[Line]]) -> Iterator[str]:
    lines = [line for some in found.values() for line in some]
    machine = lines[0]["machine"]
    times = {len(some) for some in found.values()}
    said = f"{min(times)} to {max(times)} times each" if len(times) > 1 else f"{times.pop()} times each"
    busy = loads(lines)
    minutes = {level: some[0]["minute"] for level, some in found.items()}
    usual = max(minutes.values())
    shorter = "; ".join(f"{minute:g} s for {level}" for level, minute in minutes.items() if minute != usual)
    yield (
        f"{usual:g} s for a minute of the analysis{f' ({shorter})' if shorter else ''}; {said}; {machine['cores']} cores, {machine['memory_gb']:g} GB, {machine['system']}; "
        + (f"others were at work, too: {busy}" if busy else "nothing else to do")
        + "."
    )
    worse = [level.name for level in table.levels if level.name in found and level.speed and faster(found[level.name]) < level.speed * 0.995]
    if worse:
        yield f"Slower than the analysis says: {'; '.join(worse)}."


def _money(table: Table, found: Mapping[str, Sequence[Line]]) -> str:
    head = ("", "a workflow", "tokens", "the analysis")
    rows = (
        [level.name, f"${spread(some, 'usd').middle:.2f}", f"{spread(some, 'tokens').middle:,.0f}", f"${level.usd:.2f}" if level.usd else ""]
        for level in table.levels
        if (some := found.get(level.name))
    )
    return grid(head, rows)


def matrix(lines: Sequence[Line]) -> str:
    """Appendix B: how many times as fast each phase is with everything on, in the one workflow; nothing if that was not measured."""
    found = trials(lines, "one")
    if not all(level in found for level in SWITCHED):
        return ""
    rows = []
    for name, how, phase, agent, (low, high) in MATRIX:
        slow, fast = (Spread(tuple(line["phases"][phase] - agent * line["minute"] / 60 for line in found[level])).middle for level in SWITCHED)
        said = f"{low:.1f}×" if low == high else f"{low:.1f}–{high:.1f}×"
        rows.append([name, how, f"{slow / found[SWITCHED[0]][0]['minute']:.2f} min", f"{slow / fast:.2f}×", said])
    return grid(("", "by", "one after another", "times as fast", "the analysis"), rows)


def _range(found: Spread) -> str:
    return f"{min(found.values):.3g}–{max(found.values):.3g}" if len(found.values) > 1 else ""
