"""The train: changes that are built stand in line, each merged onto the one before it, and all of them are tested at once.

Whatever has passed from the front on, and is ready otherwise, lands together by one move of the branch. What does not merge onto
those before it, or fails on top of them, is left out of the stack until they have landed or left: only what fails on the branch
as it is gets a no. When one leaves, those behind it are merged anew; a tree that was tested before is not tested again.

Nothing here waits: whoever brings news (a new seat, a verdict, a change that became ready) moves the train on.
"""

import contextvars
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from adw.errors import AdwError, AgentFailed, Blocked, Conflict
from adw.model import Candidate, Change, Issue, Verdict


@dataclass(eq=False, slots=True)
class Seat:
    """The place in line of an issue's change, for one try. `landed` is the commit it lands as, or raises what is against it."""

    issue: Issue
    attempt: int
    change: Change
    number: int
    ready: bool = False  # whether all that is not tested on the stack has been said
    candidate: Candidate | None = None  # what it would land as; None while it is left out of the stack
    proof: "Future[Verdict] | None" = None  # what the tests say of what it would have landed as last
    failed: Candidate | None = None  # what it is left out for
    landed: "Future[str]" = field(default_factory=Future)

    def before(self, other: "Seat") -> bool:
        """Whether another one has to stand behind this one."""
        return self.issue.id in other.issue.depends_on or (-self.issue.priority, self.number) < (-other.issue.priority, other.number)


class Tracks(Protocol):
    """What a train moves on."""

    def tip(self) -> str:
        """The commit that the branch is at."""

    def landed_between(self, old: str, new: str) -> dict[str, str]:
        """The issues that landed after one commit up to another, each with its commit."""

    def candidate(self, issue: Issue, change: Change, onto: str) -> Candidate:
        """What a change would land as on top of a commit. Conflict if it does not merge."""

    def prove(self, seat: Seat, candidate: Candidate, unwanted: Callable[[], bool]) -> Verdict:
        """Test a candidate for as long as somebody wants that. AgentFailed if it could not be done."""

    def land(self, seats: Sequence[Seat]) -> bool:
        """Move the branch to the last candidate, if it is where the first stands on; False if it moved. Blocked if local edits are in the way."""

    def blame(self, seat: Seat, candidate: Candidate, verdict: Verdict) -> AgentFailed:
        """What is said of a change whose candidate fails on the branch as it is."""


class Train:
    """The line of one run."""

    def __init__(self, tracks: Tracks, slots: Callable[[], int], landed: Collection[str], tip: str, *, squash: bool = False) -> None:
        """A line for the branch at a tip, on which some issues have landed. With `squash` only the last of a group is tested."""
        self._tracks, self._slots, self._squash = tracks, slots, squash
        self._guard = threading.Condition()
        self._line: list[Seat] = []
        self._proofs: dict[str, Future[Verdict]] = {}  # by the code of the candidate, as tests are keyed
        self._made: dict[tuple[str, str], Candidate | Conflict] = {}  # by change and what it was merged onto
        self._heard: set[Future[Verdict]] = set()  # wanted by somebody who is not in line
        self._landed = set(landed)
        self._lost: dict[str, AdwError] = {}  # issues that will not land, with what those are told who depend on them
        self._stack: list[Seat] = []
        self._numbers: dict[str, int] = {}  # of issues, in the order in which they first came
        self._seen = tip  # when last looked

    def board(self, issue: Issue, attempt: int, change: Change) -> Seat:
        """Take a place in line: behind what is more urgent, or was here first (who comes back keeps its number), and behind what the issue depends on."""
        with self._guard:
            seat = Seat(issue, attempt, change, self._numbers.setdefault(issue.id, len(self._numbers)))
            behind = [place for place, other in enumerate(self._line) if other.before(seat)]
            self._line.insert(behind[-1] + 1 if behind else 0, seat)
            self._orphan()
            self._advance()
        return seat

    def standing(self, names: Collection[str], tip: Callable[[], str]) -> str:
        """A commit that all of some issues are in: the last of their candidates, or the tip if they have landed. Waits until there is one.

        What is told of one that will not land is raised.
        """
        with self._guard:
            self._guard.wait_for(lambda: self._holds(names) or any(name in self._lost for name in names))
            if lost := [self._lost[name] for name in names if name in self._lost]:
                raise lost[0]
            theirs = [seat.candidate.sha for seat in self._stack if seat.candidate and seat.issue.id in names]
            return theirs[-1] if theirs else tip()

    def _holds(self, names: Collection[str]) -> bool:
        return self._landed.union(seat.issue.id for seat in self._stack).issuperset(names)

    def lose(self, name: str, told: AdwError) -> None:
        """An issue will not land: nor will those that depend on it."""
        with self._guard:
            self._lost[name] = told
            self._orphan()
            self._advance()
            self._guard.notify_all()

    def _orphan(self) -> None:
        for seat in list(self._line):
            if lost := [self._lost[name] for name in seat.issue.depends_on if name in self._lost]:
                self._dismiss(seat, lost[0])

    def ready(self, seat: Seat, change: Change) -> None:
        """All has been said of a change but what its tests say; `change` is its final form."""
        with self._guard:
            seat.change, seat.ready = change, True
            self._advance()

    def leave(self, seat: Seat, *, hear: bool = False) -> None:
        """Give a place up; with `hear` its test goes on, as somebody waits for what it says."""
        with self._guard:
            if hear and seat.proof:
                self._heard.add(seat.proof)
            if seat in self._line:
                self._line.remove(seat)
                self._advance()

    def leads(self, issue: Issue) -> bool:
        """Whether the next landing waits for what has to be said of an issue's change. Never waits for the train."""
        return any(seat.issue.id == issue.id for seat in self._line[:1])

    def _advance(self) -> None:
        """Go as far as what is known allows. What keeps the train as a whole from moving is told to all who are in it."""
        try:
            self._stack = []
            while self._line:
                self._stack = self._stacked(self._noticed())
                self._prove(self._stack)
                group = self._group(self._stack)
                if not group:
                    break
                self._land(group)
            self._stack = [seat for seat in self._stack if seat in self._line]
            self._forget()
        except BaseException as no:  # noqa: BLE001 - each seat's thread judges it
            for seat in list(self._line):
                self._dismiss(seat, no)
        self._guard.notify_all()

    def _noticed(self) -> str:
        """The tip of now. What somebody else has landed by then leaves the line."""
        tip = self._tracks.tip()
        if tip != self._seen:
            landed = self._tracks.landed_between(self._seen, tip)
            self._landed |= landed.keys()
            for seat in [seat for seat in self._line if seat.issue.id in landed]:
                self._line.remove(seat)
                seat.landed.set_result(landed[seat.issue.id])
        self._seen = tip
        return tip

    def _stacked(self, tip: str) -> list[Seat]:
        """Those who stand on each other from the tip on, as far as there are slots to test them; who cannot stand on the tip leaves."""
        stack: list[Seat] = []
        onto, untested, present = tip, 0, set(self._landed)
        for seat in list(self._line):
            seat.candidate = seat.failed = None
            if not self._squash and untested >= max(self._slots(), 1):
                continue
            if not present.issuperset(seat.issue.depends_on):
                continue  # those are built anew
            made = self._merged(seat, onto)
            if isinstance(made, Conflict):
                alone = self._merged(seat, tip)
                if isinstance(alone, Conflict) and self._landed.issuperset(seat.issue.depends_on):
                    self._dismiss(seat, alone)
                continue
            no = self._against(seat, made) if not self._squash or onto == tip or self._passed(stack[-1]) else None
            if no is not None:
                seat.failed = made
                if onto == tip or not isinstance(no, AgentFailed):
                    self._dismiss(seat, no)
                continue
            seat.candidate, onto = made, made.sha
            stack.append(seat)
            present.add(seat.issue.id)
            untested += not self._passed(seat)
        return stack

    def _merged(self, seat: Seat, onto: str) -> Candidate | Conflict:
        key = (seat.change.sha, onto)
        if key not in self._made:
            try:
                self._made[key] = self._tracks.candidate(seat.issue, seat.change, onto)
            except Conflict as no:
                self._made[key] = no
        return self._made[key]

    def _against(self, seat: Seat, candidate: Candidate) -> BaseException | None:
        """What a test has said against a candidate."""
        proof = self._proofs.get(candidate.code)
        if proof is None or not proof.done():
            return None
        if (no := proof.exception()) is not None:
            return no
        return None if proof.result().passed else self._tracks.blame(seat, candidate, proof.result())

    def _passed(self, seat: Seat) -> bool:
        proof = self._proofs.get(seat.candidate.code) if seat.candidate else None
        return proof is not None and proof.done() and proof.exception() is None and proof.result().passed

    def _prove(self, stack: Sequence[Seat]) -> None:
        """Begin the tests that are wanted next."""
        for seat in self._wanted(stack):
            if seat.candidate and seat.candidate.code not in self._proofs:
                proof: Future[Verdict] = Future()
                self._proofs[seat.candidate.code] = proof
                threading.Thread(target=contextvars.copy_context().run, args=[self._tested, seat, seat.candidate, proof], daemon=True).start()
        for seat in stack:
            seat.proof = self._proofs.get(seat.candidate.code) if seat.candidate else None

    def _wanted(self, stack: Sequence[Seat]) -> Sequence[Seat]:
        """Whose candidates are to be tested now: all, or where only the last is claimed, the one that tells most."""
        if not self._squash:
            return stack
        proofs = [self._proofs.get(seat.candidate.code) if seat.candidate else None for seat in stack]
        if any(proof and not proof.done() for proof in proofs):
            return []
        good = max((place for place, seat in enumerate(stack) if self._passed(seat)), default=-1)
        bad = next((place for place, proof in enumerate(proofs) if place > good and proof), len(stack))
        middle = bad - 1 if bad == len(stack) else (good + bad) // 2
        return [stack[middle]] if middle > good else []

    def _tested(self, seat: Seat, candidate: Candidate, proof: "Future[Verdict]") -> None:
        verdict, no = None, None
        try:
            verdict = self._tracks.prove(seat, candidate, proof.cancelled)
        except BaseException as said:  # noqa: BLE001 - told to whom it concerns
            no = said
        with self._guard:
            if proof.cancelled():
                return  # so that nothing depends on how far it came
            if verdict:
                proof.set_result(verdict)
            else:
                proof.set_exception(no)
            self._advance()

    def _group(self, stack: Sequence[Seat]) -> list[Seat]:
        """Those at the front that can land: each has passed, or, where only the last is claimed, the last has."""
        group: list[Seat] = []
        for place, seat in enumerate(stack):
            if not seat.ready or not (self._squash or self._passed(seat)):
                break
            if self._passed(seat):
                group = list(stack[: place + 1])
        return group

    def _land(self, group: list[Seat]) -> None:
        try:
            landed = self._tracks.land(group)
        except Blocked as no:
            if len(group) > 1 and not self._squash:
                self._land(group[:1])  # perhaps only one of them is in the user's way
            else:
                for seat in group:
                    self._dismiss(seat, no)
            return
        if landed:
            for seat in group:
                self._line.remove(seat)
                self._landed.add(seat.issue.id)
                if seat.candidate:
                    self._seen = seat.candidate.sha
                    seat.landed.set_result(seat.candidate.sha)
            self._blame({seat.candidate.sha for seat in group if seat.candidate})

    def _blame(self, landed: Collection[str]) -> None:
        """Who failed on top of what has landed now does so on the branch, whatever has landed since."""
        for seat in list(self._line):
            if seat.failed and seat.failed.onto in landed and (no := self._against(seat, seat.failed)):
                self._dismiss(seat, no)

    def _dismiss(self, seat: Seat, no: BaseException) -> None:
        self._line.remove(seat)
        seat.candidate = None
        seat.landed.set_exception(no)

    def _forget(self) -> None:
        """Let go of what cannot land any more, as its change or one below it is not in line; its tests are wanted no more.

        A test that could not be done is done again for the next who asks.
        """
        shas, sound = {seat.change.sha for seat in self._line}, {self._seen}
        for (change, onto), made in list(self._made.items()):  # in the order in which they were made: each behind what it stands on
            if change not in shas or onto not in sound:
                del self._made[change, onto]
            elif isinstance(made, Candidate):
                sound.add(made.sha)
        codes = {made.code for made in self._made.values() if isinstance(made, Candidate)}
        for code in self._proofs.keys() - codes:
            proof = self._proofs.pop(code)
            if proof not in self._heard:
                proof.cancel()
        self._heard = {proof for proof in self._heard if not proof.done()}
