"""The siding: where changes stand that people are to land, each on the branch, or on those it depends on, and on no others.

It is a train's other shape, for a run in which nothing lands: whoever boards is tested as it would land, and offered once it is
ready and has passed.
"""

import contextlib
import contextvars
import threading
from concurrent.futures import Future
from typing import Protocol

from adw.errors import AgentFailed, Conflict
from adw.model import Candidate, Change, Issue, Verdict
from adw.train import Seat


class Buffers(Protocol):
    """What changes stand on in a siding."""

    def ground(self, issue: Issue) -> str:
        """The commit that an issue's change would land on now."""

    def candidate(self, issue: Issue, change: Change, onto: str) -> Candidate:
        """What a change would land as on top of a commit. Conflict if it does not merge."""

    def prove(self, seat: Seat, candidate: Candidate, *, front: bool) -> Verdict:
        """Test a candidate. AgentFailed if that could not be done."""

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

    def leave(self, seat: Seat) -> None:
        """Give a place up: nobody stands behind it."""

    def _tested(self, seat: Seat) -> "tuple[Candidate, Future[Verdict]]":
        """The candidate of now, and what its tests say or will say: those of before, if what they see is the same."""
        candidate = self._buffers.candidate(seat.issue, seat.change, self._buffers.ground(seat.issue))
        if seat.candidate is None or seat.proof is None or seat.candidate.code != candidate.code:
            seat.proof = Future()
            work = threading.Thread(target=contextvars.copy_context().run, args=[self._test, seat, candidate, seat.proof], daemon=True)
            work.start()
        seat.candidate = candidate
        return candidate, seat.proof

    def _test(self, seat: Seat, candidate: Candidate, proof: "Future[Verdict]") -> None:
        try:
            proof.set_result(self._buffers.prove(seat, candidate, front=False))
        except BaseException as no:  # noqa: BLE001 - told to whom it concerns
            proof.set_exception(no)
