"""How long phases take: learned from past runs of a repository, or what a person says of an issue, or a guess.

From the journals of the runs, though Prefect's history says it, too: they are on this host also when no server runs, hold what ran
and not what was cached, and twenty of them are read faster than a server starts.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from adw.clean import journals
from adw.home import Place
from adw.journal import Journal
from adw.model import Issue

NEWEST = 20  # runs that are learned from
ENOUGH = 500  # phases that are learned from: with so many, older runs are not read
LOOKED_AT = 200  # runs that are read at most, as there may be some in which all was cached
GUESS = {"plan": 180.0, "build": 420.0, "test": 240.0, "review": 180.0, "document": 120.0, "land": 1.0}


@dataclass(frozen=True, slots=True)
class Learned:
    """What a phase takes, and of how many it is the median; 0: it is a guess."""

    seconds: float
    of: int


def learned(place: Place) -> dict[str, Learned]:
    """What each phase takes in a repository, as the newest runs on this host tell."""
    heard, runs = list[tuple[str, float]](), 0
    for journal in journals(place)[:LOOKED_AT]:
        told = list(phases(journal))
        heard, runs = [*heard, *told], runs + bool(told)
        if runs == NEWEST or len(heard) >= ENOUGH:
            break
    by_phase = {phase: [seconds for name, seconds in heard if name == phase] for phase in GUESS}
    return {phase: Learned(median(found) if found else GUESS[phase], len(found)) for phase, found in by_phase.items()}


def phases(journal: Journal) -> Iterator[tuple[str, float]]:
    """The phases that came to an end in a run, each with its seconds. What failed was cut short, what was cached took no time, and a no of a test was run twice."""
    for event in journal.events()[0]:
        if event.get("event") == "phase" and event["state"] in ({"done"} if event["phase"] == "test" else {"done", "no"}):
            yield event["phase"], event["seconds"]


def modules(place: Place, group: str, files: Collection[str]) -> dict[str, float]:
    """What those files of a group of tests take, as the newest run tells that knows: an equal share of the smallest shard that each was in."""
    known: dict[str, float] = {}
    for journal in journals(place)[:NEWEST]:
        shares: dict[str, tuple[int, float]] = {}
        for event in journal.events()[0]:
            if event.get("event") == "phase" and event["state"] == "done" and event.get("group") == group:
                count = len(event["files"])
                shares |= {file: (count, event["seconds"] / count) for file in event["files"] if file not in shares or count < shares[file][0]}
        known = {file: seconds for file, (_, seconds) in shares.items() if file in files} | known
        if known.keys() >= set(files):
            break
    return known


def expected(issues: Sequence[Issue], known: dict[str, Learned]) -> dict[str, dict[str, float]]:
    """What each phase of each issue takes: as in other issues, or, where a person says what all takes, in the same proportion."""
    usual = {phase: one.seconds for phase, one in known.items()}
    total = sum(usual.values())
    return {issue.id: {phase: seconds * (issue.estimate / total if issue.estimate else 1.0) for phase, seconds in usual.items()} for issue in issues}
