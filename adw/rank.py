"""Who takes the next slot."""

from math import inf
from typing import NamedTuple

from adw.model import INTEGRATE, Issue, phase_of

NEW = {"plan": 2, "build": 1, INTEGRATE: 0}  # what begins something new waits for what is built already, be it in parts


# What is built already goes before what is new, so that it lands soon. But when little is left, the longest way must be begun, or the
# run ends with one agent at work and the other slots idle: before so many times its way is all that is left. (Simulated with 7 to 23
# issues on 2 to 10 slots, and a quarter of a second between two phases: 1.026 of what they could take, 1.064 at most; with 1.5 1.038 and
# 1.085, with 1.25 1.066 and 1.18, with 3 1.034 and 1.2. Built and tested in parts, all of these are as good.)
# Once its way is all that is left, it goes even before what would land next. (With 5 to 23 issues on 2 to 10 slots, built and tested in
# parts, and 0.2 s between two of them: 1.06 to 1.09; without, 1.06 to 1.13.)
EARLY = 2.0


class Rank(NamedTuple):
    """The smaller one goes first; of phases of one issue that are equal, the one that came first."""

    aside: bool  # nobody waits for it
    spare: bool  # more is left than its own way: the run's end does not wait for it yet
    later: bool  # than what the next landing waits for
    urgency: int  # the issue's priority, turned round
    idle: bool  # it does not even have to begin soon
    new: int
    way: float  # seconds to the end of what waits for it longest, turned round
    place: int  # of the issue in the run

    @classmethod
    def of(cls, issue: Issue, phase: str, way: float, place: int, *, front: bool, left: float = inf) -> "Rank":  # noqa: PLR0913 - all that counts
        """The rank of a phase: of what the next landing waits for, or not. `left` is how long all that is left takes at least, in seconds."""
        new, urgency = NEW.get(phase, NEW.get(phase_of(phase), 0)), -issue.priority
        return cls(aside=False, spare=way < left, later=not front, urgency=urgency, idle=way * EARLY < left, new=new, way=-way, place=place)
