"""How many slots a machine can bear while a run goes on. It shrinks before the machine swaps, and grows back when it is calm.

No process is ended for it: what shrinks is what is lent next.
"""

from dataclasses import dataclass

HEAVY = 60.0  # seconds of too much load, after which one slot fewer is lent: load is a mean over a minute
CALM = 15.0  # seconds in which more could be lent, after which one slot more is
RELIEVED = 0.75  # of the largest load: above that, no slot more is lent


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the machine saw."""

    memory: float  # GB for all that works in slots: of what is free the part that is lent, and what they hold already
    load: float  # processes that want to run, for each core
    busy: int  # slots that are taken


@dataclass(slots=True)
class Bearing:
    """How many slots are lent: a pure function of what was seen when."""

    size: int  # never more
    memory_gb: float  # for each slot; 0: as much as there is
    max_load: float  # 0: whatever it is
    now: int = 0  # before the first look
    _light: float = 0.0  # when there last was no more load than there may be
    _tight: float = 0.0  # when there last was no room for one more

    def look(self, seen: Seen, when: float) -> str:
        """Follow what was seen; returns the reason if fewer or more are lent from now on."""
        most = max(1, min(self.size, int(seen.memory / self.memory_gb) if self.memory_gb else self.size))
        first, before = not self.now, self.now or self.size
        crowded = bool(self.max_load) and seen.load > self.max_load
        if first or not crowded:
            self._light = when
        if first or most <= self.now or (self.max_load and seen.load > self.max_load * RELIEVED):
            self._tight = when
        if first or most < self.now:
            self.now = most
            return f"there are {seen.memory:.1f} GB of memory for them, and each may take {self.memory_gb:g}" if most < before else ""
        if when - self._light >= HEAVY and self.now > 1 and seen.busy <= self.now:  # else the last step shows only when something ends
            self.now, self._light, self._tight = self.now - 1, when, when
            return f"{seen.load:.1f} processes want to run on each core, and {self.max_load:g} may"
        if when - self._tight >= CALM:
            self.now, self._tight = self.now + 1, when
            return "the machine bears one more"
        return ""
