"""Events of Claude Code's stream, as lines for people: text as it is, a tool call in a line, the beginning of what it gave, the end."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from adw.model import one_line
from adw.money import dollars

ABOUT = ("file_path", "notebook_path", "command", "pattern", "url", "description")  # of a tool's arguments, what tells most
SHOWN_LINES = 4  # of what a tool gave
WIDTH = 160  # characters of a line


def about(given: dict[str, Any]) -> str:
    """What a tool is used on: a file, a command, a pattern; empty if that does not show."""
    return next((given[key] for key in ABOUT if isinstance(given.get(key), str)), "")


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
    return _joined(_said(block) for block in event["message"]["content"])


def _said(block: dict[str, Any]) -> str:
    if block["type"] == "tool_use":
        return one_line(f"→ {block['name']} {about(block['input'])}")[:WIDTH]
    return str(block["text"]).strip() if block["type"] == "text" else ""


def _user(event: dict[str, Any]) -> str:
    content = event["message"]["content"]
    return "" if isinstance(content, str) else _joined(_given(block) for block in content if block["type"] == "tool_result")


def _given(block: dict[str, Any]) -> str:
    """The beginning of what a tool gave."""
    content = block.get("content") or ""
    text = content if isinstance(content, str) else _joined(part.get("text", f"({part['type']})") for part in content)
    lines = ["failed:"] if block.get("is_error") else []
    lines += text.strip().splitlines()
    more = len(lines) - SHOWN_LINES
    return "\n".join(f"    {line[:WIDTH]}" for line in [*lines[:SHOWN_LINES], *([f"… {more} more lines"] if more > 0 else [])])


def _result(event: dict[str, Any]) -> str:
    """How it ended, and its last word."""
    ended = "ended with an error" if event["is_error"] else "ended"
    took = f"{event['num_turns']} turns, {event['duration_ms'] / 1000:.1f} s, {dollars(event['total_cost_usd'])}"
    answer = event.get("structured_output")
    said = json.dumps(answer, ensure_ascii=False, indent=1) if answer else event.get("result") or "\n".join(event.get("errors") or ())
    kind = "" if event["subtype"] == "success" else f" ({event['subtype']})"  # an error of the API is a success to it
    return _joined([f"\n{ended}{kind}: {took}", str(said).strip()])


def _joined(parts: Iterable[str]) -> str:
    return "\n".join(filter(None, parts))


KINDS: dict[str, Callable[[dict[str, Any]], str]] = {"system": _system, "assistant": _assistant, "user": _user, "result": _result}
