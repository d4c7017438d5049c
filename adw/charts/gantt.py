"""The phases of a run over time: which slot was at work on what, and how each issue went; what decided how long it took is outlined."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter

from adw.charts.drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, RED, SKY, YELLOW, Clock, clock, drawn, stacked
from adw.errors import Misuse
from adw.model import BASE, phase_of
from adw.timeline import Bar, Timeline

COLOURS = {"plan": BLUE, "build": ORANGE, "test": GREEN, "review": PURPLE, "document": SKY, "land": INK}
CHECK = YELLOW  # what a repository's own checks have
DARK = {BLUE, GREEN, INK}  # colours on which words are white
WAITS: dict[str, dict[str, Any]] = {"slot": {"facecolor": PALE}, "person": {"facecolor": "white", "edgecolor": GREY, "hatch": "...."}}
OUTLINE: dict[str, Any] = {"facecolor": "none", "edgecolor": INK, "linewidth": 1.6}
ILL = ("no", "failed", "cut")
WIDTH, AROUND = 13.0, 2.0  # inches; of the height, what is no row
SLOT, ISSUE = 0.26, 0.24  # inches of a row
TALLEST = 18.0  # inches of all issues, and a quarter of that of all slots: beyond that rows get thinner
LABEL, LETTER = 0.135, 0.06  # inches of a row's name, and of a letter in a bar
READABLE = 0.13  # inches of a bar's height from which on it has words
WAIT = 0.3  # of a row's height
THIN = 500  # of the width: what is narrower is drawn so wide, and takes no layer of its own
AGAIN = "////"  # a try that is not the first


def draw(file: Path, run: Timeline, title: str = "") -> None:
    """Draw a run; Misuse if nothing ran in it."""
    if not any(bar.state != "cached" for bar in run.bars):
        msg = "there is no picture to draw of the run: no phase has been at work in it"
        raise Misuse(msg)
    slots, issues = sorted(set(run.lanes.values())), list(dict.fromkeys(bar.issue for bar in run.bars))
    heights = [max(0.6, min(len(slots) * SLOT, TALLEST / 4)), max(0.6, min(len(issues) * ISSUE, TALLEST))]
    with drawn(file, WIDTH, sum(heights) + AROUND) as figure:
        above, below = stacked(figure, heights, sharex=True)
        _slots(_Panel(above, run, "slot", heights[0] / len(slots), frozenset(run.critical)), slots)
        _issues(_Panel(below, run, "bar", heights[1] / len(issues), frozenset(run.critical)), issues)
        above.set_title(f"{title}: {_said(run, len(slots))}" if title else _said(run, len(slots)))
        below.set_xlabel("time of the run")
        figure.legend(handles=_legend(run), loc="outside lower center", ncols=12, fontsize=8)


def _said(run: Timeline, slots: int) -> str:
    """What a reader wants to know first."""
    ended = ", ".join(f"{number} {state}" for state, number in Counter(run.ends.values()).most_common())
    return f"{clock(run.wall)} on {slots} {'slot' if slots == 1 else 'slots'}{f'; {ended}' if ended else ''}"


@dataclass(frozen=True, slots=True)
class _Panel:
    """Rows of bars over the time of the run."""

    axes: Axes
    run: Timeline
    kind: str
    row: float  # inches
    critical: frozenset[Bar]

    def bar(self, bar: Bar, middle: float, height: float) -> None:
        """A phase at work, with how it ended if that is not well."""
        begins, ends = self.run.elapsed(bar.begins), self.run.elapsed(bar.ends)
        place, size = (begins, middle - height / 2), (max(ends - begins, self.run.wall / THIN / 4), height)
        colour, hatch = _colour(bar), AGAIN if bar.attempt > 1 else ""
        self.axes.add_artist(Rectangle(place, *size, gid=f"{self.kind}-{bar.name}", facecolor=colour, edgecolor="white", linewidth=0.4, hatch=hatch))
        if bar in self.critical:
            self.axes.add_artist(Rectangle(place, *size, gid=f"critical-{self.kind}-{bar.name}", zorder=3, **OUTLINE))
        if bar.state in ILL:
            self.axes.plot(ends, middle, marker="x", markersize=4, color=RED, markeredgewidth=1.4, zorder=4, gid=f"{bar.state}-{self.kind}-{bar.name}")
        if height * self.row >= READABLE:
            self._word(bar, (begins + ends) / 2, middle, (ends - begins) / self.run.wall * (WIDTH - 3) / LETTER)

    def _word(self, bar: Bar, at: float, middle: float, room: float) -> None:
        """As much as fits of what it is."""
        words = (f"{bar.issue} {bar.phase}", bar.issue) if self.kind == "slot" else (bar.phase,)
        if word := next((word for word in words if len(word) <= room), ""):
            colour = "white" if _colour(bar) in DARK else INK
            behind = {"facecolor": _colour(bar), "linewidth": 0, "pad": 0.6} if bar.attempt > 1 else None
            self.axes.text(at, middle, word, ha="center", va="center", fontsize=6.5, color=colour, bbox=behind, clip_on=True)

    def label(self, names: Sequence[str]) -> None:
        """Name the rows, or as many of them as there is room for; and what all panels have."""
        each = max(1, round(LABEL / self.row + 0.49))
        self.axes.set_ylim(len(names) - 0.4, -0.6)
        self.axes.set_yticks(range(0, len(names), each), names[::each], fontsize=7.5)
        self.axes.tick_params(axis="y", length=0)
        self.axes.grid(visible=False, axis="y")
        self.axes.set_xlim(0, self.run.wall * 1.01)
        self.axes.xaxis.set_major_locator(Clock())
        self.axes.xaxis.set_major_formatter(FuncFormatter(clock))
        for at, seconds in self.run.pauses:
            self.axes.axvline(at, color=RED, linewidth=1, linestyle="--", gid="pause")
            if self.kind == "slot":  # between the panels, where nothing else is
                place: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "xytext": (3, -3), "textcoords": "offset points", "va": "top"}
                self.axes.annotate(f"stopped for {clock(seconds)}", (at, 0), fontsize=7, color=RED, **place)


def _slots(panel: _Panel, slots: Sequence[tuple[str, int]]) -> None:
    """Which slot was at work on what."""
    for bar, slot in panel.run.lanes.items():
        panel.bar(bar, slots.index(slot), 0.8)
    panel.label([f"{host} slot {number}".strip() for host, number in slots])


def _issues(panel: _Panel, issues: Sequence[str]) -> None:
    """How each issue went, in the order in which they began; and the branch as it is, which has its test."""
    run, axes, rows = panel.run, panel.axes, {issue: row for row, issue in enumerate(issues)}
    for wait in run.waits:
        if wait.issue in rows:
            begins, ends = run.elapsed(wait.begins), run.elapsed(wait.ends)
            axes.add_artist(Rectangle((begins, rows[wait.issue] - WAIT / 2), ends - begins, WAIT, linewidth=0, gid=f"wait-{wait.issue}", **WAITS[wait.reason]))
    for issue, row in rows.items():
        bars = [bar for bar in run.bars if bar.issue == issue]
        for bar, (layer, deep) in layers([bar for bar in bars if bar.state != "cached"], run.wall / THIN).items():
            panel.bar(bar, row - 0.4 + 0.8 * (layer + 0.5) / deep, 0.8 / deep)
        for bar in bars:
            if bar.state == "cached":
                axes.plot(run.elapsed(bar.begins), row, marker="d", markersize=3.5, color=_colour(bar), markeredgewidth=0, gid=f"cached-{bar.name}")
            if bar.phase == "land" and bar.state == "done":
                axes.plot(
                    run.elapsed(bar.ends), row, marker=">", markersize=6, color=INK, markeredgecolor="white", zorder=5, gid=f"landed-{issue}", clip_on=False
                )
    titles = {issue: run.titles.get(issue, issue) for issue in issues} | {BASE: "the branch as it is"}
    panel.label([_short(issue if issue == titles[issue] else titles[issue] if issue == BASE else f"{issue}: {titles[issue]}") for issue in issues])


def layers(bars: Iterable[Bar], thin: float) -> dict[Bar, tuple[int, int]]:
    """The layer of each bar, of how many: what is at work at the same time is one above the other. What is thin is in nobody's way."""
    found, together, free = dict[Bar, tuple[int, int]](), dict[Bar, int](), list[float]()
    for bar in bars:
        if bar.ends - bar.begins < thin:
            found[bar] = (0, 1)
            continue
        if free and max(free) <= bar.begins + thin:
            found |= {other: (layer, len(free)) for other, layer in together.items()}
            together, free = {}, []
        layer = next((number for number, until in enumerate(free) if until <= bar.begins + thin), len(free))
        free[layer : layer + 1] = [bar.ends]
        together[bar] = layer
    return found | {other: (layer, len(free)) for other, layer in together.items()}


def _colour(bar: Bar) -> str:
    return COLOURS.get(phase_of(bar.phase), CHECK)


def _short(text: str, most: int = 38) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _legend(run: Timeline) -> list[Patch | Line2D]:
    """What colours and signs mean, as far as there are any."""
    bars, ran = run.bars, {_colour(bar) for bar in run.bars}
    shown: list[Patch | Line2D] = [Patch(facecolor=colour, label=phase) for phase, colour in COLOURS.items() if colour in ran and phase != "land"]
    if CHECK in ran:
        shown.append(Patch(facecolor=CHECK, label="a check"))
    if any(bar.attempt > 1 for bar in bars):
        shown.append(Patch(facecolor="white", edgecolor=GREY, hatch=AGAIN, label="a later try"))
    waits = {wait.reason for wait in run.waits}
    shown += [Patch(label=f"waits for a {reason}", **look) for reason, look in WAITS.items() if reason in waits]
    shown.append(Patch(label="critical path", **OUTLINE))
    signs = [
        ("d", GREY, "found done", any(bar.state == "cached" for bar in bars)),
        (">", INK, "landed", any((bar.phase, bar.state) == ("land", "done") for bar in bars)),
        ("x", RED, "a no, or cut", any(bar.state in ILL for bar in bars)),
    ]
    return [
        *shown,
        *(Line2D([], [], marker=marker, color=colour, linestyle="none", markersize=5, label=name) for marker, colour, name, there in signs if there),
    ]
