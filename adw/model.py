"""The values that phases hand to each other: small, frozen, JSON, and never a path.

A path means nothing on another worker; a commit that is held by a ref does. Those that hold others are pydantic's dataclasses:
made from JSON, what is in them is what it was.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pydantic.dataclasses import dataclass as checked

INTEGRATE = "build-integrate"  # makes one change of the parts of a build
PHASES = ("plan", "build", "test", "review", "document", "land")
AGENT_PHASES = ("plan", "build", "review", "document")
PIECED = ("build", "test")  # phases that may be done in pieces, each a phase by a name such as build-2 or test-unit-1
BASE = "(base)"  # the id of the branch as it is, which is tested as if it were an issue
LANDED = ("landed", "already landed")  # the ends of an issue whose change is on the branch
GOOD = (*LANDED, "ready")  # the ends of an issue that others can build on
PEOPLE = "People have looked at the change, and said:"  # what feedback begins with that is theirs
URGENT = 100_000  # the priority of an issue that goes before all others; what stands before a landing still goes first


def digest(*parts: object) -> str:
    """The SHA-256, in hex, of the parts in order; no two lists of parts share one by concatenation."""
    return sha256("\0".join(f"{len(str(part))}:{part}" for part in parts).encode()).hexdigest()


def phase_of(name: str) -> str:
    """The phase that a piece is one of: `build` for `build-2`. Any other name is its own."""
    whole, _, piece = name.partition("-")
    return whole if piece and whole in PIECED else name


def one_line(text: str) -> str:
    """Some text without line breaks and control characters, fit for a subject, a trailer or a table."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What is wanted. `id` is the value of the trailer `Adw-Issue` of what lands for it."""

    id: str
    title: str
    body: str
    depends_on: tuple[str, ...] = ()
    priority: int = 0
    estimate: float = 0.0  # seconds that its phases take together, as a person thinks; 0: nobody said
    flag: str = ""  # the feature flag that the change is put behind

    @classmethod
    def of(cls, noted: Mapping[str, Any]) -> "Issue":
        """The issue that was noted as JSON."""
        return cls(**{**noted, "depends_on": tuple(noted["depends_on"])})

    @property
    def digest(self) -> str:
        """What is asked for, whatever its id: phases are keyed by this."""
        return digest(self.title, self.body, *([self.flag] if self.flag else []))

    @property
    def key(self) -> str:
        """The issue's folder under `refs/adw/`: readable, safe in a ref name, new when the text is edited."""
        readable = re.sub(r"[^A-Za-z0-9_-]+", "-", self.id).strip("-")[:40] or "issue"
        return f"{readable}-{digest(self.id, self.digest)[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try at an issue: the commit it builds on, and what the tries before it taught; `change` is one that is merged there to begin with."""

    number: int
    base: str
    base_tree: str
    feedback: str = ""
    change: str = ""

    @property
    def wanted(self) -> bool:
        """Whether people want something of the change that it begins with."""
        return bool(self.change) and self.feedback.startswith(PEOPLE)


@checked(frozen=True, slots=True, kw_only=True)
class Item:
    """A piece of work of a plan."""

    title: str
    files: tuple[str, ...] = ()
    details: str = ""


@checked(frozen=True, slots=True, kw_only=True)
class Learnt:
    """Something that an agent found out about a repository, for those who work on it after it; `kind` is convention, command or file."""

    kind: str
    text: str
    files: tuple[str, ...] = ()


@checked(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an agent means to do, and the files it expects to touch, as far as it said so; and what it learnt, whatever it plans."""

    text: str
    files: tuple[str, ...] = ()
    items: tuple[Item, ...] = ()
    integration: str = ""  # what is left to do once all items are done
    learnt: tuple[Learnt, ...] = ()

    @property
    def digest(self) -> str:
        """The plan's identity in the keys of builds."""
        return digest(self.text)  # all that a build is told of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A commit made by a phase, held by a ref under `refs/adw/`."""

    sha: str
    tree: str
    base: str  # the commit of the branch that the work began on
    base_tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A change merged onto what it will land on: a pure function of both."""

    sha: str
    tree: str
    onto: str
    code: str  # the tree without the docs paths: what tests are keyed by


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A candidate that is to land, by which issue and try."""

    issue: Issue
    candidate: Candidate
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What was left for a person to land."""

    place: str  # its branch, or the address of its pull request
    landed: str = ""  # the commit of the branch that it landed as, if somebody has merged it
    remark: str = ""  # what is not as it should be


@checked(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a review found; `severity` is note, warning or error."""

    file: str
    line: int
    severity: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}{': ' if self.place else ''}{self.severity}: {self.text}"

    @property
    def place(self) -> str:
        """File and line, as far as they are known."""
        return f"{self.file}:{self.line}" if self.file and self.line else self.file


@checked(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Passed or not, with the end of the log. A no is a value: it is cached, and never retried.

    `flaky` is what failed and passed on the same tree; a rule that is in no key says what that counts for.
    """

    passed: bool
    log: str
    findings: tuple[Finding, ...] = ()
    flaky: bool = False


@checked(frozen=True, slots=True, kw_only=True)
class Shard:
    """Some of the tests, which one command runs: a whole group, or some files of one."""

    name: str
    group: str
    files: tuple[str, ...] = ()
    seconds: float = 0.0  # that it is thought to take


@checked(frozen=True, slots=True, kw_only=True)
class Split:
    """The tests of a candidate as they are shared out, the longest shard first."""

    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How an issue ended: `state` is landed, already landed, ready, planned, refused, blocked, skipped, stopped or crashed."""

    issue: str
    title: str
    state: str
    reason: str = ""
    sha: str = ""
    tries: int = 0
    place: str = ""  # of one that is ready: its branch, or the address of its pull request; of one that landed at a remote: the commit's page

    @property
    def good(self) -> bool:
        """Whether the issue's change is where it was to go."""
        return self.state in GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Where in a run a piece of work belongs: the correlation id of logs, leases and agents."""

    run: str
    issue: str
    issue_key: str
    phase: str
    attempt: int = 1
    title: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """The correlation id as text, `run/issue key/phase/try`: in the lines that are printed of it, in its events, and in Prefect."""
        return f"{self.run}/{self.issue_key}/{self.phase}/{self.attempt}"

    @property
    def fields(self) -> dict[str, Any]:
        """The same as fields of an event."""
        return {"id": self.id, "run": self.run, "issue": self.issue, "phase": self.phase, "try": self.attempt}
