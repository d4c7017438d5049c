"""Two issues with each of the other CLIs, in the sandbox, and through the gateway where it speaks their protocol.

`tests/clis.py` says how they are installed: not in CI.
"""

import json
import os
from typing import Any

import pytest

from tests.clis import AIDER, ALL, CLIS, GEMINI, OVER_OPENAI, Cli, need, those
from tests.e2e.conftest import Adw
from tests.fake_models import Turns, serving

pytestmark = pytest.mark.usefixtures("untraced")

PATIENCE = 600  # seconds: some of these take ten to start, eight times
KEY = "sk-right"
NAMES = ("a", "b")
PLAN = {"summary": "Write the file.", "files": [], "items": []}
REVIEW = {"summary": "Fit.", "findings": []}
BEGINS = {"plan": "Plan how to", "build": "Resolve the issue", "review": "Review the change", "document": "Update the documentation"}
CANARY = "if touch {canary} 2>/dev/null; then exit 1; fi; printf '%s\\n' $ADW_ISSUE > $ADW_ISSUE.txt"


def patch(name: str) -> str:
    """A new file, as aider wants it."""
    return f"Here it is.\n\n{name}.txt\n```\n<<<<<<< SEARCH\n=======\n{name}\n>>>>>>> REPLACE\n```\n"


def last(cli: Cli, text: str) -> list[dict[str, Any]]:
    """A model's only word."""
    return [{"text": text} if cli.name == AIDER.name else {**cli.runs("true")[-1], "text": text}]


def script(cli: Cli, command: str) -> Turns:
    """How the model answers in each phase."""
    turns = {"plan": last(cli, json.dumps(PLAN)), "review": last(cli, json.dumps(REVIEW)), "document": last(cli, "Nothing to do.")}
    found: dict[str, list[dict[str, Any]]] = {}
    for name in NAMES:
        build = [{"text": patch(name)}] if cli.name == AIDER.name else cli.runs(command)
        found |= {f'(^|\\s){BEGINS[phase]}[\\s\\S]*title="Add {name}"': said for phase, said in {**turns, "build": build}.items()}
    return found


@those(*ALL, *OVER_OPENAI)
def test_issues_land_by_a_cli_that_works_in_the_sandbox_and_does_not_see_the_key_where_the_gateway_can_hide_it(cli: Cli, adw: Adw) -> None:
    need(cli)
    for name in NAMES:
        adw.issue(name, f"Add {name}")
    canary = adw.repository.path / "canary"
    with serving(script(cli, CANARY.replace("{canary}", str(canary))), needs_tools=cli.name != AIDER.name) as api:
        block = f"{adw.repository.path.name.lower().replace('_', '-')}-{cli.name}"
        agent = f'name = "{cli.name}"\nmodel = "{cli.model}"\nsecrets = {{ {cli.key} = "{block}" }}\nbase_url = {{ {cli.key} = "{api.url}{cli.path}" }}\n'
        config = f'[agent]\n{agent}[test]\ncommand = "test -f code.txt"\n[pool]\nmemory_gb = 0\n[sandbox]\nmode = "required"\n'
        adw.repository.commit("adw.toml", **{"adw.toml": config})
        adw.env |= {"PATH": f"{CLIS}/{cli.folder}{os.pathsep}{os.environ['PATH']}", cli.key: KEY}
        process = adw.start("run", str(adw.issues), "--agents", "2")
        out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out
        adw.assert_whole(*NAMES)
        asked = [headers for _, headers, _ in api.requests]
    assert [adw.repository.git("show", f"main:{name}.txt") for name in NAMES] == list(NAMES)
    assert not canary.exists()
    spent = [event for event in adw.events() if event["event"] == "spent"]
    assert {event["phase"] for event in spent} == set(BEGINS)
    through_gateway = all("status" in event for event in spent)
    assert through_gateway == (cli is not GEMINI)
    assert asked
    assert all(KEY in str(headers) for headers in asked)
    everything = "".join(file.read_text(errors="replace") for file in adw.place.glob("runs/**/*") if file.is_file())
    assert KEY not in everything
