"""Events of a run, as the journal has them, and what they fold into."""

from typing import Any

from adw.progress import Progress


def phase(state: str, phase: str = "build", number: int = 1, at: float = 10.0, **more: Any) -> dict[str, Any]:
    seconds = {} if state in {"running", "cached"} else {"seconds": 2.0}
    return {"event": "phase", "timestamp": at, "issue": "a", "phase": phase, "try": number, "state": state, **seconds, **more}


def started(at: float = 1.0, pid: int = 7) -> dict[str, Any]:
    issues = [{"id": "a", "title": "Add a"}, {"id": "b", "title": "Add b"}]
    return {"event": "flow started", "timestamp": at, "flow_run": f"run-{pid}", "ui": "", "pid": pid, "birth": 0.5, "issues": issues}


def checked(at: float = 1.0, **required: bool) -> dict[str, Any]:
    """The start of a run that has checks of its own, each required or not."""
    return started(at) | {"checks": required}


def red(check: str, log: str = "old sins") -> dict[str, Any]:
    return {"event": "red at base", "timestamp": 10.0, "check": check, "log": log}


def doing(what: str, phase: str = "build", issue: str = "a") -> dict[str, Any]:
    return {"event": "doing", "timestamp": 10.0, "issue": issue, "phase": phase, "try": 1, "doing": what}


def paid(phase: str = "build", number: int = 1, issue: str = "a", **more: float) -> dict[str, Any]:
    tokens = {"calls": 1, "input": 12_000, "output": 345, "cache_read": 0, "cache_write": 0}
    return {"event": "spent", "timestamp": 10.0, "issue": issue, "phase": phase, "try": number, "usd": 1.05, "saved": 0.0, "unpriced": 0, **tokens, **more}


def outcome(state: str, issue: str = "a") -> dict[str, Any]:
    sha = "0123456789abcdef" if state == "landed" else ""
    return {"event": "outcome", "timestamp": 12.0, "issue": issue, "title": f"Add {issue}", "state": state, "reason": "", "sha": sha}


def folded(*events: dict[str, Any]) -> Progress:
    progress = Progress()
    for event in (started(), *events):
        progress.add({"timestamp": 10.0, **event})
    return progress
