"""Who takes the next slot."""

from math import inf
from typing import NamedTuple

from adw.model import Issue

NEW = {"plan": 2, "build": 1}  # what begins something new waits for what is built already


# What is built already goes before what is new, so that it lands soon. But when little is left, the longest way must be begun, or the
# run ends with one agent at work and the other slots idle: before so many times its way is all that is left. (Simulated with 5 to 40
# issues on 5 slots, of three kinds: without, 8 to 20 issues take 1.06 to 1.3 of what they could; with 1.25 to 2.5, 1.03 to 1.08.)
EARLY = 1.5


class Rank(NamedTuple):
    """The smaller one goes first; of phases of one issue that are equal, the one that came first."""

    aside: bool  # nobody waits for it
    later: bool  # than what the next landing waits for
    urgency: int  # the issue's priority, turned round
    idle: bool  # it does not yet have to begin lest the run's end waits for it alone
    new: int
    way: float  # seconds to the end of what waits for it longest, turned round
    place: int  # of the issue in the run

    @classmethod
    def of(cls, issue: Issue, phase: str, way: float, place: int, *, front: bool, left: float = inf) -> "Rank":  # noqa: PLR0913 - all that counts
        """The rank of a phase: of what the next landing waits for, or not. `left` is how long all that is left takes at least, in seconds."""
        return cls(aside=False, later=not front, urgency=-issue.priority, idle=way * EARLY < left, new=NEW.get(phase, 0), way=-way, place=place)
