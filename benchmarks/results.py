"""What results say, line by line of JSON: medians and spread of what was repeated, and the ratios that can be compared elsewhere. Pure."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from adw.errors import Misuse

Line = dict[str, Any]
BUSY, STOLEN = 1.0, 0.02  # a load before, and a share of the cores' time: with more than that others were at work


@dataclass(frozen=True, slots=True)
class Spread:
    """What was measured several times."""

    values: tuple[float, ...]

    @property
    def middle(self) -> float:
        """The median."""
        return median(self.values)

    @property
    def width(self) -> float:
        """The difference of the largest and the smallest."""
        return max(self.values) - min(self.values)

    def apart(self, other: "Spread") -> bool:
        """Whether no value of the one lies among those of the other."""
        return max(self.values) < min(other.values) or max(other.values) < min(self.values)


def read(file: Path) -> list[Line]:
    """The lines of a file of results. Misuse if it has none."""
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as no:
        msg = f"{file} cannot be read: {no.strerror}"
        raise Misuse(msg) from no
    except ValueError as no:
        msg = f"{file} is no file of results, as `adw bench … --out` writes them: {no}"
        raise Misuse(msg) from no
    if not lines or not all(isinstance(line, dict) and "benchmark" in line for line in lines):
        msg = f"{file} is no file of results, as `adw bench … --out` writes them"
        raise Misuse(msg)
    return lines


def trials(lines: Iterable[Line], table: str) -> dict[str, list[Line]]:
    """The deliveries of a table, by level; of one that was measured with several minutes, only those with the longest."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        if line.get("table") == table:
            found.setdefault(line["level"], []).append(line)
    return {level: [line for line in some if line["minute"] == max(each["minute"] for each in some)] for level, some in found.items()}


def spread(lines: Iterable[Line], name: str) -> Spread:
    """A figure of some lines."""
    return Spread(tuple(float(line[name]) for line in lines))


@dataclass(frozen=True, slots=True)
class Compared:
    """A figure in two files of results."""

    name: str
    unit: str
    old: Spread
    new: Spread

    @property
    def ratio(self) -> float:
        """How many times as large it is now."""
        return self.new.middle / self.old.middle if self.old.middle else float("inf") if self.new.middle else 1.0

    @property
    def moved(self) -> bool:
        """Whether it did so beyond noise: further than each of both was spread, and by more than a twentieth."""
        return self.old.apart(self.new) and abs(self.ratio - 1) > 0.05 and abs(self.new.middle - self.old.middle) > max(self.old.width, self.new.width)  # noqa: PLR2004

    @property
    def jumped(self) -> bool:
        """Whether it moved by more than half, and says the same on any machine."""
        return self.unit == "x" and abs(self.ratio - 1) > 0.5  # noqa: PLR2004

    def __str__(self) -> str:
        count = f"{len(self.old.values)} and {len(self.new.values)} times"
        return f"{self.name}: {self.old.middle:.3g} {self.unit} → {self.new.middle:.3g} {self.unit} ({self.ratio - 1:+.0%}; {count})"


def figures(lines: Iterable[Line]) -> dict[tuple[str, str], Spread]:
    """All that can be compared, by name and unit: a delivery as a multiple of the best schedule, and other figures as they are."""
    found: dict[tuple[str, str], list[float]] = {}
    for name, unit, values in _told(lines):
        found.setdefault((name, unit), []).extend(values)
    return {what: Spread(tuple(values)) for what, values in found.items()}


def _told(lines: Iterable[Line]) -> Iterator[tuple[str, str, Sequence[float]]]:
    for line in lines:
        if "table" in line:
            yield f"{line['table']}, {line['level']}, at {line['minute']:g} s a minute, of the best schedule", "x", [line["wall"] / line["best"]]
        elif "what" in line:
            yield f"{line['benchmark']}, {line['what']}", line["unit"], line.get("values", [line["value"]])


def compared(old: Sequence[Line], new: Sequence[Line]) -> list[Compared]:
    """What is in both. Misuse if that is nothing."""
    before, after = figures(old), figures(new)
    both = [Compared(*what, before[what], after[what]) for what in before if what in after]
    if not both:
        msg = "the two files have no figure in common: compare results of the same benchmarks, with the same --minute"
        raise Misuse(msg)
    return both


def loads(lines: Iterable[Line]) -> str:
    """What others had to do meanwhile, in words; empty if next to nothing."""
    seen = [line["load"] for line in lines]
    busy, stolen = max(one["load_before"] for one in seen), max(one["steal"] for one in seen)
    said = [f"a load of {busy:.1f} before"] * (busy > BUSY) + [f"{stolen:.0%} of the cores' time stolen"] * (stolen > STOLEN)
    return " and ".join(said)
