"""What a run used of its machine over time: CPU, memory, slots, network and calls of models, disk."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from adw.charts.drawing import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, RED, Clock, clock, drawn, stacked
from adw.errors import Misuse
from adw.timeline import Timeline
from adw.usage import GAP, KB, MB, Window

WIDTH, HEIGHT = 11.0, 1.55  # inches; of a panel
MINUTE = 60.0
AGENTS, ADW, OTHERS = (
    {"color": ORANGE, "label": "agents, tests and tools"},
    {"color": BLUE, "label": "adw and its server"},
    {"color": PALE, "label": "others"},
)


def draw(file: Path, windows: Sequence[Window], run: Timeline, cores: int = 0, title: str = "") -> None:
    """Draw what was used in a run; Misuse if nothing was measured."""
    if not windows:
        msg = "there is no picture to draw of what the run used: nothing was measured"
        raise Misuse(msg)
    panels: list[Callable[[_Panel], None]] = [_cpu, _memory, _slots, _network, _disk, *([_calls] if run.calls else [])]
    with drawn(file, WIDTH, HEIGHT * len(panels) + 0.5) as figure:
        for axes, panel in zip(stacked(figure, [1] * len(panels), sharex=True), panels, strict=True):
            panel(_Panel(axes, windows, run, cores))
            axes.set_xlim(0, max(run.wall, run.elapsed(windows[-1].until), 0.001))
            axes.set_ylim(0, None)
            axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_locator(Clock())
            axes.xaxis.set_major_formatter(FuncFormatter(clock))
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=7.5)
        axes.set_xlabel("time of the run")
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")


def steps(windows: Sequence[Window], run: Timeline, name: str, *, peak: bool = False, gap: float = 0.0) -> tuple[list[float], list[float]]:
    """Times and values of what was measured, one of `Used`, as steps; `gap` where the run was stopped."""
    times, values = list[float](), list[float]()
    for before, window in zip((None, *windows), windows, strict=False):
        since, until = run.elapsed(window.since), run.elapsed(window.until)
        value = getattr(window.peak if peak else window.mean, name)
        if before and window.since - before.until > GAP:
            times, values = [*times, times[-1], since], [*values, gap, gap]
        times, values = [*times, since, until], [*values, value, value]
    return times, values


@dataclass(frozen=True, slots=True)
class _Panel:
    """One picture of several over the same time."""

    axes: Axes
    windows: Sequence[Window]
    run: Timeline
    cores: int

    def line(self, name: str, unit: float, **look: Any) -> None:
        """A line of means, with what it was at most as a pale area behind it."""
        (times, means), (_, peaks) = (steps(self.windows, self.run, name, peak=peak, gap=nan) for peak in (False, True))
        means, peaks = [value / unit for value in means], [value / unit for value in peaks]
        self.axes.fill_between(times, means, peaks, color=look["color"], alpha=0.25, linewidth=0)
        self.axes.plot(times, means, linewidth=1.4, gid=name, **look)


def _cpu(panel: _Panel) -> None:
    """Cores, one above the other: what is at the top is what the machine had to do."""
    parts = [("agents_cpu", AGENTS), ("adw_cpu", ADW), ("others_cpu", OTHERS), ("stolen_cpu", {"color": RED, "label": "stolen by other guests"})]
    values = [steps(panel.windows, panel.run, name)[1] for name, _ in parts]
    found = panel.axes.stackplot(
        steps(panel.windows, panel.run, "load")[0], values, colors=[look["color"] for _, look in parts], labels=[look["label"] for _, look in parts]
    )
    for area, (name, _) in zip(found, parts, strict=True):
        area.set_gid(name)
        area.set_linewidth(0)
    if panel.cores:
        panel.axes.axhline(panel.cores, color=INK, linewidth=0.8, linestyle="--", label=f"all {panel.cores} cores")
    panel.axes.set_ylabel("cores")


def _memory(panel: _Panel) -> None:
    panel.line("agents_memory", MB, **AGENTS)
    panel.line("adw_memory", MB, **ADW)
    panel.axes.set_ylabel("memory, MB")


def _slots(panel: _Panel) -> None:
    """How many phases were at work, and how many waited for a slot."""
    run = panel.run
    work = [(run.elapsed(bar.begins), run.elapsed(bar.ends)) for bar in run.lanes]
    waits = [(run.elapsed(wait.begins), run.elapsed(wait.ends)) for wait in run.waits if wait.reason == "slot"]
    panel.axes.fill_between(*_counted(waits), color=PALE, step="post", label="wait for a slot", gid="waiting")
    panel.axes.plot(*_counted(work), drawstyle="steps-post", color=GREEN, linewidth=1.4, label="phases at work", gid="working")
    times, lent = zip(*[(run.elapsed(at), number) for at, number in run.lent], (run.wall, run.lent[-1][1]), strict=True) if run.lent else ((), ())
    panel.axes.plot(times, lent, drawstyle="steps-post", color=INK, linewidth=0.8, linestyle="--", label="slots that are lent", gid="lent")
    panel.axes.set_ylabel("phases")


def _counted(spans: Sequence[tuple[float, float]]) -> tuple[list[float], list[int]]:
    """How many of some spans there are at each time."""
    steps = sorted([(begins, 1) for begins, _ in spans] + [(ends, -1) for _, ends in spans])
    times, counts = [0.0], [0]
    for at, step in steps:
        times.append(at)
        counts.append(counts[-1] + step)
    return times, counts


def _network(panel: _Panel) -> None:
    panel.line("network", KB, color=PURPLE, label="the host's network")
    panel.line("loopback", KB, color=GREY, label="loopback")
    panel.axes.set_ylabel("kB a second")


def _disk(panel: _Panel) -> None:
    panel.line("pool_disk", MB, color=ORANGE, label="slots")
    panel.line("home_disk", MB, color=BLUE, label="mirror, runs, server")
    panel.axes.set_ylabel("disk, MB")


def _calls(panel: _Panel) -> None:
    """Calls of models in each minute of the run."""
    minutes = [0] * (1 + int(panel.run.wall // MINUTE))
    for at, number in panel.run.calls:
        minutes[min(len(minutes) - 1, int(panel.run.elapsed(at) // MINUTE))] += number
    panel.axes.bar(
        [MINUTE * number for number in range(len(minutes))],
        minutes,
        width=MINUTE,
        align="edge",
        color=GREEN,
        edgecolor="white",
        label="calls of models",
        gid="calls",
    )
    panel.axes.set_ylabel("calls a minute")
