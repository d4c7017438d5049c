import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from adw.agents import find_agent
from adw.config import AgentConfig, Tools
from adw.errors import AgentCut, AgentFailed, Halted, KeyRefused, ModelAway, RateLimited, SessionLost
from adw.money import Tokens
from tests.adw.tools import job, read

# What opencode 1.18.33 printed; times and the ids of parts are left out.
SESSION = "ses_def038da1ffeExVBowr46jiaN9"
STARTED = f'{{"type":"step_start","sessionID":"{SESSION}","part":{{"type":"step-start"}}}}'
USED = '"tokens":{"total":125,"input":60,"output":20,"reasoning":5,"cache":{"write":0,"read":40}},"cost":0.000492'
STEP = f'{{"type":"step_finish","sessionID":"{SESSION}","part":{{"reason":"tool-calls","type":"step-finish",{USED}}}}}'
LAST = STEP.replace("tool-calls", "stop")
SAID = f'{{"type":"text","sessionID":"{SESSION}","part":{{"type":"text","text":"done it"}}}}'
REFUSED = {
    "type": "tool_use",
    "part": {
        "type": "tool",
        "tool": "invalid",
        "state": {"status": "completed", "input": {"tool": "bash", "error": "Model tried to call unavailable tool 'bash'."}},
    },
}


def used(tool: str, **given: str) -> str:
    """A tool that has done its work."""
    return json.dumps({"type": "tool_use", "sessionID": SESSION, "part": {"tool": tool, "state": {"status": "completed", "input": given, "output": "x"}}})


def failed(status: int, message: str, **headers: str) -> str:
    """An answer of the API that is no success."""
    data = {"message": message, "statusCode": status, "isRetryable": False, "responseHeaders": headers}
    return json.dumps({"type": "error", "sessionID": SESSION, "error": {"name": "APIError", "data": data}})


def test_a_run_is_told_as_it_goes_on(tmp_path: Path) -> None:
    given = job(tmp_path)
    lines = [STARTED, used("bash", command="pytest -q", description="x"), STEP, used("write", filePath=str(given.tree / "c.py"), content=""), STEP, SAID, LAST]
    assert [read("opencode", lines[:n], given).doing for n in (1, 2, 4, 6)] == ["", "Bash pytest -q", "Write c.py", "done it"]
    done = read("opencode", lines, given)
    done.end(0)
    assert (done.session, done.said) == (SESSION, "done it")
    assert done.spent == {"m": Tokens(calls=3, input=180, output=75, cache_read=120)}
    assert done.usd == pytest.approx(0.001476)


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        (failed(401, "invalid x-api-key"), KeyRefused, "invalid x-api-key"),
        (failed(403, "no"), KeyRefused, "no"),
        ('{"type":"error","error":{"name":"ProviderAuthError","data":{"message":"Anthropic API key is missing."}}}', KeyRefused, "missing"),
        (failed(400, "Your credit balance is too low to access the Anthropic API"), KeyRefused, "credit"),
        (failed(429, "slow down", **{"retry-after": "3"}), RateLimited, "wait 3 s"),
        (failed(529, "overloaded"), RateLimited, "overloaded"),
        (failed(500, "boom"), ModelAway, "boom"),
        (failed(404, "model: foo"), Halted, "model: foo"),
        (failed(400, "bad"), AgentFailed, "bad"),
        ('{"type":"error","error":{"name":"UnknownError","data":{"message":"Unexpected server error.","ref":"err_1"}}}', AgentFailed, "server error"),
        ('{"type":"error","error":{"name":"UnknownError","data":{"message":"Unable to connect. Is the computer able to access the url?"}}}', ModelAway, "url"),
        ("\x1b[91m\x1b[1mError: \x1b[0mSession not found", SessionLost, "not found"),
        ("", AgentFailed, "exit status 1"),
    ],
)
def test_what_went_wrong_is_told(line: str, error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words) as no:
        read("opencode", [STARTED, line], job(tmp_path)).end(1)
    assert no.type is error


def test_a_step_more_than_the_limit_is_the_one_that_sums_up_what_is_not_done(tmp_path: Path) -> None:
    read("opencode", [STEP, LAST], job(tmp_path, turns=2)).end(0)
    with pytest.raises(AgentCut):
        read("opencode", [STEP, STEP, LAST], job(tmp_path, turns=2)).end(0)


def test_unknown_events_and_cut_lines_are_passed_over(tmp_path: Path) -> None:
    reader = read(
        "opencode", ['{"type":"text"}', '{"type":"new"}', '{"type":"st', json.dumps(REFUSED), '{"type":"step_finish","part":{}}', SAID, LAST], job(tmp_path)
    )
    reader.end(0)
    assert (reader.said, reader.spent["m"].calls) == ("done it", 1)


@pytest.mark.parametrize(("tools", "denied"), [("read", {"edit", "bash", "task"}), ("edit", {"bash", "task"}), ("run", {"task"})])
def test_what_it_may_not_do_is_denied(tools: Tools, denied: set[str], tmp_path: Path) -> None:
    env = find_agent(AgentConfig(name="opencode"), tmp_path).call(job(tmp_path, tools=tools, turns=7, urls={"OPENAI_API_KEY": "http://x/v1"})).env
    config: dict[str, Any] = json.loads(env["OPENCODE_CONFIG_CONTENT"])
    assert config["permission"] == dict.fromkeys(denied, "deny")
    assert (config["provider"], config["agent"]) == ({"openai": {"options": {"baseURL": "http://x/v1"}}}, {"build": {"steps": 7}})


def test_its_address_of_anthropics_api_is_that_of_its_first_version(tmp_path: Path) -> None:
    for url in ("http://x", "http://x/"):
        env = find_agent(AgentConfig(name="opencode"), tmp_path).call(job(tmp_path, urls={"ANTHROPIC_API_KEY": url})).env
        assert json.loads(env["OPENCODE_CONFIG_CONTENT"])["provider"] == {"anthropic": {"options": {"baseURL": "http://x/v1"}}}


def test_a_session_goes_where_its_work_goes_on(tmp_path: Path) -> None:
    given = job(tmp_path, session=SESSION)
    file = given.folder / "data" / "opencode" / "opencode.db"
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as sessions, sessions:
        sessions.execute("CREATE TABLE session (id text, directory text)")
        sessions.execute("INSERT INTO session VALUES (?, '/elsewhere')", [SESSION])
    find_agent(AgentConfig(name="opencode"), tmp_path).call(given)
    with closing(sqlite3.connect(file)) as sessions:
        assert sessions.execute("SELECT directory FROM session").fetchall() == [(str(given.tree),)]


def test_sessions_that_cannot_be_read_are_lost(tmp_path: Path) -> None:
    with pytest.raises(SessionLost, match="cannot be read"):
        find_agent(AgentConfig(name="opencode"), tmp_path).call(job(tmp_path, session=SESSION))
