"""What the train of a run moves on: the repository, and phases for its tests and its landings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from adw import phases
from adw.errors import AgentFailed, Blocked, Collided, HubAway
from adw.model import Arrival, Candidate, Change, Issue, Verdict
from adw.train import Seat
from flows.work import Work


@dataclass(frozen=True)
class Rails:
    """The rails of one run."""

    work: Work

    def tip(self) -> str:
        """The commit that the branch is at."""
        return self.work.hub.tip()

    def landed_between(self, old: str, new: str) -> dict[str, str]:
        """The issues that landed after one commit up to another, each with its commit."""
        return self.work.hub.mirror.trailers(f"{old}..{new}")

    def candidate(self, issue: Issue, change: Change, onto: str) -> Candidate:
        """What a change would land as on top of a commit. Conflict if it does not merge."""
        return phases.candidate(self.work.site, issue, change, onto)

    def prove(self, seat: Seat, candidate: Candidate, unwanted: Callable[[], bool]) -> Verdict:
        """Test a candidate."""
        return self.work.checks.prove(seat.issue, candidate, seat.attempt, unwanted)

    def land(self, seats: Sequence[Seat]) -> bool:
        """Have those at the front land together. Blocked also if the remote is away for too long: who waits is as good as landed."""
        arrivals = [Arrival(issue=seat.issue, candidate=seat.candidate, attempt=seat.attempt) for seat in seats if seat.candidate]
        with while_it_answers():
            return self.work.land(arrivals)

    def blame(self, seat: Seat, candidate: Candidate, verdict: Verdict) -> AgentFailed:
        """The log; the fault may be in what the change and those that landed since it began are together."""
        said = f"on top of {candidate.onto[:10]}, {verdict.log}"
        return AgentFailed(said) if candidate.onto == seat.change.base else Collided(said)


@contextmanager
def while_it_answers() -> Iterator[None]:
    """For the block, which hands finished changes over: Blocked if whoever takes them does not answer, also when asked again."""
    try:
        yield
    except HubAway as no:
        msg = f"{no}; the change is finished and kept: `adw resume` hands it over"
        raise Blocked(msg) from no
