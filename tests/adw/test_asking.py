"""An agent at work, from the slot to its answer: the real CLI, and a scripted model on loopback."""

import json
import pickle
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adw import phases
from adw.config import AgentConfig, BudgetConfig, override
from adw.errors import AgentCrashed, AgentCut, AgentFailed, AgentSilent, BudgetSpent, KeyRefused
from adw.mirror import Hub
from adw.model import Attempt, Change, Issue, Plan
from adw.phases import Site
from adw.sessions import Shelf
from tests.adw.tools import python, until
from tests.conftest import Rules, make_site, model

pytestmark = pytest.mark.usefixtures("claude")

PLAN = Plan(text="write a file")
SECRETS = {"ANTHROPIC_API_KEY": "sk-secret"}
DONE: dict[str, Any] = {"text": "Done."}
AGENT = {"name": "claude", "model": "claude-sonnet-4-5", "gateway": False}


def write(name: str) -> dict[str, Any]:
    return {"tools": [{"name": "Write", "input": {"file_path": f"{{cwd}}/{name}", "content": f"{name}\n"}}]}


def bash(command: str) -> dict[str, Any]:
    return {"tools": [{"name": "Bash", "input": {"command": command}}]}


@pytest.fixture
def site(hub: Hub) -> Site:
    site = make_site(hub, "unused")
    return replace(site, config=site.config.model_copy(update={"agent": AgentConfig.model_validate(AGENT)}))


@pytest.fixture
def attempt(hub: Hub) -> Attempt:
    return Attempt(number=1, base=hub.tip(), base_tree=hub.mirror.tree_of(hub.tip()))


def build(site: Site, issue: Issue, attempt: Attempt, url: str) -> Change:
    at = replace(site, config=override(site.config, agent__base_url={"ANTHROPIC_API_KEY": url}))
    return phases.build(at, issue, PLAN, attempt, SECRETS)[0]


def played(site: Site, issue: Issue, attempt: Attempt, rules: Rules) -> Change:
    with model(rules) as api:
        return build(site, issue, attempt, api.url)


def files(hub: Hub, change: Change) -> set[str]:
    return set(hub.mirror.touched(change.base_tree, change.tree))


def requests(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line)["body"] for line in log.read_text().splitlines()]


def log_of(hub: Hub, issue: Issue, name: str = "1-build") -> str:
    return (hub.place.runs / "r1" / "logs" / issue.key / f"{name}.log").read_text()


GOES_ON: Rules = [
    {"match": "You were interrupted", "turns": [write("second.txt"), DONE]},
    {"match": "Resolve the issue", "turns": [write("first.txt"), bash("kill -9 $PPID"), DONE]},
]


def test_an_agent_that_was_killed_goes_on_with_its_files_and_its_session(site: Site, hub: Hub, issue: Issue, attempt: Attempt, tmp_path: Path) -> None:
    with model(GOES_ON, log := tmp_path / "log") as api:
        with pytest.raises(AgentCrashed):
            build(site, issue, attempt, api.url)
        before = len(requests(log))
        change = build(site, issue, attempt, api.url)
    assert files(hub, change) == {"first.txt", "second.txt"}
    assert "first.txt" in json.dumps(requests(log)[before]["messages"])  # it remembers


def test_an_agent_that_gives_no_sign_of_life_is_stopped_and_goes_on_with_its_files_and_its_session(
    site: Site, hub: Hub, issue: Issue, attempt: Attempt, tmp_path: Path
) -> None:
    at = replace(site, config=override(site.config, agent__silent_minutes=0.1))
    rules: Rules = [GOES_ON[0], {"match": "Resolve the issue", "turns": [write("first.txt"), bash("python3 -c 'import time; time.sleep(600)'")]}]
    with model(rules, log := tmp_path / "log") as api:
        with pytest.raises(AgentSilent, match=r"wait for ever: it printed nothing .* 0.1 minutes \(agent.silent_minutes in adw.toml\)"):
            build(at, issue, attempt, api.url)
        change = build(at, issue, attempt, api.url)
    assert files(hub, change) == {"first.txt", "second.txt"}
    assert "first.txt" in json.dumps(requests(log)[-1]["messages"])


def test_an_agent_that_was_killed_with_adw_goes_on_with_its_files_and_its_session(site: Site, hub: Hub, issue: Issue, attempt: Attempt, tmp_path: Path) -> None:
    rules: Rules = [GOES_ON[0], {"match": "Resolve the issue", "turns": [write("first.txt"), bash("touch here; python3 -c 'import time; time.sleep(600)'")]}]
    code = "import pickle, sys\nfrom tests.adw.test_asking import build\nbuild(*pickle.loads(bytes.fromhex(sys.argv[1])))"
    shelf = Shelf.of(hub.place, site.order(issue, "build"))
    with model(rules, log := tmp_path / "log") as api:
        with python(code, pickle.dumps((site, issue, attempt, api.url)).hex()) as adw:
            until(lambda: list(site.pool().folder.glob("*/tree/here")) and (kept := shelf.read()) and kept.id)
            adw.send_signal(signal.SIGKILL)
            adw.wait()
        site.pool().reconcile()
        change = build(site, issue, attempt, api.url)
    assert files(hub, change) == {"first.txt", "second.txt", "here"}
    assert "first.txt" in json.dumps(requests(log)[-1]["messages"])


def test_an_answer_that_adw_did_not_live_to_record_is_not_paid_for_again(site: Site, hub: Hub, issue: Issue, attempt: Attempt, tmp_path: Path) -> None:
    order = site.order(issue, "build")
    with model([{"match": "", "turns": [write("first.txt"), DONE]}], log := tmp_path / "log") as api:
        at = replace(site, config=override(site.config, agent__base_url={"ANTHROPIC_API_KEY": api.url}))
        with suppress(AgentCrashed), at.pool().lease(attempt.base, order) as lease:
            at.asking(lease, issue, order, SECRETS).ask(phases.build_prompt(at, issue, PLAN, attempt))
            raise AgentCrashed
        asked = len(requests(log))
        change = build(site, issue, attempt, api.url)
        assert (files(hub, change), len(requests(log))) == ({"first.txt"}, asked)


def test_work_on_another_base_is_not_gone_on_with(site: Site, hub: Hub, issue: Issue, attempt: Attempt) -> None:
    other = hub.mirror.commit(attempt.base_tree, [attempt.base], "moved", hub.author())
    with model(GOES_ON) as api:
        with pytest.raises(AgentCrashed):
            build(site, issue, attempt, api.url)
        with pytest.raises(AgentCrashed):  # it is asked as at first
            build(site, issue, replace(attempt, base=other), api.url)


def test_an_agent_that_gave_up_begins_anew_as_its_files_are_gone(site: Site, issue: Issue, attempt: Attempt, tmp_path: Path) -> None:
    refuses: Rules = [{"match": "", "turns": [write("first.txt"), {"text": "no", "stop_reason": "refusal"}]}]
    with model(refuses, log := tmp_path / "log") as api:
        for number in (1, 2):
            with pytest.raises(AgentFailed, match="refusal"):
                build(site, issue, replace(attempt, number=number, feedback="again" * number), api.url)
    first_of_each = [body for body in requests(log) if len(body["messages"]) <= 2]
    assert len(first_of_each) >= 2


def test_an_agent_that_the_api_turns_away_waits_and_goes_on(site: Site, hub: Hub, issue: Issue, attempt: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adw.agents.claude.QUIET", {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0"})
    change = played(site, issue, attempt, [{"match": "", "fail": {"status": 429, "times": 1}, "turns": [write("first.txt"), DONE]}])
    assert files(hub, change) == {"first.txt"}
    assert site.journal().progress().throttled == 1


def test_a_spent_budget_cuts_the_agent_while_it_works(site: Site, issue: Issue, attempt: Attempt) -> None:
    dear = {**bash("python3 -c 'import time; time.sleep(600)'"), "usage": {"input_tokens": 1_000_000}}
    at = replace(site, config=site.config.model_copy(update={"budget": BudgetConfig(issue_usd=2.5)}))
    with pytest.raises(BudgetSpent, match=r"issue i1 is spent: \$3.00 of \$2.50"):
        played(at, issue, attempt, [{"match": "", "turns": [dear, DONE]}])


def test_what_was_spent_before_a_run_was_resumed_counts(site: Site, issue: Issue, attempt: Attempt) -> None:
    at = replace(site, config=site.config.model_copy(update={"budget": BudgetConfig(run_tokens=10)}))
    assert files(site.hub(), played(site, issue, attempt, [{"match": "", "turns": [write("a.txt"), DONE]}])) == {"a.txt"}  # type: ignore[arg-type]
    with pytest.raises(BudgetSpent, match="budget of the run is spent"):
        played(at, replace(issue, id="i2"), attempt, [])


def test_a_key_that_is_refused_says_what_to_do(site: Site, issue: Issue, attempt: Attempt) -> None:
    with pytest.raises(KeyRefused, match="adw resume"):
        played(site, issue, attempt, [{"match": "", "fail": {"status": 401}}])


def test_a_key_that_an_agent_prints_is_in_no_log(site: Site, hub: Hub, issue: Issue, attempt: Attempt) -> None:
    played(site, issue, attempt, [{"match": "", "turns": [bash('echo "key: $ANTHROPIC_API_KEY"'), write("a.txt"), {"text": "It is sk-secret."}]}])
    log = log_of(hub, issue)
    assert "key: ***" in log
    assert "sk-secret" not in log


def test_an_agent_that_prints_too_much_is_cut(site: Site, issue: Issue, attempt: Attempt) -> None:
    at = replace(site, config=override(site.config, agent__output_mb=0.000001))
    with pytest.raises(AgentCut, match=r"more than 1e-06 MB"):
        played(at, issue, attempt, [{"match": "", "turns": [bash("python3 -c 'import time; time.sleep(600)'")]}])


def test_a_bad_answer_is_asked_for_once_more(site: Site, issue: Issue, attempt: Attempt) -> None:
    good = {"summary": "s", "files": ["a"], "items": []}
    with model([{"match": "cannot be read", "turns": [{"tools": [{"name": "StructuredOutput", "input": good}]}, DONE]}, {"match": "", "turns": [DONE]}]) as api:
        at = replace(site, config=override(site.config, agent__base_url={"ANTHROPIC_API_KEY": api.url}))
        plan, _ = phases.plan(at, issue, attempt, SECRETS)
    assert (plan.text, plan.files) == ("s", ("a",))


def test_a_second_bad_answer_is_a_no(site: Site, issue: Issue, attempt: Attempt) -> None:
    with model([{"match": "", "turns": [DONE]}]) as api, pytest.raises(AgentFailed, match="twice"):
        phases.plan(replace(site, config=override(site.config, agent__base_url={"ANTHROPIC_API_KEY": api.url})), issue, attempt, SECRETS)


def test_a_users_own_login_reaches_an_agent_without_a_key_and_nothing_else_of_the_home(
    site: Site, issue: Issue, attempt: Attempt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "my home"
    (own / ".claude").mkdir(parents=True)
    (own / ".claude" / ".credentials.json").write_text('{"mine": 1}')
    (own / "diary").write_text("private")
    monkeypatch.setenv("HOME", str(own))
    seen = bash('cat "$CLAUDE_CONFIG_DIR/.credentials.json" > seen.txt; ls -A "$HOME" >> seen.txt')
    with model([{"match": "", "turns": [seen, DONE]}]) as api:
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "unused")
        at = replace(site, config=override(site.config, agent__base_url={"ANTHROPIC_API_KEY": api.url}, pool__env=("ANTHROPIC_AUTH_TOKEN",)))
        change, _ = phases.build(at, issue, PLAN, attempt, {})
    text = site.hub().mirror.text(change.sha, "seen.txt")
    assert '{"mine": 1}' in text
    assert "diary" not in text
