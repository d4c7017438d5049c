"""What skills find, and what is made of that: one table, each thing once, and what is new in it."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["note", "warning", "error"]
ORDER = {"error": 0, "warning": 1, "note": 2}
MESSAGE_HEAD = 500  # characters of a message: some tools quote whole files


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a skill found: which skill, where, how bad, and what. `file` is empty where it is about no file."""

    source: str
    file: str
    line: int
    severity: Severity
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return f"{f'{place}: ' if place else ''}{self.severity}: {self.message} ({self.source})"

    @property
    def what(self) -> tuple[str, str]:
        """What it is about, wherever it stands in its file: other lines come and go above it."""
        return self.file, re.sub(r"\bline \d+", "line", self.message)


@dataclass(frozen=True, slots=True)
class Ran:
    """What one skill had to do: how many files it looked at anew, how many were known, and how long it took."""

    name: str
    seconds: float = 0.0
    looked: int = 0
    known: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """What some skills found together; `troubles` are the findings about the skills themselves: what failed, took too long, or is not there."""

    findings: tuple[Finding, ...] = ()
    troubles: tuple[Finding, ...] = ()
    ran: tuple[Ran, ...] = ()

    @property
    def rows(self) -> tuple[Finding, ...]:
        """All of it."""
        return self.findings + self.troubles

    def text(self, head: int) -> str:
        """The findings, a line each, the worst first; so many, and how many more there are."""
        more = len(self.findings) - head
        return "\n".join([*map(str, self.findings[:head]), *([f"… and {more} more"] if more > 0 else [])])


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each finding once, the worst first: what two skills say of the same line in the same words is said by the first of them."""
    once: dict[tuple[str, int, str], Finding] = {}
    for finding in findings:
        once.setdefault((finding.file, finding.line, finding.message), finding)
    return tuple(sorted(once.values(), key=lambda f: (ORDER[f.severity], f.file, f.line, f.source, f.message)))


def fresh(after: Sequence[Finding], before: Sequence[Finding]) -> tuple[Finding, ...]:
    """What was not found before; where there is more of the same in a file, those on lines that it did not stand on."""
    left = Counter(finding.what for finding in before)
    stood = {(finding.what, finding.line) for finding in before}
    new = []
    for finding in sorted(after, key=lambda f: (f.what, f.line) not in stood):
        if left[finding.what] > 0:
            left[finding.what] -= 1
        else:
            new.append(finding)
    return merged(new)


def as_json(findings: Iterable[Finding]) -> str:
    """Findings in a line, for another process."""
    return json.dumps([asdict(finding) | {"message": finding.message[:MESSAGE_HEAD]} for finding in findings])
