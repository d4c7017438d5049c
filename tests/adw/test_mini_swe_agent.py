import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from adw.agents import find_agent
from adw.config import AgentConfig
from adw.errors import AgentCut, AgentFailed, Halted, KeyRefused, Misuse, ModelAway, RateLimited
from adw.money import Tokens
from tests.adw.tools import job, read

MODEL = "anthropic/claude-sonnet-4-5"
# What litellm told mini-SWE-agent 2.4.6 of an answer.
USAGE = {"completion_tokens": 20, "prompt_tokens": 100, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 40}, "cache_creation_input_tokens": 10}


def line(role: str, text: str = "", **more: Any) -> str:
    """What our class prints in it."""
    return json.dumps({"role": role, "text": text, "commands": [], "usage": None, "usd": None, "exit": None, **more})


RAN = line("assistant", "hmm", commands=["echo hi > b.py"], usage=USAGE, usd=0.5)
SUBMITTED = line("exit", "all good\n", exit="Submitted")


def test_a_run_is_told_as_it_goes_on(tmp_path: Path) -> None:
    reader = read("mini-swe-agent", ["Building agent config from specs: ['mini.yaml']", RAN], job(tmp_path), MODEL)
    assert (reader.doing, reader.said) == ("Run echo hi > b.py", "hmm")
    for more in (RAN, SUBMITTED):
        reader.take(more)
    reader.end(0)
    assert (reader.said, reader.usd) == ("all good", 1.0)
    assert reader.spent == {MODEL: Tokens(calls=2, input=100, output=40, cache_read=80, cache_write=20)}


def test_an_answer_that_it_could_not_use_is_counted(tmp_path: Path) -> None:
    reader = read("mini-swe-agent", [line("user", "Tool call error", usage=USAGE, usd=0.5)], job(tmp_path), MODEL)
    assert (reader.spent[MODEL].calls, reader.usd, reader.said) == (1, 0.5, "")


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        ({"exit": "AuthenticationError", "status": 401}, KeyRefused, "AuthenticationError"),
        ({"exit": "PermissionDeniedError", "status": 403}, KeyRefused, "PermissionDenied"),
        ({"exit": "BadRequestError", "status": 400, "text": "Your credit balance is too low"}, KeyRefused, "credit"),
        ({"exit": "RateLimitError", "status": 429, "retry_after": 2.0}, RateLimited, "wait 2 s"),
        ({"exit": "RateLimitError", "status": 429, "text": "GeminiException: You exceeded your current quota"}, RateLimited, "quota"),
        ({"exit": "InternalServerError", "status": 500, "text": "Connection refused"}, ModelAway, "refused"),
        ({"exit": "InternalServerError", "status": 500, "text": '{"type": "overloaded_error", "message": "Overloaded"}'}, RateLimited, "Overloaded"),
        ({"exit": "NotFoundError", "status": 404}, Halted, "NotFound"),
        ({"exit": "BadRequestError", "status": 400}, AgentFailed, "BadRequest"),
        ({"exit": "LimitsExceeded"}, AgentCut, "turns"),
        ({"exit": "RepeatedFormatError"}, AgentFailed, "RepeatedFormatError"),
        ({"exit": "KeyError", "status": None}, AgentFailed, "KeyError"),
    ],
)
def test_what_went_wrong_is_told_whatever_the_exit_status(more: dict[str, Any], error: type[Exception], words: str, tmp_path: Path) -> None:
    for status in (0, 1):
        with pytest.raises(error, match=words) as no:
            read("mini-swe-agent", [line("exit", **{"text": "", **more})], job(tmp_path), MODEL).end(status)
        assert no.type is error


def test_an_end_without_an_event_has_failed(tmp_path: Path) -> None:
    with pytest.raises(AgentFailed, match="ModuleNotFoundError"):
        read("mini-swe-agent", ["ModuleNotFoundError: No module named 'x'", '{"role":', '{"new": 1}'], job(tmp_path), MODEL).end(1)


def test_a_model_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"agent\.model"):
        find_agent(AgentConfig(name="mini-swe-agent"), tmp_path)


def test_its_task_is_in_a_file_as_it_is(tmp_path: Path) -> None:
    given = job(tmp_path, turns=3, usd=0.5)
    given.prompt.write_text("Größe: {{x}} 'y'\n\n  - \"z\"\n", encoding="utf-8")
    find_agent(AgentConfig(name="mini-swe-agent", model=MODEL), tmp_path).call(given)
    found = yaml.safe_load((given.folder / "adw.yaml").read_text(encoding="utf-8"))
    assert found["run"]["task"] == given.prompt.read_text(encoding="utf-8")
    assert (found["agent"]["step_limit"], found["agent"]["cost_limit"]) == (3, 0.5)
