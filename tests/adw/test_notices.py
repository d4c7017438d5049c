import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adw.cli import notify
from adw.config import NotifyConfig, parse
from adw.errors import AdwError, Misuse
from adw.journal import Journal
from adw.notices import Teller
from tests.adw.events import outcome, started
from tests.hook import SECRET, Hook, listening


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as made:
        yield made


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.delenv("ADW_WEBHOOK", raising=False)
    made = Journal(tmp_path / "runs" / "r1")
    made.keep({})
    say(made, {**started(), "ui": "http://prefect/run"})
    return made


def say(journal: Journal, *events: dict[str, Any]) -> None:
    for event in events:
        with journal.file.open("a") as file:
            file.write(json.dumps({"id": "r1", "timestamp": 5.0, **event}) + "\n")


def ended(state: str = "done") -> dict[str, Any]:
    return {"event": "run ended", "state": state, "reason": "", "timestamp": 60.0}


def asked(about: str = "1") -> dict[str, Any]:
    return {"event": "approval", "id": "r1/a-1", "issue": "a", "gate": "landing", "state": "wanted", "about": about}


def no_secret(name: str) -> str:
    msg = f"there is no Prefect Secret {name!r}"
    raise AdwError(msg)


def told(journal: Journal, *events: dict[str, Any], held: Callable[[str], str] = no_secret, desktop: bool = False, **settings: Any) -> None:
    """What a run's process does while these happen."""
    with Teller(journal, "shop", NotifyConfig(**settings), held, desktop=desktop).at_work() as teller:
        teller.patience = 60.0
        say(journal, *events)


def test_ends_refusals_and_questions_are_told_with_what_they_are_about(journal: Journal, hook: Hook) -> None:
    refused = outcome("refused", "b") | {"id": "r1/b-2", "reason": "the tests\nfail"}
    told(journal, asked(), outcome("landed") | {"id": "r1/a-1"}, refused, ended(), url=hook.url)
    about = {"repository": "shop", "ui": "http://prefect/run"}
    assert hook.taken == [
        about | {"event": "approval", "id": "r1/a-1", "issue": "a", "title": "shop: a waits for approval (landing)", "text": "Add a"},
        about | {"event": "refused", "id": "r1/b-2", "issue": "b", "title": "shop: b is refused", "text": "Add b: the tests fail"},
        about | {"event": "ended", "id": "r1", "issue": "", "title": "shop: the run is done", "text": "1 landed, 1 refused"},
    ]


def test_a_run_that_is_resumed_tells_nothing_twice_and_what_is_new(journal: Journal, hook: Hook) -> None:
    told(journal, asked(), outcome("refused"), ended(), url=hook.url)
    told(journal, asked(), asked("2"), outcome("refused"), ended(), url=hook.url)
    told(journal, outcome("landed"), ended(), url=hook.url)
    assert [(one["event"], one["text"]) for one in hook.taken] == [
        *(("approval", "Add a"), ("refused", "Add a:"), ("ended", "1 refused"), ("approval", "Add a"), ("ended", "1 landed")),
    ]


def test_only_what_is_asked_for_is_told_and_no_end_that_somebody_made(journal: Journal, hook: Hook) -> None:
    told(journal, asked(), outcome("refused"), ended(), url=hook.url, on=["refused"])
    told(journal, ended("interrupted"), url=hook.url)
    assert [one["event"] for one in hook.taken] == ["refused"]


def test_slack_is_told_in_its_form_at_an_address_that_nothing_names(
    journal: Journal, hook: Hook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("ADW_WEBHOOK", hook.url)
    hook.statuses = [500, 429, 200, 404]
    told(journal, outcome("refused") | {"title": "a < b & c"}, ended(), format="slack")
    assert hook.taken == [{"text": "*shop: a is refused*\na &lt; b &amp; c:\n<http://prefect/run|the run in Prefect>"}]
    assert [event["text"].split(": ")[1] for event in journal.events()[0] if event["event"] == "untold"] == ["127.0.0.1 answers with status 404"]
    assert "quite-secret" not in "".join([journal.file.read_text(), caplog.text, *capfd.readouterr()])


def test_what_a_secret_holds_is_used_and_one_that_is_missing_is_named(journal: Journal, hook: Hook) -> None:
    told(journal, outcome("refused"), secret="hook")
    assert [event["text"].split(": ")[1] for event in journal.events()[0] if event["event"] == "untold"] == ["there is no Prefect Secret 'hook'"]
    told(journal, outcome("refused"), held=lambda name: {"hook": hook.url}[name], secret="hook")
    assert [one["event"] for one in hook.taken] == ["refused"]


def test_who_cannot_be_reached_is_named_once_and_told_when_the_run_is_resumed(journal: Journal, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adw.webhook.TRIES", 1)
    told(journal, outcome("refused"), ended(), url="http://127.0.0.1:9/x")
    warned = [event["text"] for event in journal.events()[0] if event["event"] == "untold"]
    assert warned == ["nobody is told of it ([notify] in adw.toml): 127.0.0.1 cannot be reached (ConnectError)"]
    told(journal, outcome("refused"), ended(), url=hook.url)
    assert [one["event"] for one in hook.taken] == ["refused", "ended"]


def test_who_does_not_answer_does_not_hold_up_the_end(journal: Journal, hook: Hook) -> None:
    hook.gate.clear()
    with Teller(journal, "shop", NotifyConfig(url=hook.url), no_secret, desktop=False).at_work() as teller:
        teller.patience = 0.05
        say(journal, ended())
        assert hook.asked.wait(60)
    assert not hook.gate.is_set()
    assert [event["text"].split(": ")[1] for event in journal.events()[0] if event["event"] == "untold"] == ["whoever is to be told does not answer"]


def test_the_desktop_is_told_of_a_run_that_took_long(journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program, shown = tmp_path / "bin" / "notify-send", tmp_path / "shown"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {shown}\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    told(journal, asked(), ended(), desktop=True)
    assert shown.read_text().splitlines() == ["--app-name=adw", "--", "shop: the run is done", "there was nothing to do"]
    assert "told" not in [event["event"] for event in journal.events()[0]]  # there is no desktop behind it


def test_doctor_says_who_is_told_and_tries_it(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADW_WEBHOOK", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert notify.checked(NotifyConfig()) == "no webhook; nothing on the desktop: notify-send is not installed; of: ended, refused, approval"
    monkeypatch.setenv("HOOK", hook.url)
    config = NotifyConfig(format="slack", variable="HOOK", desktop=False, on=("refused",))
    assert notify.checked(config) == "slack to 127.0.0.1; nothing on the desktop; of: refused"
    assert notify.tried(config, Path("/srv/shop")) == "127.0.0.1 has taken a test message"
    assert hook.taken == [{"text": "*shop: a test*\n`adw doctor --notify` asks whether this arrives"}]


def test_an_address_that_is_none_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADW_WEBHOOK", "T000/quite-secret")
    with pytest.raises(Misuse, match="the environment variable ADW_WEBHOOK holds no address to post to") as no:
        notify.checked(NotifyConfig())
    assert "quite-secret" not in str(no.value)
    with pytest.raises(Misuse, match="Slack's address is a secret") as no:
        parse(f'[notify]\nurl = "https://hooks.slack.com{SECRET}"', "adw.toml")
    assert "quite-secret" not in str(no.value)
