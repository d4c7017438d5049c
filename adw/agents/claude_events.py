"""Events of Claude Code's stream, as lines for people."""

import json
from collections.abc import Callable
from typing import Any

from adw.agents.events import about
from adw.agents.shown import gave, joined, uses
from adw.money import dollars


def shown(line: str) -> str:
    """A line of the stream for people: nothing for what tells them nothing; as it is, if it is no event that is known."""
    try:
        event = json.loads(line)
        return KINDS[event["type"]](event) if event["type"] in KINDS else ""
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # cut, no event at all, or another version's idea of it
        return line


def _system(event: dict[str, Any]) -> str:
    if event["subtype"] == "init":
        return f"session {event['session_id']} with {event['model']}"
    if event["subtype"] == "api_retry":
        return f"waits for the API ({event['error']}, attempt {event['attempt']})"
    return ""


def _assistant(event: dict[str, Any]) -> str:
    return joined(_said(block) for block in event["message"]["content"])


def _said(block: dict[str, Any]) -> str:
    if block["type"] == "tool_use":
        return uses(block["name"], about(block["input"]))
    return str(block["text"]).strip() if block["type"] == "text" else ""


def _user(event: dict[str, Any]) -> str:
    content = event["message"]["content"]
    return "" if isinstance(content, str) else joined(_given(block) for block in content if block["type"] == "tool_result")


def _given(block: dict[str, Any]) -> str:
    content = block.get("content") or ""
    text = content if isinstance(content, str) else joined(part.get("text", f"({part['type']})") for part in content)
    return gave(text, failed=bool(block.get("is_error")))


def _result(event: dict[str, Any]) -> str:
    """How it ended, and its last word."""
    ended = "ended with an error" if event["is_error"] else "ended"
    took = f"{event['num_turns']} turns, {event['duration_ms'] / 1000:.1f} s, {dollars(event['total_cost_usd'])}"
    answer = event.get("structured_output")
    said = json.dumps(answer, ensure_ascii=False, indent=1) if answer else event.get("result") or "\n".join(event.get("errors") or ())
    kind = "" if event["subtype"] == "success" else f" ({event['subtype']})"  # an error of the API is a success to it
    return joined([f"\n{ended}{kind}: {took}", str(said).strip()])


KINDS: dict[str, Callable[[dict[str, Any]], str]] = {"system": _system, "assistant": _assistant, "user": _user, "result": _result}
