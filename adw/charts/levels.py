"""What was measured at several levels, such as with more and more agents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.ticker import MaxNLocator

from adw.charts.drawing import GREY, INK, SERIES, drawn, stacked

WIDTH, HEIGHT = 7.5, 4.6
MARKS = "osD^vPX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A value for each level; with the least and the most that were measured, where it was measured more than once."""

    name: str
    values: Mapping[float, float]
    spread: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    bound: bool = False  # what could be reached at most, or what others say: drawn thin, and without marks


def speed_up(  # noqa: PLR0913 - a picture has as many words
    file: Path,
    curves: Sequence[Curve],
    *,
    title: str = "Speed-up",
    level: str = "agents",
    value: str = "times as fast as one after another",
    ideal: bool = True,
) -> None:
    """Curves over levels; with `ideal`, also the line of twice as much with twice as many."""
    levels = sorted({at for curve in curves for at in curve.values})
    most = max((value for curve in curves for value in curve.values.values()), default=1.0)
    with drawn(file, WIDTH, HEIGHT) as figure:
        (axes,) = stacked(figure, [1])
        if ideal and levels:
            axes.plot([0, levels[-1]], [0, levels[-1]], color=GREY, linewidth=0.8, linestyle=":", label="as many times as there are agents", gid="ideal")
        for number, curve in enumerate(curves):
            at, colour = sorted(curve.values), SERIES[number % len(SERIES)]
            values = [curve.values[one] for one in at]
            look: dict[str, Any] = (
                {"linewidth": 1.2, "linestyle": "--"} if curve.bound else {"linewidth": 2.0, "marker": MARKS[number % len(MARKS)], "markersize": 5}
            )
            axes.plot(at, values, color=colour, label=curve.name, gid=f"curve-{curve.name}", **look)
            if curve.spread:
                below, above = ([abs(curve.spread.get(one, (curve.values[one],) * 2)[end] - curve.values[one]) for one in at] for end in (0, 1))
                axes.errorbar(at, values, yerr=[below, above], fmt="none", ecolor=colour, elinewidth=1, capsize=3)
            if values and not curve.bound:
                axes.annotate(f"{values[-1]:.1f}", (at[-1], values[-1]), xytext=(6, -3), textcoords="offset points", color=INK, fontsize=8)
        axes.set(title=title, xlabel=level, ylabel=value, xlim=(0, None), ylim=(0, most * 1.12))
        axes.set_xticks(levels)
        axes.legend(loc="upper left", fontsize=8)


def bars(file: Path, levels: Mapping[str, Mapping[str, float]], *, title: str, value: str) -> None:
    """A bar for each level, of what it is made of, such as the money of each phase; what it comes to is written above."""
    parts = list(dict.fromkeys(part for made in levels.values() for part in made))
    most = max((sum(made.values()) for made in levels.values()), default=1.0) or 1.0
    with drawn(file, WIDTH, HEIGHT) as figure:
        (axes,) = stacked(figure, [1])
        below = dict.fromkeys(levels, 0.0)
        for number, part in enumerate(parts):
            amounts = [made.get(part, 0.0) for made in levels.values()]
            drawn_bars = axes.bar(list(levels), amounts, bottom=list(below.values()), color=SERIES[number % len(SERIES)], label=part, width=0.6)
            for name, bar in zip(levels, drawn_bars, strict=True):
                bar.set_gid(f"bar-{name}-{part}")
            below = {name: below[name] + made.get(part, 0.0) for name, made in levels.items()}
        for place, total in enumerate(below.values()):
            axes.annotate(f"{total:,.3g}", (place, total), xytext=(0, 3), textcoords="offset points", ha="center", color=INK, fontsize=8)
        axes.set(title=title, ylabel=value, ylim=(0, most * 1.15))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.grid(visible=False, axis="x")
        if len(parts) > 1:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
