"""The state of a run, folded from its events."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from adw.model import PHASES, one_line, phase_of
from adw.money import Spent

BESIDE = {"told", "untold", "tracked"}  # events of who was told: they may come when the work has ended


def _place(phase: str) -> int:
    """Where a phase comes in an issue's life; one that is not known comes last."""
    return PHASES.index(phase_of(phase)) if phase_of(phase) in PHASES else len(PHASES)


@dataclass(slots=True)
class Cell:
    """One phase of one issue: its newest state, and when it began or how long it took."""

    state: str
    attempt: int
    since: float = 0.0
    seconds: float = 0.0
    doing: str = ""  # what its agent does now
    pieces: dict[str, bool] = field(default_factory=dict)  # that it is done in, each with whether it has ended
    of: int = 0  # how many those are
    no: bool = False  # what it said, also where that was known before


@dataclass(slots=True)
class Row:
    """One issue."""

    title: str
    cells: dict[str, Cell] = field(default_factory=dict)
    state: str = ""  # how it ended
    reason: str = ""
    sha: str = ""
    tries: int = 1
    place: str = ""  # where a person finds what is ready
    built: str = ""  # the commit of the newest try's change


@dataclass(slots=True)
class Progress:
    """A whole run."""

    rows: dict[str, Row] = field(default_factory=dict)
    started: float = 0.0
    ended: float = 0.0
    state: str = ""  # how the run ended
    reason: str = ""
    ui: str = ""
    took: dict[tuple[str, int, str], float] = field(default_factory=dict)  # seconds, by issue, try and phase
    wholes: dict[tuple[str, int, str], float] = field(default_factory=dict)  # the same of what was done in pieces, from the first to the last of them
    spent: dict[str, Spent] = field(default_factory=dict)  # by issue
    spent_in: dict[tuple[str, int, str], Spent] = field(default_factory=dict)  # by issue, try and phase
    memory: dict[str, int] = field(default_factory=dict)  # bytes that an agent held at most, by phase
    breaker: str = ""  # open or halted, and why
    throttled: int = 0  # how often the model's API had too much to do
    limit: int = 0  # how many agents may be at the model now, over all runs, if that is fewer than configured
    lent: str = ""  # how many slots are lent and why, if those are not all
    overtaken: set[tuple[str, int]] = field(default_factory=set)  # tries that met a conflict: alone they would have landed
    apart: list[tuple[str, dict[str, list[str]], float]] = field(default_factory=list)  # issue, those it was built behind with the files of both, seconds
    divided: dict[tuple[str, int], tuple[list[tuple[str, list[str]]], str]] = field(default_factory=dict)  # issue and try; the parts of its build, and why
    integrated: dict[tuple[str, int], list[str]] = field(default_factory=dict)  # issue and try; what an agent had to do once the parts were there
    running: set[tuple[str, str]] = field(default_factory=set)  # issue and phase
    asked: set[str] = field(default_factory=set)  # issues that wait for a person's approval
    elsewhere: str = ""  # where the branch is, if it is a remote's
    checks: dict[str, bool] = field(default_factory=dict)  # the repository's own, each with whether it is required
    red: dict[str, str] = field(default_factory=dict)  # those that say no to the branch as it is, each with its log
    flaky: dict[tuple[str, int, str], None] = field(default_factory=dict)  # what failed and passed on the same tree: issue, try and phase, in order
    skills: dict[tuple[str, int, str], dict[str, Any]] = field(default_factory=dict)  # what skills last said: by issue, try and phase
    recalled: dict[tuple[str, int, str], list[dict[str, str]]] = field(default_factory=dict)  # what was remembered for whom: by issue, try and phase
    waits: str = ""  # what a run waits for that has not begun
    cores: int = 0  # of the machine that the run is on
    host: str = ""  # its name
    hosts: set[str] = field(default_factory=set)  # of a cluster, on which phases ran
    calls: Counter[int] = field(default_factory=Counter)  # of models, by the minute
    waited: dict[str, list[float]] = field(default_factory=dict)  # seconds that phases waited for a slot, by phase
    ran: int = 0
    cached: int = 0
    flow_run: str = ""
    pid: int = 0
    birth: float = 0.0
    began: float = 0.0  # when the flow began, behind the start of processes and servers
    last: float = 0.0

    @property
    def work(self) -> float:
        """Seconds of the same work one phase after another: without the tries and tests that only working side by side made necessary."""
        return sum(seconds for (issue, attempt, _), seconds in self.took.items() if (issue, attempt) not in self.overtaken)

    @property
    def builds(self) -> list[float]:
        """How long each build took, in seconds."""
        return [seconds for (_, _, phase), seconds in (self.took | self.wholes).items() if phase == "build"]

    @property
    def money(self) -> Spent:
        """What the whole run has spent."""
        return sum(self.spent.values(), Spent())

    @property
    def busy(self) -> int:
        """How many phases run now."""
        return len(self.running)

    @property
    def percent(self) -> float:
        """How much of the work is done, in percent: the phases of the newest try that ended, of all that each issue has."""
        whole = len(PHASES) + len(self.checks)
        done = sum(whole if row.state else sum(cell.state in {"done", "cached", "flaky"} for cell in row.cells.values()) for row in self.rows.values())
        return 100.0 * done / max(1, whole * len(self.rows))

    @property
    def spent_by_phase(self) -> dict[str, Spent]:
        """What all issues together have spent in each phase, its pieces included, in the order of the phases."""
        found: dict[str, Spent] = {}
        for (_, _, phase), more in sorted(self.spent_in.items(), key=lambda one: _place(one[0][2])):
            found[phase_of(phase)] = found.get(phase_of(phase), Spent()) + more
        return found

    def spent_on(self, issue: str) -> dict[str, Spent]:
        """What an issue has spent in each try and phase, in their order, by a name for people."""
        found = sorted((number, _place(phase), phase) for of, number, phase in self.spent_in if of == issue)
        return {phase if number == 1 else f"{phase} (try {number})": self.spent_in[issue, number, phase] for number, _, phase in found}

    def counts(self, check: str) -> bool:
        """Whether a no of a check holds a change back in this run."""
        return self.checks.get(check, False) and check not in self.red

    def standing(self, check: str) -> str:
        """What a check counts for, in words."""
        if check in self.red:
            return "red at the base: not required in this run" if self.checks.get(check) else "advisory, red at the base"
        return "required" if self.checks.get(check) else "advisory"

    @property
    def flakes(self) -> list[str]:
        """What failed and passed on the same tree, a line each."""
        return [
            f"{phase} of {issue}{f' (try {number})' if number > 1 else ''} is flaky: it failed, and passed on the same tree"
            for issue, number, phase in self.flaky
        ]

    @property
    def doubts(self) -> list[str]:
        """What of the tests and checks is not what it seems, a line each."""
        return [*(f"the check {name} is {self.standing(name)}" for name in self.red), *self.flakes]

    @property
    def hindrances(self) -> list[str]:
        """What keeps phases from a slot, or agents from the model, or kept them, a line each."""
        agents, times = "agent" if self.limit == 1 else "agents", "once" if self.throttled == 1 else f"{self.throttled} times"
        return [
            *([f"breaker {one_line(self.breaker)}"] if self.breaker else []),
            *([f"at most {self.limit} {agents} at the model for now"] if self.limit else []),
            *([self.lent] if self.lent else []),
            *([f"the model's API had too much to do {times}"] if self.throttled else []),
        ]

    def sentence(self) -> str:
        """How far the run is, in a line."""
        ended = sum(bool(row.state) for row in self.rows.values())
        at_work = [f"{phase} of {issue}" for issue, phase in sorted(self.running)]
        asked = [f"{issue} waits for approval" for issue in sorted(self.asked)]
        return "; ".join([f"{ended} of {len(self.rows)} issues ended", *asked, *([f"at work: {', '.join(at_work)}"] if at_work else [])])

    def stuck(self, now: float, minutes: float) -> bool:
        """Whether nothing has happened for so long although there is work, and no agent, test or person is waited for."""
        return bool(self.flow_run) and not self.busy and not self.asked and now - self.last > minutes * 60

    def add(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        if event["event"] not in BESIDE:
            self.last = event["timestamp"]
        self.started = self.started or self.last
        handler = getattr(self, f"_{event['event'].replace(' ', '_')}", None)
        if handler:
            handler(event)

    def _flow_started(self, event: dict[str, Any]) -> None:
        self.flow_run, self.ui = event["flow_run"], event["ui"]
        self._process_started(event)
        self.began = self.began or event["timestamp"]
        self.elsewhere = event.get("elsewhere", "")
        self.state, self.reason, self.ended = "", "", 0.0
        self.checks, self.red = event.get("checks", {}), {}
        for issue in event["issues"]:
            self.rows.setdefault(issue["id"], Row(issue["title"])).state = ""
        for row in self.rows.values():
            for cell in row.cells.values():
                cell.state = "cut" if cell.state == "running" else cell.state

    def _added(self, event: dict[str, Any]) -> None:
        for issue in event["issues"]:
            self.rows.setdefault(issue["id"], Row(issue["title"]))

    def _slots(self, event: dict[str, Any]) -> None:
        self.lent = f"{event['now']} of {event['size']} slots are lent: {event['reason']}" if event["now"] < event["size"] else ""

    def _process_started(self, event: dict[str, Any]) -> None:
        self.pid, self.birth, self.ended = event["pid"], event["birth"], 0.0
        self.waits = ""
        self.running.clear()
        self.asked.clear()
        self.breaker, self.limit, self.lent = "", 0, ""

    def _phase(self, event: dict[str, Any]) -> None:
        state, phase = event["state"], event["phase"]
        self.hosts |= {event["host"]} if event.get("host") else set()
        if event.get("pieces"):
            self._whole(event)
            return
        (self.running.add if state == "running" else self.running.discard)((event["issue"], phase))
        if state == "cached":
            self.cached += 1
        elif state not in {"running", "cut"}:
            self.took[event["issue"], event["try"], phase] = event["seconds"]
            self.ran += 1
        if state == "flaky":
            self.flaky[event["issue"], event["try"], phase] = None
        row = self.rows.get(event["issue"])
        if row is None:
            return  # the test of the base belongs to no issue
        row.tries = max(row.tries, event["try"])
        known = row.cells.get(phase_of(phase))
        if phase != phase_of(phase):
            if known and known.of:
                known.pieces[phase] = state not in {"running", "cut"}
                known.of = max(known.of, len(known.pieces))
            return
        if state == "cached" and known and known.attempt == event["try"] and known.state in {"done", "no", "flaky"}:
            return  # found again what this very run had made
        row.cells[phase] = Cell(state, event["try"], event["timestamp"], event.get("seconds", 0.0), no=state == "no" or not event.get("passed", True))

    def _built(self, event: dict[str, Any]) -> None:
        if row := self.rows.get(event["issue"]):
            row.tries, row.built = max(row.tries, event["try"]), event["sha"]

    def _whole(self, event: dict[str, Any]) -> None:
        """A phase that is done in pieces, which count by themselves."""
        if event["state"] not in {"running", "cut"}:
            self.wholes[event["issue"], event["try"], event["phase"]] = event["seconds"]
        if row := self.rows.get(event["issue"]):
            row.tries = max(row.tries, event["try"])
            row.cells[event["phase"]] = Cell(event["state"], event["try"], event["timestamp"], event.get("seconds", 0.0), of=event["pieces"])

    def _divided(self, event: dict[str, Any]) -> None:
        self.divided[event["issue"], event["try"]] = ([(title, files) for title, files in event["parts"]], event["reason"])

    def _integrated(self, event: dict[str, Any]) -> None:
        self.integrated[event["issue"], event["try"]] = event["left"]

    def _red_at_base(self, event: dict[str, Any]) -> None:
        self.red[event["check"]] = event["log"]

    def _doing(self, event: dict[str, Any]) -> None:
        row = self.rows.get(event["issue"])
        if row and (cell := row.cells.get(phase_of(event["phase"]))) and cell.state == "running":
            cell.doing = event["doing"]

    def _spent(self, event: dict[str, Any]) -> None:
        more = Spent.of(event)
        issue, where = event["issue"], (event["issue"], event["try"], event["phase"])
        self.spent[issue] = self.spent.get(issue, Spent()) + more
        self.spent_in[where] = self.spent_in.get(where, Spent()) + more
        self.calls[int(event["timestamp"] // 60)] += more.tokens.calls

    def _machine(self, event: dict[str, Any]) -> None:
        self.cores, self.host = event["cores"] or 0, event["host"]

    def _waited_for_slot(self, event: dict[str, Any]) -> None:
        self.waited.setdefault(phase_of(event["phase"]), []).append(event["seconds"])

    def _recalled(self, event: dict[str, Any]) -> None:
        self.recalled[event["issue"], event["try"], event["phase"]] = event["memories"]

    def _memory(self, event: dict[str, Any]) -> None:
        phase = phase_of(event["phase"])
        self.memory[phase] = max(self.memory.get(phase, 0), event["bytes"])

    def _skills(self, event: dict[str, Any]) -> None:
        self.skills[event["issue"], event["try"], event["phase"]] = event

    def _throttled(self, _event: dict[str, Any]) -> None:
        self.throttled += 1

    def _breaker(self, event: dict[str, Any]) -> None:
        self.breaker = f"{event['state']}: {event['reason']}" if event["state"] != "closed" else ""

    def _limit(self, event: dict[str, Any]) -> None:
        self.limit = event["now"] if event["now"] < event["configured"] else 0

    def _approval(self, event: dict[str, Any]) -> None:
        (self.asked.add if event["state"] == "wanted" else self.asked.discard)(event["issue"])

    def _handed_over(self, event: dict[str, Any]) -> None:
        self.flow_run, self.ui, self.waits, self.ended = event["flow_run"], event["ui"], "waiting for `adw serve` to take it up", 0.0

    def _overtaken(self, event: dict[str, Any]) -> None:
        self.overtaken.add((event["issue"], event["try"]))

    def _kept_apart(self, event: dict[str, Any]) -> None:
        self.apart.append((event["issue"], event["behind"], event["seconds"]))

    def _outcome(self, event: dict[str, Any]) -> None:
        row = self.rows.setdefault(event["issue"], Row(event["title"]))
        row.state, row.reason, row.sha, row.place = event["state"], event["reason"], event["sha"], event.get("place", "")

    def _run_ended(self, event: dict[str, Any]) -> None:
        self.ended, self.state, self.reason = event["timestamp"], event["state"], event.get("reason", "")
