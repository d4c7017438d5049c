"""`adw doctor --ask`: the real CLI, and an API that is away, has too much to do, or never answers."""

from typing import Any

import pytest

from adw.cli import inspect
from adw.config import Config
from adw.errors import AdwError
from adw.mirror import Hub
from tests.conftest import Rules, model

pytestmark = pytest.mark.usefixtures("claude")

ANSWERS: Rules = [{"match": "", "turns": [{"text": "ready"}]}]
HANGS: Rules = [{"match": "", "turns": [{"hold": 0}]}]
THROTTLES: Rules = [{"match": "", "fail": {"status": 429, "headers": {"retry-after": "100"}}}]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-mine")


def answers(hub: Hub, url: str, told: list[str] | None = None) -> str:
    """What the doctor hears of Claude Code, whose API is at an address."""
    agent: dict[str, Any] = {"name": "claude", "model": "claude-sonnet-4-5", "base_url": {"ANTHROPIC_API_KEY": url}, "secrets": {"ANTHROPIC_API_KEY": "x"}}
    config = Config.model_validate({"agent": agent, "pool": {"memory_gb": 0, "disk_floor": 0}})
    return inspect.answers(config, hub, "plan", [].append if told is None else told.append)


def test_an_agent_that_answers_is_heard_and_leaves_nothing(hub: Hub) -> None:
    told: list[str] = []
    with model(ANSWERS) as api:
        assert answers(hub, api.url, told) == "answers: ready"
    assert told == ["asking claude a question; it has 30 seconds"]
    assert (list(hub.place.runs.iterdir()), list(hub.place.sessions.iterdir())) == ([], [])


def test_an_api_that_is_away_is_asked_once_and_said_to_be_away(hub: Hub) -> None:
    with pytest.raises(AdwError, match=r"the model's API is away: .*http://127.0.0.1:9 cannot be reached"):
        answers(hub, "http://127.0.0.1:9")


def test_an_api_that_does_not_answer_is_not_waited_for(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with model(HANGS) as api:
        monkeypatch.setattr(inspect, "late", lambda _began: bool(api.seen))
        with pytest.raises(AdwError, match="it did not answer within 30 seconds; nothing was heard"):
            answers(hub, api.url)


def test_an_api_that_has_one_wait_is_not_waited_for_and_its_status_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(_began: float) -> bool:
        return any('"throttled"' in file.read_text() for file in hub.place.runs.glob("*/events.jsonl"))

    monkeypatch.setattr(inspect, "late", waits)
    with model(THROTTLES) as api, pytest.raises(AdwError, match="it did not answer within 30 seconds; the model's API answered with status 429"):
        answers(hub, api.url)
