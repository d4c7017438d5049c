"""What the train of a run moves on: the repository, and phases for its tests and its landings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adw import phases
from adw.errors import AgentFailed, Collided
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
        """Have those at the front land together."""
        arrivals = [Arrival(issue=seat.issue, candidate=seat.candidate, attempt=seat.attempt) for seat in seats if seat.candidate]
        return self.work.land(arrivals)

    def blame(self, seat: Seat, candidate: Candidate, verdict: Verdict) -> AgentFailed:
        """The log; the fault may be in what the change and those that landed since it began are together."""
        said = f"on top of {candidate.onto[:10]}, {verdict.log}"
        return AgentFailed(said) if candidate.onto == seat.change.base else Collided(said)
