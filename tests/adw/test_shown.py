"""`adw show --log` for other CLIs than Claude Code: lines that they printed, shortened, and what people see of them."""

import json
import re
from typing import Any

import pytest

from adw.agents import READERS
from adw.cli.logs import readable

TREE = "/slots/3/tree/"
OUTPUT = "1\n2\n3\n4\n5\n6\ngröße\n"
GAVE = ["    1\n    2\n    3\n    4\n    … 3 more lines"]


def codex(kind: str, **item: Any) -> dict[str, Any]:
    return {"type": kind, "item": {"id": "item_1", **item}}


def opencode(**state: Any) -> dict[str, Any]:
    return {"type": "tool_use", "sessionID": "ses_1", "part": {"type": "tool", "tool": "read", "state": {"input": {"filePath": f"{TREE}a.py"}, **state}}}


COMMAND = {"type": "command_execution", "command": "/bin/bash -lc 'seq 1 6'"}
CHANGE = {"type": "file_change", "changes": [{"path": f"{TREE}a.py", "kind": "add"}, {"path": f"{TREE}b.py", "kind": "update"}]}
STATS = {"input_tokens": 4000, "output_tokens": 80}

TOLD: list[tuple[str, dict[str, Any], list[str]]] = [
    ("codex", {"type": "turn.started"}, []),
    ("codex", codex("item.completed", type="agent_message", text="Two\nlines."), ["Two\nlines."]),
    ("codex", codex("item.started", **COMMAND, aggregated_output="", status="in_progress"), ["→ Run 'seq 1 6'"]),
    ("codex", codex("item.completed", **COMMAND, aggregated_output=OUTPUT, status="completed"), GAVE),
    ("codex", codex("item.completed", **COMMAND, aggregated_output="no\n", status="failed"), ["    failed:\n    no"]),
    ("codex", codex("item.started", **CHANGE, status="in_progress"), ["→ Edit a.py, b.py"]),
    ("codex", codex("item.completed", **CHANGE, status="completed"), []),
    ("codex", codex("item.completed", type="error", message="a warning"), ["a warning"]),
    ("codex", {"type": "error", "message": "Reconnecting..."}, ["Reconnecting..."]),
    ("codex", {"type": "turn.completed", "usage": STATS}, ["\nended: 4,000 tokens in and 80 out, in the whole session"]),
    ("codex", {"type": "turn.failed", "error": {"message": "401"}}, ["\nended with an error: 401"]),
    ("opencode", {"type": "step_start", "part": {}}, []),
    ("opencode", {"type": "text", "part": {"text": "hello"}}, ["hello"]),
    ("opencode", opencode(status="completed", output=OUTPUT), [f"→ Read a.py\n{GAVE[0]}"]),
    ("opencode", opencode(status="error", error=f"no {TREE}a.py"), ["→ Read a.py\n    failed:\n    no a.py"]),
    ("opencode", {"type": "step_finish", "part": {"reason": "tool-calls"}}, []),
    ("opencode", {"type": "step_finish", "part": {"reason": "stop"}}, ["\nended"]),
    ("opencode", {"type": "error", "error": {"name": "APIError", "data": {"message": "slow down"}}}, ["\nended with an error: slow down"]),
    ("opencode", {"type": "error", "error": {"name": "UnknownError"}}, ["\nended with an error: UnknownError"]),
    ("gemini", {"type": "init", "session_id": "8424", "model": "gemini-2.5-pro"}, ["session 8424 with gemini-2.5-pro"]),
    ("gemini", {"type": "message", "role": "user", "content": "the prompt"}, []),
    ("gemini", {"type": "message", "role": "assistant", "content": "a piece", "delta": True}, ["a piece"]),
    ("gemini", {"type": "tool_use", "tool_name": "write_file", "parameters": {"file_path": f"{TREE}a.py", "content": "x"}}, ["→ Write file a.py"]),
    ("gemini", {"type": "tool_result", "status": "success"}, []),
    ("gemini", {"type": "tool_result", "status": "success", "output": OUTPUT}, GAVE),
    ("gemini", {"type": "tool_result", "status": "error", "output": "File not found."}, ["    failed:\n    File not found."]),
    ("gemini", {"type": "result", "status": "success", "stats": STATS}, ["\nended: 4,000 tokens in and 80 out"]),
    ("gemini", {"type": "result", "status": "error", "error": {"message": "denied"}, "stats": STATS}, ["\nended with an error: denied"]),
    ("mini-swe-agent", {"role": "assistant", "text": "first", "commands": ["seq 1 6", "true"]}, ["first\n→ Run seq 1 6\n→ Run true"]),
    ("mini-swe-agent", {"role": "exit", "text": "", "exit": "Submitted"}, ["\nended: Submitted"]),
    ("mini-swe-agent", {"role": "exit", "text": "slow down", "exit": "RateLimitError"}, ["\nended with an error: RateLimitError slow down"]),
]


def shown(name: str, line: str) -> list[str]:
    return list(readable([line], READERS[name], re.compile(re.escape(TREE))))


@pytest.mark.parametrize(("name", "event", "told"), TOLD)
def test_an_event_is_told_as_people_read_it(name: str, event: dict[str, Any], told: list[str]) -> None:
    assert shown(name, json.dumps(event)) == told


@pytest.mark.parametrize("line", ["Ripgrep is not available.", '{"type": "tool_u', "[1]", '{"type": "tool_use"}', '{"type": "item.started"}', '{"type": 7}'])
@pytest.mark.parametrize("name", sorted(READERS))
def test_a_line_that_is_cut_or_no_event_that_is_known_is_shown_as_it_is_or_not_at_all(name: str, line: str) -> None:
    assert shown(name, line) in ([line], [])
    assert line.startswith('{"type"') or shown(name, line) == [line]
