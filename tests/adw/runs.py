"""Runs as their events tell them, for what is drawn of them."""

from collections.abc import Sequence
from typing import Any

from adw.model import BASE

Event = dict[str, Any]


def begun(at: float, *issues: str, slots: int = 2) -> list[Event]:
    """The start of a run's process."""
    named = [{"id": issue, "title": f"Add {issue}"} for issue in issues]
    return [
        {"event": "process started", "timestamp": at, "pid": 1, "birth": 0.0},
        {"event": "flow started", "timestamp": at, "flow_run": "f", "ui": "", "slots": slots, "pid": 1, "birth": 0.0, "issues": named},
    ]


def ran(issue: str, phase: str, begins: float, ends: float, state: str = "done", **more: Any) -> list[Event]:
    """A phase from its begin to its end; with `cut` nothing is heard of its end."""
    about = {"event": "phase", "issue": issue, "phase": phase, "try": more.pop("number", 1), **more}
    end = {**about, "timestamp": ends, "state": state, "seconds": ends - begins}
    return [{**about, "timestamp": begins, "state": "running"}, *([] if state == "cut" else [end])]


def found(issue: str, phase: str, at: float) -> Event:
    return {"event": "phase", "issue": issue, "phase": phase, "try": 1, "timestamp": at, "state": "cached"}


def waited(issue: str, phase: str, since: float, until: float, number: int = 1) -> Event:
    return {"event": "waited for slot", "issue": issue, "phase": phase, "try": number, "timestamp": until, "seconds": until - since}


def ended(at: float, state: str = "done") -> Event:
    return {"event": "run ended", "timestamp": at, "state": state, "reason": ""}


def outcome(issue: str, at: float, state: str = "landed") -> Event:
    return {"event": "outcome", "timestamp": at, "issue": issue, "title": f"Add {issue}", "state": state, "reason": "", "sha": "abc"}


def told(*events: Event | Sequence[Event]) -> list[Event]:
    """Events in the order of their times."""
    flat = [one for event in events for one in ([event] if isinstance(event, dict) else event)]
    return sorted(flat, key=lambda event: float(event["timestamp"]))


def two_on_two_slots() -> list[Event]:
    """Two issues: `b` fails its test at first, and its second build waits for the slot of `a`'s review; the run ends with its landing."""
    return told(
        begun(100, "a", "b"),
        ran(BASE, "test", 100, 102),
        ran("a", "plan", 100, 110),
        waited("b", "plan", 100, 102),
        ran("b", "plan", 102.1, 108),
        ran("a", "build", 110.1, 130),
        ran("b", "build", 108.1, 120),
        ran("b", "test", 120.1, 125, "no"),
        ran("a", "test", 130.1, 140),
        ran("a", "review", 130.1, 145),
        waited("b", "build", 130, 145, 2),
        ran("b", "build", 145.1, 160, number=2),
        ran("a", "document", 140.1, 141),
        ran("a", "land", 145.1, 145.2),
        outcome("a", 145.3),
        ran("b", "test", 160.1, 170, number=2),
        found("b", "review", 160.2),
        ran("b", "land", 170.1, 170.3, number=2),
        outcome("b", 170.4),
        ended(171),
    )
