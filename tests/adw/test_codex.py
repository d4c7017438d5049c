import json
from pathlib import Path

import pytest

from adw.agents import find_agent
from adw.agents.codex import strict
from adw.config import AgentConfig, Tools
from adw.errors import AgentFailed, Halted, KeyRefused, ModelAway, RateLimited, SessionLost
from adw.money import Tokens
from tests.adw.tools import job, read

# What Codex 0.169.0 printed.
THREAD = "01a21101-2617-7011-99cb-0cc055c86001"
BEGAN = [f'{{"type":"thread.started","thread_id":"{THREAD}"}}', '{"type":"turn.started"}']
WARNED = '{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Model metadata for `m` not found. Defaulting to fallback metadata"}}'
RAN = (
    '{"type":"item.started","item":{"id":"item_1","type":"command_execution","command":"/bin/bash -lc \'echo hi > b.py; cat b.py\'",'
    '"aggregated_output":"","exit_code":null,"status":"in_progress"}}'
)
SAID = '{"type":"item.completed","item":{"id":"item_2","type":"agent_message","text":"done it"}}'
ENDED = '{"type":"turn.completed","usage":{"input_tokens":200,"cached_input_tokens":80,"cache_write_input_tokens":0,"output_tokens":40,"reasoning_output_tokens":0}}'
LOST = f"Error: thread/resume: thread/resume failed: no rollout found for thread id {THREAD} (code -32600)"


def edited(path: Path) -> str:
    """It names the files that it changes by their whole paths."""
    changes = [{"path": str(path / name), "kind": "update"} for name in ("a.py", "b.py")]
    return json.dumps({"type": "item.started", "item": {"id": "item_0", "type": "file_change", "changes": changes, "status": "in_progress"}})


def failed(message: str) -> list[str]:
    """It tells an error twice."""
    return [*BEGAN, json.dumps({"type": "error", "message": message}), json.dumps({"type": "turn.failed", "error": {"message": message}})]


def counted(total: int) -> str:
    """A line of its rollout, after an answer."""
    usage = {"input_tokens": 100 * total, "cached_input_tokens": 40 * total, "cache_write_input_tokens": 0, "output_tokens": 20 * total}
    return json.dumps({"ordinal": 1, "type": "event_msg", "payload": {"type": "token_count", "info": {"total_token_usage": usage}}}) + "\n"


def rollout(folder: Path) -> Path:
    """The file of a session that had one answer."""
    file = folder / "own" / "sessions" / "2026" / "11" / "25" / f"rollout-2026-11-25T04-40-17-{THREAD}.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text('{"type":"turn_context","payload":{"model":"gpt-5.5"}}\n' + counted(1))
    return file


def test_a_run_is_told_as_it_goes_on(tmp_path: Path) -> None:
    given = job(tmp_path)
    told = [(reader.doing, reader.said) for n in range(2, 6) for reader in [read("codex", [*BEGAN, WARNED, RAN, edited(given.tree), SAID][: n + 1], given)]]
    assert told == [("", ""), ("Run 'echo hi > b.py; cat b.py'", ""), ("Edit a.py, b.py", ""), ("done it", "done it")]
    done = read("codex", [*BEGAN, WARNED, RAN, SAID, ENDED], given)
    done.end(0)
    assert done.session == THREAD


def test_tokens_are_those_of_its_rollout_while_it_runs_without_those_of_before(tmp_path: Path) -> None:
    given = job(tmp_path, session=THREAD)
    file = rollout(tmp_path)
    reader = read("codex", BEGAN, given, model="")
    assert reader.spent == {}
    with file.open("a") as out:
        out.write(counted(2) + counted(3)[:50])
    reader.take(SAID)
    assert reader.spent == {"gpt-5.5": Tokens(calls=1, input=60, output=20, cache_read=40)}
    with file.open("a") as out:
        out.write(counted(3)[50:])
    reader.take(ENDED)
    assert reader.spent["gpt-5.5"] == Tokens(calls=2, input=120, output=40, cache_read=80)


def test_a_rollout_that_an_agent_put_a_link_in_the_place_of_is_not_read(tmp_path: Path) -> None:
    file = rollout(tmp_path)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert read("codex", [*BEGAN, SAID], job(tmp_path)).spent == {}
    file.unlink()
    (tmp_path / "elsewhere").rename(file)
    assert read("codex", [*BEGAN, SAID], job(tmp_path)).spent != {}


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("unexpected status 401 Unauthorized: Incorrect API key provided, url: http://127.0.0.1:1/v1/responses", KeyRefused),
        ("unexpected status 403 Forbidden: no access, url: http://127.0.0.1:1/v1/responses", KeyRefused),
        ("Missing environment variable: `OPENAI_API_KEY`.", KeyRefused),
        ("Quota exceeded. Check your plan and billing details.", KeyRefused),
        ("exceeded retry limit, last status: 429 Too Many Requests", RateLimited),
        ("unexpected status 529 <unknown status code>: scripted failure, url: http://127.0.0.1:1/v1/responses", RateLimited),
        ("We’re currently experiencing high demand, which may cause temporary errors.", ModelAway),
        ("unexpected status 503 Service Unavailable: scripted failure, url: http://127.0.0.1:1/v1/responses", ModelAway),
        ("Reconnecting... waiting for network (Connection failed: error sending request)", ModelAway),
        ("unexpected status 404 Not Found: The model does not exist, url: http://127.0.0.1:1/v1/responses", Halted),
        ('{"type": "error", "error": {"type": "api_error", "message": "This model does not support X", "code": 400}}', AgentFailed),
    ],
)
def test_what_went_wrong_is_known_by_its_words(message: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error) as no:
        read("codex", failed(message), job(tmp_path)).end(1)
    assert no.type is error
    assert message.splitlines()[0] in str(no.value)


@pytest.mark.parametrize(
    ("lines", "error"), [([LOST, "", "Stack backtrace:"], SessionLost), (["No prompt provided via stdin."], AgentFailed), ([], AgentFailed)]
)
def test_an_end_without_events_is_told(lines: list[str], error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error) as no:
        read("codex", lines, job(tmp_path)).end(1)
    assert no.type is error


def test_a_run_that_ends_without_a_completed_turn_has_failed(tmp_path: Path) -> None:
    with pytest.raises(AgentFailed):
        read("codex", [*BEGAN, SAID], job(tmp_path)).end(0)


def test_unknown_events_and_cut_lines_are_passed_over(tmp_path: Path) -> None:
    lines = [*BEGAN, '{"type":"item.completed","item":{}}', '{"type":"new"}', '{"type":"item.compl', "[1]", "[" * 100_000, SAID, ENDED]
    reader = read("codex", lines, job(tmp_path))
    reader.end(0)
    assert reader.said == "done it"


@pytest.mark.parametrize(("text", "answer"), [('{"n": 1}', {"n": 1}), ("no JSON", None), ("[1]", None)])
def test_the_last_word_is_the_answer_where_one_was_asked_for(text: str, answer: object, tmp_path: Path) -> None:
    said = json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": text}})
    assert read("codex", [said], job(tmp_path, schema={"type": "object"})).answer == answer
    assert read("codex", [said], job(tmp_path)).answer is None


@pytest.mark.parametrize(("tools", "sandbox"), [("read", "read-only"), ("edit", "workspace-write"), ("run", "danger-full-access")])
def test_what_it_may_do_is_its_sandbox(tools: Tools, sandbox: str, tmp_path: Path) -> None:
    argv = find_agent(AgentConfig(name="codex"), tmp_path).call(job(tmp_path, tools=tools)).argv
    assert argv[argv.index("-s") + 1] == sandbox


def test_with_the_login_of_an_account_it_finds_the_api_by_itself(tmp_path: Path) -> None:
    given, agent = job(tmp_path), find_agent(AgentConfig(name="codex"), tmp_path)
    agent.call(given)
    assert 'base_url = "https://api.openai.com/v1"' in (given.folder / "config.toml").read_text()
    (given.folder / "auth.json").write_text("{}")
    agent.call(given)
    assert "model_provider" not in (given.folder / "config.toml").read_text()


def test_a_schema_is_as_openai_takes_it() -> None:
    schema = {
        "$defs": {"Item": {"type": "object", "properties": {"n": {"type": "integer", "default": 0}}}},
        "type": "object",
        "properties": {"default": {"$ref": "#/$defs/Item", "description": "one"}, "all": {"type": "array", "items": {"type": "string"}}},
        "required": ["all"],
    }
    found = strict(schema)
    assert (found["required"], found["additionalProperties"]) == (["default", "all"], False)
    assert found["properties"]["default"] == {"$ref": "#/$defs/Item"}
    assert found["$defs"]["Item"] == {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
