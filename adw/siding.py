"""The siding: where changes stand that people are to land, each on the branch, or on those it depends on, and on no others.

It is a train's other shape, for a run in which nothing lands: whoever boards is tested as it would land, and offered once it is
ready and has passed.
"""

import contextlib
import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Protocol

from adw import merging
from adw.config import MergeConfig
from adw.errors import AdwError, AgentFailed, Conflict
from adw.git import Git, change_of
from adw.model import Candidate, Change, Issue, Verdict
from adw.train import Seat


class Buffers(Protocol):
    """What changes stand on in a siding."""

    def ground(self, issue: Issue) -> str:
        """The commit that an issue's change would land on now."""

    def candidate(self, issue: Issue, change: Change, onto: str) -> Candidate:
        """What a change would land as on top of a commit. Conflict if it does not merge."""

    def prove(self, seat: Seat, candidate: Candidate, unwanted: Callable[[], bool]) -> Verdict:
        """Test a candidate for as long as somebody wants that. AgentFailed if it could not be done."""

    def offer(self, seat: Seat, candidate: Candidate) -> str:
        """Leave a candidate for a person; gives its commit, or the one that it has landed as by then. Blocked if the person is in the way."""

    def blame(self, seat: Seat, candidate: Candidate, verdict: Verdict) -> AgentFailed:
        """What is said of a change whose candidate fails."""


class Siding:
    """The places of one run."""

    def __init__(self, buffers: Buffers) -> None:
        """No place is taken yet."""
        self._buffers = buffers

    def board(self, issue: Issue, attempt: int, change: Change) -> Seat:
        """Take a place: the tests begin."""
        seat = Seat(issue, attempt, change, number=0)
        with contextlib.suppress(Conflict):  # it is told when the change is ready
            self._tested(seat)
        return seat

    def ready(self, seat: Seat, change: Change) -> None:
        """All has been said of a change but what its tests say: wait for them, and offer it. `change` is its final form."""
        seat.change, seat.ready = change, True
        try:
            candidate, verdict = self._tested(seat)
            if verdict.result().passed:
                seat.landed.set_result(self._buffers.offer(seat, candidate))
            else:
                seat.landed.set_exception(self._buffers.blame(seat, candidate, verdict.result()))
        except BaseException as no:  # noqa: BLE001 - whoever waits for the seat judges it
            seat.landed.set_exception(no)

    def leave(self, seat: Seat, *, hear: bool = False) -> None:
        """Give a place up; with `hear` its test goes on, as somebody waits for what it says."""
        if seat.proof and not hear:
            seat.proof.cancel()

    def leads(self, _issue: Issue) -> bool:
        """Whether others wait for an issue's change: nobody does."""
        return False

    def lose(self, name: str, told: AdwError) -> None:
        """An issue will not be ready: those that depend on it wait for it elsewhere."""

    def _tested(self, seat: Seat) -> "tuple[Candidate, Future[Verdict]]":
        """The candidate of now, and what its tests say or will say: those of before, if what they see is the same."""
        candidate = self._buffers.candidate(seat.issue, seat.change, self._buffers.ground(seat.issue))
        if seat.candidate is None or seat.proof is None or seat.candidate.code != candidate.code:
            self.leave(seat)
            seat.proof = Future()
            work = threading.Thread(target=contextvars.copy_context().run, args=[self._test, seat, candidate, seat.proof], daemon=True)
            work.start()
        seat.candidate = candidate
        return candidate, seat.proof

    def _test(self, seat: Seat, candidate: Candidate, proof: "Future[Verdict]") -> None:
        with contextlib.suppress(InvalidStateError):  # it is wanted no more
            try:
                proof.set_result(self._buffers.prove(seat, candidate, proof.cancelled))
            except BaseException as no:  # noqa: BLE001 - told to whom it concerns
                proof.set_exception(no)


def ground(git: Git, rules: MergeConfig, tip: str, ready: Sequence[str], landed: Sequence[str]) -> str:
    """What an issue is built on that depends on others, of which some have landed, and some are only ready: a commit with all of them in it.

    That is the one that is ready, or a stack of them, the same each time; else the tip. Conflict if they do not go together.
    """
    if not ready:
        return tip
    onto = ready[0] if all(git.is_ancestor(sha, ready[0]) for sha in landed) else tip
    for other in ready:
        if git.is_ancestor(onto, other):
            onto = other
            continue
        for commit in git.run("rev-list", "--reverse", "--topo-order", f"{onto}..{other}").split():
            tree = merging.clean(git, rules, change_of(git, commit), onto)
            onto = git.commit(tree, [onto], git.message(commit), git.identity(commit))
    return onto


def nearest(git: Git, ground: str, below: Sequence[str]) -> str:
    """Of some commits that a commit may stand on, the one that it stands on nearest; empty if on none."""
    held = [sha for sha in below if git.is_ancestor(sha, ground)]
    return next((sha for sha in held if all(git.is_ancestor(other, sha) for other in held)), "")


def bears(git: Git, tip: str, base: str) -> bool:
    """Whether a change that began at a base can be taken further: all that the branch lacks of it was made by adw for other issues.

    Of these only the change itself is taken, to what is there of them. But where a person took back a commit of theirs, what was
    built on it is void.
    """
    beyond = f"{tip}..{base}"
    return int(git.run("rev-list", "--count", beyond)) == len(git.trailers(beyond))
