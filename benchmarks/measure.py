"""Measures a level once, and notes it as a line of the results."""

from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import Any

from adw import usage
from adw.timeline import timeline
from benchmarks.journals import steps
from benchmarks.levels import Level
from benchmarks.machine import Book
from benchmarks.trial import Ran, Trial, phases, told

AROUND = 2.0  # seconds around the beginning or the end of a phase in which adw does not only wait: its events are sent by then


def measured(  # noqa: PLR0913 - what is measured, how, and where
    level: Level, number: int, minute: float, folder: Path, home: Path, book: Book
) -> dict[str, Any]:
    """Deliver what a level asks for, in a folder and a home of the benchmark's; returns what was noted."""
    switches = level.switches
    trial = Trial(Path(mkdtemp(dir=folder)), home, level.workload(minute), switches.slots, switches.known)
    ran = trial.run(level.by)
    alone, bound, best = level.limits(minute)
    about: dict[str, Any] = {"table": level.table, "level": level.name, "round": number, "minute": minute, "features": switches.features}
    about |= {"slots": switches.slots, "by": level.by, "wall": ran.wall, "command": ran.command, "alone": alone, "bound": bound, "best": best}
    if ran.folder and level.picture:
        _draw(ran, ran.folder, book.file.with_suffix(""), level)
    if ran.folder:
        about |= {"used": _used(ran, ran.folder), "where": list(steps(ran.events, level.planned(minute)))}
    book.note(ran.seen, **about, **_spent(ran, switches.features), phases={name: median(took) for name, took in phases(ran.events).items()})
    return about


def _draw(ran: Ran, run: Path, folder: Path, level: Level) -> None:
    """Draw a run into a folder beside the results: when what was at work, and what that took of the machine."""
    from adw.charts import gantt, resources  # noqa: PLC0415 - they import matplotlib

    folder.mkdir(exist_ok=True)
    told_of = timeline(ran.events)
    gantt.draw(folder / f"{level.picture}-gantt.svg", told_of, level.name)
    if windows := usage.read(run / "resources.jsonl"):
        resources.draw(folder / f"{level.picture}-resources.svg", windows, told_of, title=level.name)


def _used(ran: Ran, folder: Path) -> dict[str, Any]:
    """What adw's monitor saw in a run; and how much of a core adw took on average while nothing began or ended."""
    windows = usage.read(folder / "resources.jsonl")
    moments = [event["timestamp"] for event in ran.events if event["event"] == "phase"]
    within = [window for window in windows if min(moments) < window.since and window.until < max(moments)]  # behind that, reports are written
    quiet = [window for window in within if not any(window.since - AROUND < at < window.until + AROUND for at in moments)]
    waiting = usage.summed(quiet)
    calls = sum(event["calls"] for event in told(ran.events, "spent")) / (ran.wall / 60)
    return {**usage.flat(windows), "calls": calls, "waiting_cpu": waiting.mean.adw_cpu if waiting else None}


def _spent(ran: Ran, features: int) -> dict[str, float]:
    """What a feature cost, in US dollars and in tokens."""
    spent = told(ran.events, "spent")
    return {
        "usd": sum(event["usd"] for event in spent) / features,
        "tokens": sum(event["input"] + event["output"] for event in spent) / features,
    }
