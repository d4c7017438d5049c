"""Plays one part of a script in the current directory: what `ScriptedAgent` runs. The standard library alone.

    {"ISSUE": {"build": [{"seconds": 2, "say": "…", "edits": [EDIT…], "spent": {MODEL: TOKENS}, "exit": 0, "hang": false}, …], "plan": […], …}, "*": {…}}

The part is found by ADW_ISSUE (else `*`), ADW_PHASE (of a piece of one first by `build-2` and the like, by ADW_PART) and ADW_TRY
(the last one stands for all that follow).
EDIT is {"path", "write": text} | {"path", "append": text} | {"path", "find": text, "replace": text} | {"path", "delete": true}.
TOKENS, {"calls", "input", "output", "cache_read", "cache_write"}, are what it says that it took.
Exits 1 if an edit does not fit what is there.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def apply(edit: dict[str, Any]) -> str:
    """Do one edit; returns why it does not fit, or nothing."""
    path = Path(edit["path"])
    if edit.get("delete"):
        path.unlink()
        return ""
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if "find" in edit and edit["find"] not in before:
        return f"{path}: there is no {edit['find']!r} to replace"
    if "write" in edit:
        after = edit["write"]
    elif "append" in edit:
        after = before + edit["append"]
    else:
        after = before.replace(edit["find"], edit["replace"], 1)
    path.write_text(after, encoding="utf-8")
    return ""


def main() -> int:
    """Say, wait, edit."""
    script = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    phase, number = os.environ["ADW_PHASE"], int(os.environ["ADW_TRY"])
    piece = f"{phase}-{os.environ.get('ADW_PART', '')}"
    known = [*(script.get(os.environ["ADW_ISSUE"]) or {}).items(), *script.get("*", {}).items()]
    parts: list[dict[str, Any]] = next((part for wanted in (piece, phase) for name, part in known if name == wanted and part), [{}])
    part = parts[max(1, min(number, len(parts))) - 1]
    print(part.get("say") or f"{phase}: done", flush=True)
    time.sleep(part.get("seconds", 0))
    if part.get("spent"):
        print(json.dumps({"spent": part["spent"]}), flush=True)
    while part.get("hang"):
        time.sleep(3600)
    for edit in part.get("edits", []):
        if reason := apply(edit):
            print(reason, flush=True)
            return 1
    return int(part.get("exit", 0))


if __name__ == "__main__":
    sys.exit(main())
