"""What a run takes, before it begins: its schedule with so many slots, and what no schedule could be shorter than.

Pure: issues and seconds in, times out. It follows what `flows/issues.py` does where all goes well: an issue's work begins when
those that it depends on have landed, each issue passes at its first try, and is tested once, on top of those before it in the
train. A landing waits for no other one. What must be done again comes on top of that.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from heapq import heapify, heappop, heappush
from math import inf
from typing import NamedTuple

from adw.model import AGENT_PHASES, Issue
from adw.rank import EARLY, NEW, Rank

CHECKS = ("test", "review", "document")
BEFORE = {"plan": (), "build": ("plan",), **dict.fromkeys(CHECKS, ("build",)), "land": CHECKS}

Ranked = tuple[bool, Rank]


class Step(NamedTuple):
    """A phase of an issue."""

    issue: str
    phase: str


class Span(NamedTuple):
    """When a phase of an issue is at work, in seconds from the start of the run."""

    step: Step
    begins: float
    ends: float

    @property
    def seconds(self) -> float:
        """How long that is."""
        return self.ends - self.begins


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is expected with a number of slots."""

    slots: int
    spans: Mapping[Step, Span]  # in the order in which they begin
    alone: float  # seconds of the same work, one phase after another
    limits: Mapping[str, float]  # what no schedule is shorter than, by the reason

    @property
    def wall(self) -> float:
        """How long it takes from the first start to the last end."""
        return max((span.ends for span in self.spans.values()), default=0.0)

    @property
    def limit(self) -> float:
        """What no schedule is shorter than."""
        return self.limits[self.binds]

    @property
    def binds(self) -> str:
        """Which limit that is."""
        return max(self.limits, key=lambda name: self.limits[name])

    @property
    def speed_up(self) -> float:
        """How many times as long it would take one after another."""
        return self.alone / self.wall if self.wall else 1.0

    @property
    def efficiency(self) -> float:
        """The share of the speed-up that so many slots could give at most."""
        return self.speed_up / self.slots


class Left:
    """Seconds of slots that a run still needs, by what is foreseen of it: a phase counts until it has ended, and again for no other try."""

    def __init__(self, took: Mapping[Step, float]) -> None:
        self._guard, self._took, self.seconds = threading.Lock(), dict(took), sum(took.values())

    def end(self, *steps: Step) -> None:
        """Some have ended, or are not to be done at all."""
        with self._guard:
            self.seconds -= sum(self._took.pop(step, 0.0) for step in steps)


class Forecast:
    """The phases of issues, what each waits for, and how long each takes. What issues depend on that is not among them has landed."""

    def __init__(self, issues: Sequence[Issue], seconds: Mapping[str, Mapping[str, float]]) -> None:
        """`seconds` are by the issue's id and by phase."""
        self._issues = {issue.id: issue for issue in issues}
        self._places = {issue.id: place for place, issue in enumerate(issues)}
        self._took = {Step(issue.id, phase): seconds[issue.id][phase] for issue in issues for phase in BEFORE}
        self._needs = {step: [Step(step.issue, before) for before in BEFORE[step.phase]] for step in self._took}
        for issue in issues:
            self._needs[Step(issue.id, "plan")] += [Step(needed, "land") for needed in issue.depends_on if needed in self._issues]

    @property
    def alone(self) -> float:
        """Seconds of all phases, one after another."""
        return sum(self._took.values())

    def left(self, ended: Collection[Step] = ()) -> Left:
        """What is left, where some has ended."""
        return Left({step: took for step, took in self._took.items() if step.phase != "land" and step not in ended})

    def took(self, issue: Issue) -> float:
        """Seconds of all phases of an issue, one after another."""
        return sum(self._took[Step(issue.id, phase)] for phase in BEFORE)

    def remaining(self, issue: Issue, phase: str = "plan") -> float:
        """Seconds from the start of an issue, or one of its phases, to the end of what waits for it longest, if nothing ever waits for a slot.

        0 for what is not foreseen.
        """
        return self._ahead.get(Step(issue.id, phase), 0.0)

    @property
    def critical(self) -> tuple[Span, ...]:
        """The longest chain of phases that wait for each other: what the run takes with as many slots as it likes."""
        spans = self.at(max(1, len(self._took))).spans
        path: list[Span] = []
        ahead = list(self._took)
        while ahead:
            path.append(max((spans[step] for step in ahead), key=lambda span: span.ends))
            ahead = self._needs[path[-1].step]
        return tuple(reversed(path))

    def at(self, slots: int, requests: int = 0) -> Schedule:
        """What is expected with so many slots, and so many agents at the model at once (0: as many as there are slots)."""
        sorter, room, left = TopologicalSorter(self._needs), _Room(slots, requests or slots), self.left()
        sorter.prepare()
        now, spans, ends = 0.0, dict[Step, Span](), list[tuple[float, Step]]()
        while sorter.is_active():
            for step in sorter.get_ready():
                room.ask(self._rank(step, inf), step)
            if left.seconds <= self._longest * EARLY * slots:
                room.judge(lambda step: self._rank(step, left.seconds / slots))
            for step in room.let_in():
                spans[step] = Span(step, now, now + self._took[step])
                heappush(ends, (spans[step].ends, step))
            now = ends[0][0]
            while ends and ends[0][0] == now:
                _, step = heappop(ends)
                room.leave(step)
                left.end(step)
                sorter.done(step)
        return Schedule(slots, spans, self.alone, self._limits(slots, requests))

    def _limits(self, slots: int, requests: int) -> dict[str, float]:
        in_slots = sum(seconds for step, seconds in self._took.items() if step.phase != "land")
        limits = {"critical path": self._longest, "slots": in_slots / slots}
        if requests:
            limits["API limit"] = sum(seconds for step, seconds in self._took.items() if step.phase in AGENT_PHASES) / requests
        return limits

    @cached_property
    def _ahead(self) -> dict[Step, float]:
        """Seconds of the longest chain that begins with each phase."""
        ahead = dict.fromkeys(self._needs, 0.0)
        for step in reversed(list(TopologicalSorter(self._needs).static_order())):
            ahead[step] += self._took[step]
            for before in self._needs[step]:
                ahead[before] = max(ahead[before], ahead[step])
        return ahead

    @cached_property
    def _longest(self) -> float:
        return max(self._ahead.values(), default=0.0)

    def _rank(self, step: Step, left: float) -> Ranked:
        """Who goes first, as in a run.

        Of the train only this is foreseen: that whatever stands before a landing will soon be at its front.
        """
        issue, front = self._issues[step.issue], step.phase not in NEW
        return step.phase != "land", Rank.of(issue, step.phase, self._ahead[step], self._places[step.issue], front=front, left=left)


@dataclass
class _Room:
    """The slots and the places at the model that are free, and who waits for them."""

    slots: int
    places: int
    waiting: list[tuple[Ranked, Step]] = field(default_factory=list)

    def ask(self, rank: Ranked, step: Step) -> None:
        """Take a place in the queue."""
        heappush(self.waiting, (rank, step))

    def judge(self, rank: Callable[[Step], Ranked]) -> None:
        """Rank anew all who wait."""
        self.waiting = [(rank(step), step) for _, step in self.waiting]
        heapify(self.waiting)

    def let_in(self) -> Iterator[Step]:
        """Those that can begin now. Landings come first in the queue, and need no slot; who waits for the model is passed by who does not."""
        held_up = []
        while self.waiting and (self.slots or self.waiting[0][1].phase == "land"):
            rank, step = heappop(self.waiting)
            if step.phase in AGENT_PHASES and not self.places:
                held_up.append((rank, step))
                continue
            self.slots -= step.phase != "land"
            self.places -= step.phase in AGENT_PHASES
            yield step
        for waiter in held_up:
            heappush(self.waiting, waiter)

    def leave(self, step: Step) -> None:
        """Give back what a phase had that is over."""
        self.slots += step.phase != "land"
        self.places += step.phase in AGENT_PHASES
