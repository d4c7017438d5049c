"""Checks of a repository's own, one at a time: keys, commands, prompts."""

from dataclasses import replace
from typing import Any

import pytest

from adw import checks, phases
from adw.config import override
from adw.errors import AgentCut, AgentFailed, Misuse
from adw.mirror import Hub
from adw.model import Attempt, Candidate, Change, Issue, Plan, Verdict
from adw.phases import Site
from tests.conftest import Repository, make_site

CHANGE = Change(sha="1" * 40, tree="2" * 40, base="3" * 40, base_tree="4" * 40)
CANDIDATE = Candidate(sha="1" * 40, tree="2" * 40, onto="3" * 40, code="5" * 40)
WRITES = 'test "$ADW_PHASE" != build || echo x > new.txt'


def having(hub: Hub, agent: str = "sh x", **tables: dict[str, Any]) -> Site:
    """A run on a repository that has these checks."""
    site = make_site(hub, agent)
    return replace(site, config=override(site.config, checks=tables))


def built(hub: Hub, issue: Issue) -> Change:
    tip = hub.tip()
    return phases.build(make_site(hub, WRITES), issue, Plan(text="p"), Attempt(number=1, base=tip, base_tree=hub.mirror.tree_of(tip)), {})[0]


# A kind of check → what, when it is another, makes it another key.
DECIDES = {
    "candidate": {"name", "command", "candidate.code", "pool.setup"},
    "change": {"name", "command", "change.tree", "change.base_tree", "pool.setup"},
    "prompt": {"name", "prompt", "change.tree", "change.base_tree", "issue.body", "model", "agent", "refuse"},
}
OTHER = {"candidate.code", "candidate.sha", "candidate.onto", "candidate.tree", "change.tree", "change.base_tree", "change.sha", "change.base"}
OTHER |= {"name", "command", "prompt", "model", "minutes", "required", "flaky", "issue.id", "issue.body", "agent", "refuse", "pool.setup", "run"}


def key(hub: Hub, kind: str, other: str) -> str:
    """The key of a check of a kind, with one thing other than usual."""
    issue, run = Issue(id="i", title="t", body="b"), "r2" if other == "run" else "r1"
    table: dict[str, Any] = (
        {"prompt": "is it?" if other != "prompt" else "is it not?"} if kind == "prompt" else {"command": f"c{other == 'command'}", "on": kind}
    )
    table |= {"minutes": 3} if other == "minutes" else {"required": False} if other == "required" else {"flaky": "refuse"} if other == "flaky" else {}
    table |= {"model": "m"} if (kind, other) == ("prompt", "model") else {}
    name = "other" if other == "name" else "lint"
    site = having(hub, "sh y" if other == "agent" else "sh x", **{name: table})
    site = replace(
        site, run=run, config=override(site.config, pool__setup="s" * (other == "pool.setup"), review__refuse=["note"] if other == "refuse" else None)
    )
    about: Candidate | Change = CANDIDATE if kind == "candidate" else CHANGE
    whose, _, field = other.partition(".")
    if whose == ("candidate" if kind == "candidate" else "change"):
        about = replace(about, **{field: "9" * 40})
    issue = replace(issue, **{field: "z"}) if whose == "issue" else issue
    return checks.key(site, issue, name, about)


@pytest.mark.parametrize("kind", DECIDES)
def test_a_key_changes_with_what_decides_the_check_and_with_nothing_else(kind: str, hub: Hub) -> None:
    assert {other for other in OTHER if key(hub, kind, other) != key(hub, kind, "")} == DECIDES[kind]


@pytest.mark.parametrize(("command", "passed"), [("test -f code.txt && echo fine", True), ("echo wrong; false", False)])
def test_a_command_judges_what_would_land_by_its_exit_status(command: str, passed: bool, hub: Hub, issue: Issue) -> None:  # noqa: FBT001
    site = having(hub, lint={"command": command})
    base = phases.base_candidate(site, hub.tip())
    assert checks.run(site, issue, "lint", base, 1) == (Verdict(passed=passed, log="fine" if passed else "wrong"), hub.tip())
    assert (site.journal().folder / "logs" / issue.key / "1-lint.log").exists()


def test_a_command_on_the_change_knows_what_it_began_on(hub: Hub, issue: Issue, repository: Repository) -> None:
    change = built(hub, issue)
    repository.commit("meanwhile", **{"other.txt": "x\n"})
    site = having(hub, size={"command": 'git diff --name-only "$ADW_BASE"; echo "$ADW_PHASE"; ls other.txt', "on": "change"})
    assert checks.run(site, issue, "size", change, 1)[0].log.split("\n")[:2] == ["new.txt", "size"]
    assert checks.run(site, issue, "size", checks.base(site, "size", change.base), 1)[0].log.split("\n")[0] == "size"


def test_a_command_has_a_limit_of_its_own(hub: Hub, issue: Issue) -> None:
    site = having(hub, slow={"command": "sleep 600", "minutes": 0.02})
    with pytest.raises(AgentCut, match=r"the slow command was stopped: it took longer than 0\.02 minutes"):
        checks.run(site, issue, "slow", phases.base_candidate(site, hub.tip()), 1)


def test_a_no_to_the_branch_as_it_is_is_no_verdict_to_be_kept(hub: Hub, issue: Issue) -> None:
    site = having(hub, red={"command": "echo old sins; false"}, green={"command": "true"})
    with pytest.raises(AgentFailed, match="old sins"):
        checks.run_on_base(site, issue, "red", checks.base(site, "red", hub.tip()))
    assert checks.run_on_base(site, issue, "green", checks.base(site, "green", hub.tip()))[0].passed


@pytest.mark.parametrize(("line", "passed"), [('cat "$PROMPT"', True), ('cat "$PROMPT"; exit 1', False)])
def test_a_prompt_is_asked_of_the_agent_that_reviews_about_the_change(line: str, passed: bool, hub: Hub, issue: Issue) -> None:  # noqa: FBT001
    site = having(hub, line.replace('"$PROMPT"', "{prompt_file}"), words={"prompt": "Is all input escaped?"})
    change = built(hub, issue)
    verdict, about = checks.judge(site, issue, "words", change, 1, {})
    assert (verdict.passed, about) == (passed, change.sha)
    assert "Is all input escaped?" in verdict.log
    assert "+++ b/new.txt" in verdict.log
    assert phases.answer(site, "review") in verdict.log


def test_a_prompt_has_a_model_and_a_limit_of_its_own(hub: Hub, issue: Issue) -> None:
    site = having(
        hub,
        'echo "$ADW_MODEL in $ADW_PHASE"; test "$ADW_MODEL" || sleep 600',
        big={"prompt": "is it?", "model": "m"},
        slow={"prompt": "is it?", "minutes": 0.02},
    )
    assert checks.judge(site, issue, "big", built(hub, issue), 1, {})[0].log == "m in big"
    with pytest.raises(AgentCut, match=r"stopped in slow: it took longer than 0\.02 minutes"):
        checks.judge(site, issue, "slow", built(hub, issue), 1, {})


@pytest.mark.parametrize("named", ["safe", "safe.md"])
def test_a_prompt_that_is_one_word_is_a_file_of_the_commit_that_the_change_began_on(named: str, hub: Hub, issue: Issue, repository: Repository) -> None:
    repository.commit("ask", **{".adw__prompts__safe.md": "---\nabout: $1\n---\nIs $it safe?\n"})
    change = built(hub, issue)
    repository.commit("ask else", **{".adw__prompts__safe.md": "Is it fast?\n"})
    site = having(hub, "cat {prompt_file}", words={"prompt": named})
    log = checks.judge(site, issue, "words", change, 1, {})[0].log
    assert "\n\nIs $it safe?\n\n" in log
    assert "about: $1" not in log


def test_a_prompt_that_the_branch_does_not_have_is_misuse_that_says_how_to_mend_it(hub: Hub, repository: Repository) -> None:
    site = having(hub, words={"prompt": "safe"}, lint={"command": "true"}, more={"prompt": "Is it?"})
    with pytest.raises(
        Misuse, match=r"checks\.words\.prompt in adw\.toml: there is no \.adw/prompts/safe\.md: commit one, or write the prompt in more than one word"
    ):
        checks.insist_on_prompts(hub, site.config.checks)
    repository.commit("ask", **{".adw__prompts__safe.md": "Is it safe?\n"})
    checks.insist_on_prompts(hub, site.config.checks)


def test_a_repository_may_frame_the_question_itself(hub: Hub, issue: Issue, repository: Repository) -> None:
    repository.commit("frame", **{".adw__prompts__check.md": "Ours: $check\n"})
    site = having(hub, "cat {prompt_file}", words={"prompt": "Is it safe?"})
    assert checks.judge(site, issue, "words", built(hub, issue), 1, {})[0].log.startswith("Ours: Is it safe?")
