"""What a run uses of its machine over time, and what that comes to: peaks and means, in a few lines.

It is kept in the run's folder, `resources.jsonl`, a line for each window of time. However long a run is, there are no more than
`MOST` lines: when there are, each two neighbours become one, and windows are twice as long from then on.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from adw.progress import Progress

MOST = 1000  # lines: half a megabyte at most, and more than a picture is wide
GAP = 5.0  # seconds between two windows that are not one after the other: the run was stopped
KB, MB = 10**3, 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What is used at a time: CPU in cores, memory and disk in bytes, network in bytes a second.

    `agents` are all commands that have a keeper: agents with their tools, tests, checks, setup and tools of skills. `adw` is the
    run's process, what it starts besides, whoever started it, and adw's own server, which may serve other runs, too. `others` is
    the rest of the machine.
    """

    agents_cpu: float = 0.0
    adw_cpu: float = 0.0
    others_cpu: float = 0.0
    stolen_cpu: float = 0.0  # by other guests of the same host
    load: float = 0.0  # processes that want a core, over the last minute
    agents_memory: float = 0.0  # resident: what processes share counts for each
    adw_memory: float = 0.0
    all_memory: float = 0.0  # that is not available, whoever has it
    pool_disk: float = 0.0
    home_disk: float = 0.0  # mirror, runs, results, and the server's database
    network: float = 0.0  # of the whole host, both ways
    loopback: float = 0.0

    @classmethod
    def of(cls, each: Callable[[str], float]) -> "Used":
        """Made from a value for each name."""
        return cls(**{field.name: each(field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Window:
    """What was used over some time: on average, and at most."""

    since: float  # epoch seconds
    until: float
    mean: Used
    peak: Used

    @property
    def seconds(self) -> float:
        """How long that is."""
        return self.until - self.since

    def line(self) -> str:
        """As a line of JSON, rounded to what was measured."""
        told = {"since": round(self.since, 2), "until": round(self.until, 2), "mean": _rounded(self.mean)}
        return json.dumps(told if self.peak == self.mean else told | {"peak": _rounded(self.peak)}, separators=(",", ":"))

    @classmethod
    def of(cls, line: str) -> "Window":
        """What a line says; ValueError if it was cut off. A name that this version does not know is left out."""
        told = json.loads(line)
        mean = Used.of(lambda name: told["mean"].get(name, 0.0))
        return cls(told["since"], told["until"], mean, Used.of(lambda name: told["peak"].get(name, 0.0)) if "peak" in told else mean)


def _rounded(used: Used) -> dict[str, Any]:
    return {name: round(value, 3) if name.endswith("cpu") or name == "load" else round(value) for name, value in asdict(used).items()}


def joined(windows: Sequence[Window]) -> Window:
    """Windows, of which there is one at least, as one."""
    seconds = sum(window.seconds for window in windows) or 1.0
    mean = Used.of(lambda name: sum(getattr(window.mean, name) * window.seconds for window in windows) / seconds)
    return Window(windows[0].since, windows[-1].until, mean, Used.of(lambda name: max(getattr(window.peak, name) for window in windows)))


def read(file: Path) -> list[Window]:
    """The windows of a run, in their order; none if it has none."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            found.append(Window.of(line))
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a crash
    return found


def summed(windows: Sequence[Window]) -> Window | None:
    """The whole run as one window; None if nothing was measured. Pauses do not count."""
    return joined(windows) if windows else None


class Book:
    """The file of a run, as it is written."""

    def __init__(self, file: Path) -> None:
        self._file = file
        before = read(file)  # a run that goes on
        self.each = _usual(before) if len(before) >= MOST // 2 else 0.0  # seconds that a line stands for at least; 0: they come as they are
        self._count, self._open = len(before), list[Window]()

    def add(self, window: Window) -> None:
        """Take in the next window; written once there is enough for a line."""
        self._open.append(window)
        if sum(one.seconds for one in self._open) >= self.each:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        if not self._open:
            return
        with self._file.open("a", encoding="utf-8") as file:
            file.write(joined(self._open).line() + "\n")
        self._open, self._count = [], self._count + 1
        if self._count >= MOST:
            self._thin_out()

    def _thin_out(self) -> None:
        """Make one of each two; a pause stays one."""
        thinned = list[list[Window]]()
        for window in read(self._file):
            last = thinned[-1] if thinned else []
            if len(last) == 1 and window.since - last[0].until < GAP:
                last.append(window)
            else:
                thinned.append([window])
        windows = [joined(pair) for pair in thinned]
        whole = self._file.with_suffix(".new")
        whole.write_text("".join(f"{window.line()}\n" for window in windows), encoding="utf-8")
        whole.replace(self._file)
        self._count, self.each = len(windows), _usual(windows)


def _usual(windows: Sequence[Window]) -> float:
    return median(window.seconds for window in windows)


def sentences(whole: Window, cores: int) -> list[str]:
    """What a run used, in a few lines for people: on average, and in brackets at most."""
    mean, peak = whole.mean, whole.peak

    def told(name: str, each: float = 1.0, form: str = ",.0f") -> str:
        return f"{getattr(mean, name) / each:{form}} ({getattr(peak, name) / each:{form}})"

    cpu = ", ".join(f"{name} {told(f'{name}_cpu', form='.2f')}" for name in ("agents", "adw", "others"))
    return [
        f"CPU, on average (at most), in cores{f' of {cores}' if cores else ''}: {cpu}; stolen {told('stolen_cpu', form='.2f')}; load {told('load', form='.1f')}",
        f"memory in MB: agents {told('agents_memory', MB)}, adw {told('adw_memory', MB)}, all of the machine {told('all_memory', MB)}",
        f"disk in MB: slots {told('pool_disk', MB)}, adw's own {told('home_disk', MB)}; network in kB a second: {told('network', KB)}, on loopback {told('loopback', KB)}",
    ]


def told(progress: Progress, used: Window | None) -> list[str]:
    """What a run took of its machine and of the models' APIs, and what phases waited for, a line each."""
    lines = sentences(used, progress.cores) if used else []
    if used and progress.hosts:
        hosts = ", ".join(sorted(progress.hosts))
        lines.append(f"measured on {progress.host}, and of agents only what the run's own process keeps: phases ran with a cluster's workers on {hosts}")
    if calls := progress.calls.total():
        minutes = max(1.0, (progress.last - progress.began) / 60)
        lines.append(f"calls of models: {calls:,}, {calls / minutes:,.1f} a minute on average, {max(progress.calls.values()):,} in one at most")
    if waits := [(seconds, phase) for phase, waited in progress.waited.items() for seconds in waited]:
        longest, phase = max(waits)
        times = "once" if len(waits) == 1 else f"{len(waits)} times"
        lines.append(f"phases waited for a slot {times}, {sum(seconds for seconds, _ in waits):,.0f} s in all, {longest:,.0f} s at most ({phase})")
    return lines


def flat(windows: Sequence[Window]) -> dict[str, Any]:
    """The same for scripts: mean and peak of each, empty if nothing was measured."""
    whole = summed(windows)
    return {"mean": _rounded(whole.mean), "peak": _rounded(whole.peak)} if whole else {}
