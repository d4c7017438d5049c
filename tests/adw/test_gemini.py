import json
from pathlib import Path

import pytest

from adw.agents import find_agent
from adw.config import AgentConfig, Tools
from adw.errors import AgentCut, AgentFailed, Halted, KeyRefused, ModelAway, RateLimited, SessionLost
from adw.money import Tokens
from tests.adw.tools import job, read

# What Gemini CLI 0.61.0 printed.
SESSION = "6f5d67b6-bbb7-4412-a32c-420f26096e0a"
NOISE = ["Ripgrep is not available. Falling back to GrepTool.", "YOLO mode is enabled. All tool calls will be automatically approved."]
BEGAN = f'{{"type":"init","timestamp":"2026-11-25T04:36:57.703Z","session_id":"{SESSION}","model":"gemini-2.5-pro"}}'
ASKED = '{"type":"message","timestamp":"2026-11-25T04:36:57.704Z","role":"user","content":"Please add a file b.py\\n"}'
RAN = '{"type":"tool_use","timestamp":"2026-11-25T04:36:57.778Z","tool_name":"run_shell_command","tool_id":"r_0","parameters":{"command":"echo hi > b.py"}}'
RESULT = '{"type":"tool_result","timestamp":"2026-11-25T04:36:57.864Z","tool_id":"r_0","status":"success","output":"9"}'
SAID = '{"type":"message","timestamp":"2026-11-25T04:36:57.904Z","role":"assistant","content":"done","delta":true}'
MORE = SAID.replace('"done"', '" it"')
STATS = '"total_tokens":240,"input_tokens":200,"output_tokens":30,"cached":80,"input":120'
DONE = f'{{"type":"result","status":"success","stats":{{{STATS},"tool_calls":1,"models":{{"gemini-2.5-pro":{{{STATS}}}}}}}}}'
CHAT = {
    "type": "gemini",
    "content": "",
    "tokens": {"input": 100, "output": 15, "cached": 40, "thoughts": 5, "tool": 0, "total": 120},
    "model": "gemini-2.5-pro",
}


def failed(message: str, kind: str = "unknown") -> str:
    """A result that is no success."""
    return json.dumps({"type": "result", "status": "error", "error": {"type": kind, "message": message}, "stats": {"models": {}}})


def api(status: int, message: str) -> list[str]:
    """An answer of the API that is no success: told in text first."""
    return [BEGAN, "Error when talking to Gemini API Full report available at: …", f"  status: {status}", "}", failed(f"[API Error: {message}]")]


def answered(file: Path, name: str, when: str) -> None:
    """Write down an answer, as it does in its session."""
    with file.open("a") as out:
        out.write(json.dumps({**CHAT, "id": name, "timestamp": f"2026-11-25T{when}Z"}) + "\n")


def test_a_run_is_told_as_it_goes_on(tmp_path: Path) -> None:
    lines = [*NOISE, BEGAN, ASKED, SAID, RAN, RESULT, SAID, MORE, DONE]
    given = job(tmp_path)
    assert [read("gemini", lines[:n], given).doing for n in (4, 6, 9)] == ["", "Run shell command echo hi > b.py", "done it"]
    done = read("gemini", lines, given)
    done.end(0)
    assert (done.session, done.said) == (SESSION, "done it")
    assert done.spent == {"gemini-2.5-pro": Tokens(calls=1, input=120, output=40, cache_read=80)}


def test_tokens_are_those_of_its_session_while_it_runs_without_those_of_before(tmp_path: Path) -> None:
    given = job(tmp_path, session=SESSION)
    file = given.folder / ".gemini" / "tmp" / "tree" / "chats" / f"session-2026-11-25T04-36-{SESSION[:8]}.jsonl"
    file.parent.mkdir(parents=True)
    answered(file, "before", "04:30:00.000")
    reader = read("gemini", [BEGAN], given)
    assert reader.spent == {}
    for _ in range(2):
        answered(file, "one", "04:36:57.780")
    reader.take(RESULT)
    assert reader.spent == {"gemini-2.5-pro": Tokens(calls=1, input=60, output=20, cache_read=40)}
    answered(file, "two", "04:36:57.879")
    reader.take(DONE)
    assert reader.spent == {"gemini-2.5-pro": Tokens(calls=2, input=120, output=40, cache_read=80)}


def test_a_session_that_an_agent_put_a_link_in_the_place_of_is_not_read(tmp_path: Path) -> None:
    given = job(tmp_path)
    file = given.folder / ".gemini" / "tmp" / "tree" / "chats" / f"session-2026-11-25T04-36-{SESSION[:8]}.jsonl"
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "elsewhere")
    assert read("gemini", [BEGAN, RESULT], given).spent == {}  # it leads nowhere
    answered(tmp_path / "elsewhere", "one", "04:36:57.780")
    assert read("gemini", [BEGAN, RESULT], given).spent == {}
    file.unlink()
    (tmp_path / "elsewhere").rename(file)
    assert read("gemini", [BEGAN, RESULT], given).spent != {}


@pytest.mark.parametrize(
    ("lines", "status", "error", "words"),
    [
        (api(401, "no"), 145, KeyRefused, "no"),
        (api(403, "denied"), 147, KeyRefused, "denied"),
        (api(400, "API key not valid. Please pass a valid API key."), 144, KeyRefused, "not valid"),
        (["When using Gemini API, you must specify the GEMINI_API_KEY environment variable."], 41, KeyRefused, "GEMINI_API_KEY"),
        ([*api(429, "You exceeded your current quota"), "  retryDelayMs: 7500,"], 173, RateLimited, "wait 7.5 s"),
        (api(500, "boom"), 244, ModelAway, "boom"),
        (api(503, "The model is overloaded."), 247, RateLimited, "overloaded"),
        ([failed("[API Error: exception TypeError: fetch failed sending request]")], 1, ModelAway, "fetch failed"),
        ([BEGAN, "… ModelNotFoundError: no such model", "  code: 404", "}", failed("[API Error: no such model]")], 1, Halted, "no such model"),
        (api(400, "bad"), 144, AgentFailed, "bad"),
        ([failed("Reached max session turns for this session.", "FatalTurnLimitedError")], 53, AgentCut, "turns"),
        ([f'Error resuming session: Invalid session identifier "{SESSION}".'], 42, SessionLost, SESSION),
        (["Error resuming session: No previous sessions found for this project."], 42, SessionLost, "No previous"),
        ([], 1, AgentFailed, "exit status 1"),
        ([BEGAN], 0, AgentFailed, "without a result"),
    ],
)
def test_what_went_wrong_is_told(lines: list[str], status: int, error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words) as no:
        read("gemini", lines, job(tmp_path)).end(status)
    assert no.type is error


def test_unknown_events_and_cut_lines_are_passed_over(tmp_path: Path) -> None:
    reader = read("gemini", [BEGAN, '{"type":"tool_use"}', '{"type":"new"}', '{"type":"mess', '{"type":"message"}', SAID, DONE], job(tmp_path))
    reader.end(0)
    assert reader.said == "done"


@pytest.mark.parametrize(("tools", "mode"), [("read", "default"), ("edit", "auto_edit"), ("run", "yolo")])
def test_what_it_may_do_is_its_approval_mode(tools: Tools, mode: str, tmp_path: Path) -> None:
    argv = find_agent(AgentConfig(name="gemini"), tmp_path).call(job(tmp_path, tools=tools)).argv
    assert argv[argv.index("--approval-mode") + 1] == mode


def test_a_session_goes_on_from_its_file_if_that_is_there(tmp_path: Path) -> None:
    given, agent = job(tmp_path, session=SESSION), find_agent(AgentConfig(name="gemini"), tmp_path)
    assert agent.call(given).argv[-2:] == ["--resume", SESSION]
    file = given.folder / ".gemini" / "tmp" / "elsewhere" / "chats" / f"session-2026-11-25T04-36-{SESSION[:8]}.jsonl"
    file.parent.mkdir(parents=True)
    file.touch()
    assert agent.call(given).argv[-2:] == ["--session-file", str(file)]


@pytest.mark.parametrize(("login", "kind"), [(False, "gemini-api-key"), (True, "oauth-personal")])
def test_it_is_told_how_to_log_in(login: bool, kind: str, tmp_path: Path) -> None:  # noqa: FBT001
    given = job(tmp_path, turns=5)
    if login:
        (given.folder / ".gemini").mkdir()
        (given.folder / ".gemini" / "oauth_creds.json").write_text("{}")
    find_agent(AgentConfig(name="gemini"), tmp_path).call(given)
    settings = json.loads((given.folder / ".gemini" / "settings.json").read_text())
    assert (settings["security"]["auth"]["selectedType"], settings["model"]["maxSessionTurns"]) == (kind, 5)
