"""When each phase of a run was at work, what waited meanwhile, and which chain of phases decided how long the run took. From its events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from adw.model import phase_of

Event = Mapping[str, Any]
Key = tuple[str, str, int]  # issue, phase and try

SOON = 1.0  # seconds: what begins so soon after another phase of its issue waited for that one, and for nothing else
AT_ONCE = 0.1  # seconds: clocks, and events that are written a moment later
ENDED = ("flow started", "process started", "run ended")


@dataclass(frozen=True, slots=True)
class Bar:
    """A phase at work; or, where its state is `cached`, the moment when it was found done."""

    issue: str
    phase: str
    attempt: int
    begins: float
    ends: float
    state: str
    host: str = ""  # another one than that of the run
    given: float = 0.0  # when it got the slot that it had waited for, if it had to wait

    @property
    def at_work(self) -> bool:
        """Whether it took a slot: what lands takes none."""
        return self.state != "cached" and self.phase != "land"

    @property
    def name(self) -> str:
        """Which it is, for the elements of a picture."""
        return f"{self.issue}-{self.phase}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Wait:
    """A time in which an issue did not get on: for a `slot`, or for a `person`."""

    issue: str
    begins: float
    ends: float
    reason: str


@dataclass(frozen=True)
class Timeline:
    """A run. A time when nobody was at it, between a crash and the next start, is no part of it: see `elapsed`."""

    bars: Sequence[Bar]  # in the order in which they began
    waits: Sequence[Wait]
    titles: Mapping[str, str]  # of the issues, in the run's order
    ends: Mapping[str, str]  # how issues ended
    lent: Sequence[tuple[float, int]]  # how many slots, from when on
    spans: Sequence[tuple[float, float]]  # in which the run's process was there
    calls: Sequence[tuple[float, int]] = field(default=())  # to models: when they were counted, and how many

    @property
    def wall(self) -> float:
        """Seconds of the whole run, without pauses."""
        return sum(end - begin for begin, end in self.spans)

    @property
    def pauses(self) -> list[tuple[float, float]]:
        """When nobody was at it: after how many seconds of the run, and for how long."""
        return [(self.elapsed(before[1]), after[0] - before[1]) for before, after in zip(self.spans, self.spans[1:], strict=False)]

    def elapsed(self, at: float) -> float:
        """Seconds of the run that had passed at a time."""
        return sum(max(0.0, min(at, end) - begin) for begin, end in self.spans)

    @cached_property
    def lanes(self) -> dict[Bar, tuple[str, int]]:
        """A slot for each phase at work, by host: the lowest that was free, as the pool gives them."""
        found, free = dict[Bar, tuple[str, int]](), dict[str, list[float]]()
        for bar in self.bars:
            if bar.at_work:
                taken = free.setdefault(bar.host, [])
                lane = next((number for number, until in enumerate(taken) if until <= bar.begins + AT_ONCE / 10), len(taken))
                taken[lane : lane + 1] = [bar.ends]
                found[bar] = (bar.host, lane + 1)
        return found

    @property
    def critical(self) -> list[Bar]:
        """The chain of phases that decided when the run ended, from its first to its last: each began when the one before it ended."""
        ahead = [bar for bar in self.bars if bar.state != "cached"]
        chain = [max(ahead, key=lambda bar: bar.ends)] if ahead else []
        while chain and (cause := self._cause(chain[0], ahead)):
            chain.insert(0, cause)
        return chain

    def _cause(self, bar: Bar, ahead: Sequence[Bar]) -> Bar | None:
        """What a phase began behind: the one of its issue before it; or, if it waited, that whose slot it got, or that was tested or landed before it."""
        before = [other for other in ahead if other.ends <= (bar.given or bar.begins) + AT_ONCE and other.begins < bar.begins]
        own = _last(other for other in before if other.issue == bar.issue)
        if bar.given:
            return _last(other for other in before if other.at_work)
        if own and bar.begins - own.ends <= SOON:
            return own
        gate = _last(other for other in before if phase_of(other.phase) in {"test", "land"} or other is own)
        if gate and bar.begins - gate.ends <= SOON:
            return gate
        return _last(other for other in before if bar.begins - other.ends <= SOON) or gate


def _last(bars: Iterable[Bar]) -> Bar | None:
    return max(bars, key=lambda bar: bar.ends, default=None)


def timeline(events: Iterable[Event]) -> Timeline:
    """What the events of a run say of its time."""
    told = _Told()
    for event in events:
        told.add(event)
    return told.made()


class _Told:
    """What is known so far."""

    def __init__(self) -> None:
        self._bars, self._waits, self._calls = list[Bar](), list[Wait](), list[tuple[float, int]]()
        self._open: dict[Key, tuple[float, str]] = {}  # what runs: since when, and where
        self._asked: dict[str, float] = {}  # who waits for a person
        self._given: dict[Key, float] = {}
        self._titles, self._ends, self._lent = dict[str, str](), dict[str, str](), list[tuple[float, int]]()
        self._spans: list[list[float]] = []
        self._last = 0.0  # when something was heard of the run's process
        self._over = True

    def add(self, event: Event) -> None:
        """Take in one event."""
        at, what = event["timestamp"], event["event"]
        if what in ENDED:
            self._cut()
        if what == "process started" or (what == "flow started" and self._over):
            self._spans.append([at, at])
            self._over = False
        if self._spans and not self._over and event.get("state") != "crashed":  # which the next run says, much later
            self._spans[-1][1] = self._last = at
        if what == "run ended":
            self._over = True
        if handler := getattr(self, f"_{what.replace(' ', '_')}", None):
            handler(at, event)

    def _cut(self) -> None:
        """Whatever runs was ended with the process."""
        for (issue, phase, attempt), (since, host) in self._open.items():
            self._bars.append(Bar(issue, phase, attempt, since, max(since, self._last), "cut", host, self._given.pop((issue, phase, attempt), 0.0)))
        self._waits += [Wait(issue, since, self._last, "person") for issue, since in self._asked.items()]
        self._open.clear()
        self._asked.clear()

    def _flow_started(self, at: float, event: Event) -> None:
        self._lent.append((at, event.get("slots", 0)))
        self._added(at, event)

    def _slots(self, at: float, event: Event) -> None:
        self._lent.append((at, event["now"]))

    def _added(self, _at: float, event: Event) -> None:
        self._titles |= {issue["id"]: issue["title"] for issue in event["issues"]}

    def _waited_for_slot(self, at: float, event: Event) -> None:
        self._given[event["issue"], event["phase"], event["try"]] = at
        self._waits.append(Wait(event["issue"], at - event["seconds"], at, "slot"))

    def _phase(self, at: float, event: Event) -> None:
        if event.get("pieces"):
            return  # its pieces are what is at work
        key, state = (event["issue"], event["phase"], event["try"]), event["state"]
        since, host = self._open.pop(key, (at - event.get("seconds", 0.0), event.get("host", "")))
        if state == "running":
            self._open[key] = (at, host)
        elif state == "cached":
            self._bars.append(Bar(*key, at, at, state, host))
        else:
            ended = min(at, since + event.get("seconds", at - since))  # it had given its slot back when its result was kept
            self._bars.append(Bar(*key, since, ended, state, host, self._given.pop(key, 0.0)))

    def _approval(self, at: float, event: Event) -> None:
        if event["state"] == "wanted":
            self._asked[event["issue"]] = at
        elif since := self._asked.pop(event["issue"], 0.0):
            self._waits.append(Wait(event["issue"], since, at, "person"))

    def _spent(self, at: float, event: Event) -> None:
        self._calls.append((at, event.get("calls", 0)))

    def _outcome(self, _at: float, event: Event) -> None:
        self._ends[event["issue"]] = event["state"]
        self._titles.setdefault(event["issue"], event["title"])

    def made(self) -> Timeline:
        """The run as far as it is known."""
        self._cut()
        bars = sorted(self._bars, key=lambda bar: (bar.begins, bar.ends))
        return Timeline(bars, self._waits, self._titles, self._ends, self._lent, [(begin, end) for begin, end in self._spans], self._calls)
