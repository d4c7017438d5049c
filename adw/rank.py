"""Who takes the next slot."""

from typing import NamedTuple

from adw.model import Issue, phase_of

NEW = {"plan": 2, "build": 1}  # what begins something new waits for what is built already


class Rank(NamedTuple):
    """The smaller one goes first; of phases of one issue that are equal, the one that came first."""

    aside: bool  # nobody waits for it
    later: bool  # than what the next landing waits for
    urgency: int  # the issue's priority, turned round
    new: int
    way: float  # seconds to the end of what waits for it longest, turned round
    place: int  # of the issue in the run

    @classmethod
    def of(cls, issue: Issue, phase: str, way: float, place: int, *, front: bool) -> "Rank":
        """The rank of a phase: of what the next landing waits for, or not."""
        return cls(aside=False, later=not front, urgency=-issue.priority, new=NEW.get(phase_of(phase), 0), way=-way, place=place)
