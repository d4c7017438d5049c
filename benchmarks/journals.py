"""What the events of a delivery say of its time; the baseline tells its own in the same words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Event = dict[str, Any]


def wall(events: Sequence[Event]) -> float:
    """Seconds from the start of the work to the end of the last issue, landing or merge included."""
    began = next(event["timestamp"] for event in events if event["event"] == "flow started")
    return float(max(event["timestamp"] for event in events if event["event"] in {"outcome", "phase"}) - began)


def steps(events: Sequence[Event], planned: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Where the time of the issue went that ended last, beyond what its agents and tests waited; that it waits for a slot is in it."""
    last = max((event for event in events if event["event"] == "outcome"), key=lambda event: float(event["timestamp"]))
    now = next(float(event["timestamp"]) for event in events if event["event"] == "flow started")
    spans = sorted(_spans(events, last["issue"]), key=lambda span: span[2])
    while spans:
        phase, begins, ends = spans.pop(0)
        if begins >= now and not any(other[1] >= now and other[1] < begins for other in spans if other[0] == phase):
            yield f"until {phase} begins", begins - now
            yield f"{phase}, beyond its {planned.get(phase, 0.0):g} s", ends - begins - planned.get(phase, 0.0)
            now = ends
    yield "until the issue has ended", float(last["timestamp"]) - now


def _spans(events: Sequence[Event], issue: str) -> Iterator[tuple[str, float, float]]:
    for event in events:
        if event["event"] == "phase" and event["issue"] == issue and "seconds" in event:
            yield event["phase"], event["timestamp"] - event["seconds"], event["timestamp"]


def twice(events: Sequence[Event], planned: Mapping[str, float], killed: float) -> float:
    """Seconds of agents and tests that were done more than once: what was cut when all was killed, and what had been done before."""
    done = Counter((event["issue"], event["phase"]) for event in events if event["event"] == "phase" and event["state"] == "done")
    again = sum((times - 1) * planned.get(phase, 0.0) for (_, phase), times in done.items())
    running = dict[tuple[str, str], float]()
    for event in events:
        if event["event"] == "phase" and event["timestamp"] < killed:
            what = (event["issue"], event["phase"])
            running.pop(what, None)
            if event["state"] == "running":
                running[what] = event["timestamp"]
    return again + sum(min(killed - since, planned.get(phase, 0.0)) for (_, phase), since in running.items())
